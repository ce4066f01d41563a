/* hugepages.h: how much of the heap is really on hugepages, and how much memory it has for nothing.
 *
 * buddymalloc asks the system for hugepages behind all of its page space but the first part (32 MiB). Whether they are
 * there only the system knows: it may have had none, or have split them since. This asks it, pageblock by pageblock.
 *
 * Units: every size is in bytes; a pageblock is 2 MiB, one hugepage.
 * Threads: any thread at any time. Each pageblock is looked at at a moment of its own, so that the figures of a heap that is
 *   changing need not fit together to the page. Not async-signal-safe. It does not allocate.
 * Time: some microseconds for each pageblock; no lock is held while the system is asked.
 * In use is what the page allocator has handed out: what threads keep ready and free objects in slabs are in use here.
 * Not counted: blocks above 1 GiB, which have mappings of their own, and buddymalloc's own metadata.
 */
#ifndef BUDDYMALLOC_HUGEPAGES_H
#define BUDDYMALLOC_HUGEPAGES_H

#include <stddef.h>

#include "buddymalloc/buddymalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bm_hugepages {
  size_t pageblocks;        /* opened: ever used */
  size_t pageblocks_in_use; /* of them with a page that is not free */
  size_t pageblocks_huge;   /* of those for which hugepages are wished: on one */
  size_t pageblocks_split;  /* of those: have memory, and it is on small pages */
  size_t resident_bytes;    /* in all of them; the shared page of zeros does not count */
  size_t small_bytes;       /* of resident_bytes: in the part for which small pages are asked */
  size_t huge_bytes;        /* of resident_bytes: on hugepages that were wished for */
  size_t waste_bytes;       /* of resident_bytes: in free pages */
  size_t unasked_bytes; /* of waste_bytes: came with a hugepage, nobody has touched them since they last went back */
  /* 1: pageblocks_huge, pageblocks_split and huge_bytes are true. 0: the system does not tell (before Linux 6.7), and they
   * say nothing. Coverage is huge_bytes / (resident_bytes - small_bytes). */
  int huge_known;
} bm_hugepages;

/* Fills *report; all zero but huge_known before the heap's first use. 0; or -1 and errno: EINVAL, report is NULL; ENOSYS,
 * the system does not tell what is resident (/proc is not there). errno is left alone on success. */
BM_EXPORT int bm_hugepage_report(bm_hugepages* report);

#ifdef __cplusplus
}
#endif

#endif
