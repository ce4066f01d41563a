/* movable.h: blocks that the allocator may move while they are not in use, and compaction.
 *
 * A movable block is known by a handle. Its address is asked for by pinning it and is good until it is unpinned; a block
 * that is not pinned may be somewhere else at the next pin, with the same contents. In return, blocks that are left over
 * from a larger number can be moved together, so that whole hugepages become free and go back to the system.
 *
 * Units: every size is in bytes; a block takes whole pages of 4096 bytes and begins at one.
 * Threads: every function may be called by any thread with any handle; pinning and unpinning take no lock. A pin waits
 *   while its block is being copied, which takes microseconds (the longer, the larger the block). None of these functions
 *   is async-signal-safe. What a thread writes before it unpins is what the next one that pins reads.
 * Forks: a child has its own copies of all blocks, under the same handles, with the pins they had.
 * Errors: bm_movable_alloc tells of its own; errno is left alone otherwise. A handle that is stale (its block was freed)
 *   or was never one ends the program with a message, and so does every other misuse named below. A block's address given
 *   to free() or realloc() does so too.
 */
#ifndef BUDDYMALLOC_MOVABLE_H
#define BUDDYMALLOC_MOVABLE_H

#include <stdint.h>

#include "buddymalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The handle of a movable block; a plain value. 0 is none. */
typedef uint64_t bm_movable;

/* A block of at least size bytes, not pinned; contents undefined. 0 and errno ENOMEM: there is no memory; 0 and errno
 * EINVAL: size is 0 or above PTRDIFF_MAX. */
BM_EXPORT bm_movable bm_movable_alloc(size_t size);

/* Gives the block back. 0 is allowed. A block that is pinned is a fatal error. */
BM_EXPORT void bm_movable_free(bm_movable block);

/* The block's address, aligned to 4096, good until every pin has met its unpin. Pins nest and are counted, over all
 * threads; more than 16383 at a time are a fatal error. Never NULL. */
BM_EXPORT void* bm_movable_pin(bm_movable block);

/* Takes back one pin. A block that is not pinned is a fatal error. */
BM_EXPORT void bm_movable_unpin(bm_movable block);

/* The bytes that may be used in the block: what was asked for, rounded up to pages. */
BM_EXPORT size_t bm_movable_size(bm_movable block);

/* Moves blocks that are not pinned out of pageblocks (2 MiB each) that are little used, into others that are more; blocks
 * larger than a pageblock stay. Also asks the system for hugepages behind pageblocks that are mostly in use. Returns the
 * bytes of the pageblocks that it emptied; like all free memory, they go back to the system beyond a watermark (bm_trim
 * gives all back). 0 when there was nothing to do, or when another thread is at it. Takes about as long as copying what
 * moves, which is less than what it returns, but for what it could not bring to an end. */
BM_EXPORT size_t bm_compact(void);

#ifdef __cplusplus
}
#endif

#endif
