/* hints.h: blocks whose lifetime the program knows.
 *
 * buddymalloc guesses from the place of a call how long a block will live, and keeps apart what lives long and what is soon
 * freed, so that whole hugepages become empty. Who knows better can say so. A hint decides only where the block lies: it is
 * freed, resized and asked for its size as any other. bm_realloc() knows nothing of the hint when it moves the block.
 *
 * Hints tell for blocks of up to 64 KiB; larger ones share no hugepage's slabs.
 * Units, threads and errors: as in buddymalloc.h. A hint that is none of these is EINVAL.
 */
#ifndef BUDDYMALLOC_HINTS_H
#define BUDDYMALLOC_HINTS_H

#include <stddef.h>

#include "buddymalloc/buddymalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bm_hint_t {
  bm_hint_none = 0,        /* as bm_malloc: by the place of the call */
  bm_hint_long_lived = 1,  /* lives long, or is seldom touched: with what stays */
  bm_hint_short_lived = 2, /* is freed soon, together with others like it: with what drains */
} bm_hint_t;

/* As bm_malloc. */
BM_EXPORT void* bm_malloc_hinted(size_t size, bm_hint_t hint);

/* As bm_aligned_alloc. */
BM_EXPORT void* bm_aligned_alloc_hinted(size_t alignment, size_t size, bm_hint_t hint);

#ifdef __cplusplus
}
#endif

#endif
