/* pages.h: whole pages from buddymalloc's page allocator, as the kernel's own users have them.
 *
 * Units: a page is 4096 bytes (BM_PAGE_SIZE) on every machine; an order n means 2^n pages; every size is in bytes and
 *   rounded up to pages where it is no multiple. A pageblock is 2 MiB (BM_PAGEBLOCK_SIZE), one hugepage.
 * Alignment: a run of 2^n pages begins at a multiple of its own size, up to 2 MiB (order 10: 4 MiB).
 * Threads: every function may be called by any thread at any time; pages may be freed by another thread than the one that
 *   allocated them. None of them is async-signal-safe.
 * Errors: functions that return pages return NULL and set errno to ENOMEM when there is no memory, and to EINVAL when an
 *   argument is not allowed; the others return -1 and set errno. errno is left alone on success, and by every free.
 * Misuse: pages freed twice, with another order or size, by another function than the one that belongs to them, or that
 *   are not from here, end the program with a message; so does free() or realloc() of such an address. For malloc they
 *   do not exist: bm_owns() says 0.
 * Shortage: before a request fails, the shrinkers of reclaim.h are asked.
 * Forks: a child has its own copy of every page, and may use and free what the thread that forked had. Of explicit
 *   hugepages the system needs a second one for each that either writes to; where it has none, it kills the child.
 */
#ifndef BUDDYMALLOC_PAGES_H
#define BUDDYMALLOC_PAGES_H

#include "buddymalloc/buddymalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BM_PAGE_SIZE 4096u
#define BM_PAGEBLOCK_SIZE 2097152u
#define BM_PAGES_MAX_ORDER 10u /* 4 MiB; longer runs: bm_pages_alloc_exact() */

/* Flags: one migratetype, and any of the others. A bit that means nothing here is EINVAL.
 * The migratetype is what the pages are expected to do; those of a type share pageblocks, so that whole ones empty. */
#define BM_PAGES_UNMOVABLE 0u   /* they live long */
#define BM_PAGES_MOVABLE 1u     /* they are freed before long; nothing moves them */
#define BM_PAGES_RECLAIMABLE 2u /* the program can free them when memory is short */

#define BM_PAGES_ZERO 4u /* all bytes zero; else contents are undefined */

/* For what must succeed when the system refuses memory: the reserve's pages first (from the heap's third mebibyte on, at
 * least 64 KiB, unless address space is limited), which have memory behind them, then those that probably have some. */
#define BM_PAGES_CRITICAL 8u

/* Zone: at most one of these. Without, Normal; a zone is made when it is first asked for. */
#define BM_PAGES_DMA32 16u /* addresses below 4 GiB, or ENOMEM: for what keeps 32 bits of a pointer */

/* Explicit hugepages (hugetlbfs) of 1 GiB or 2 MiB, which the administrator set aside, as long as there are some; then as
 * without. They are taken when pageblocks are opened, so that touching them never fails. */
#define BM_PAGES_HUGETLB 32u

/* Node: without, where the calling thread runs, then the others by distance. Node n, 0 to bm_pages_nodes() - 1, is tried
 * first with BM_PAGES_NODE(n); with BM_PAGES_THISNODE no other is. */
#define BM_PAGES_THISNODE 64u
#define BM_PAGES_NODE(n) (((unsigned)(n) + 1u) << 8)

/* How many nodes there are whose memory this process may use: 1 unless the machine has several. */
BM_EXPORT unsigned bm_pages_nodes(void);

/* Of pages from here, in use or free, malloc's included: the node, and the zone ("DMA32", "Normal", "Hugetlb"; the text
 * stays). -1 or NULL and EINVAL: another address. Constant time, and the only errors are of the argument. */
BM_EXPORT int bm_pages_node(const void* page);
BM_EXPORT const char* bm_pages_zone(const void* page);

/* 2^order pages, order 0 to BM_PAGES_MAX_ORDER. Up to order 4 the thread's own stock serves without a lock. */
BM_EXPORT void* bm_pages_alloc(unsigned order, unsigned flags);

/* Gives back 2^order pages: a run allocated with that order, or, of a run that was split, any part of 2^order pages that
 * begins at a multiple of that size. NULL is allowed. */
BM_EXPORT void bm_pages_free(void* pages, unsigned order);

/* From now on each of the 2^order pages of the run is freed by itself, or as part of a run of a smaller order. */
BM_EXPORT void bm_pages_split(void* pages, unsigned order);

/* As many pages as bytes need and not one more, adjacent; 0 bytes are EINVAL. Aligned as the next higher order's run. */
BM_EXPORT void* bm_pages_alloc_exact(size_t bytes, unsigned flags);

/* Gives back what bm_pages_alloc_exact(bytes) returned, with a size of as many pages. NULL is allowed. */
BM_EXPORT void bm_pages_free_exact(void* pages, size_t bytes);

/* A contiguous range set apart for later large requests: bytes rounded up to pageblocks, aligned to 4 MiB, in a zone and
 * on a node as the flags above say (no others are allowed; 0: Normal, the nearest node that has such a range). Until it is
 * asked for, its pages are lent to the movable blocks of movable.h, and to nothing else. Returns the area, which is the
 * address of its first byte; not to be touched, only what bm_cma_alloc() returns is. */
BM_EXPORT void* bm_cma_reserve(size_t bytes, unsigned flags);

/* Adjacent pages of an area: the lowest that are free, at a multiple of `align` bytes, a power of two (0: a page). errno
 * is EBUSY when there would be room, but what is lent there cannot be moved away now, ENOMEM when there is not. */
BM_EXPORT void* bm_cma_alloc(void* area, size_t bytes, size_t align);

/* Gives back what bm_cma_alloc(area, bytes) returned, with a size of as many pages. NULL is allowed for pages. */
BM_EXPORT void bm_cma_free(void* area, void* pages, size_t bytes);

/* The end of an area: its pages serve everybody. -1 and EBUSY while something of it is in use, lent or not. */
BM_EXPORT int bm_cma_release(void* area);

/* Takes whole pageblocks out of allocation; start and bytes are multiples of BM_PAGEBLOCK_SIZE. What is in use in them
 * stays so, and stays out when it is freed. Pages that threads hold ready for malloc are in use in this sense. EINVAL: not
 * of one zone of buddymalloc's pages, or not aligned; EBUSY: one of them is isolated already, or reserved: nothing has changed. */
BM_EXPORT int bm_pages_isolate(void* start, size_t bytes);

/* Puts isolated pageblocks back; those in the range that are not isolated stay as they are. EINVAL as above. */
BM_EXPORT int bm_pages_unisolate(void* start, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
