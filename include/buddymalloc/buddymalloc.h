/* buddymalloc.h: the public C API of buddymalloc.
 *
 * These functions exist in the shared library, in the static archive and in the core archive, which overrides
 * nothing: a program that embeds the core keeps the malloc it has and uses the two side by side.
 *
 * Units: every size is in bytes.
 * Threads: every function may be called by any thread at any time; a block may be freed by another thread than
 *   the one that allocated it. None of them is async-signal-safe.
 * Errors: functions that return a block return NULL and set errno to ENOMEM when there is no memory, and to
 *   EINVAL when an argument is not allowed. errno is left alone on success.
 * Blocks: where the whole of malloc is overridden (shared library, static archive) bm_* blocks and malloc blocks
 *   are the same thing. With the core archive they are not: give each block back to the allocator it came from.
 */
#ifndef BUDDYMALLOC_BUDDYMALLOC_H
#define BUDDYMALLOC_BUDDYMALLOC_H

#include <stddef.h>

/* Everything is built with hidden visibility; this one macro marks what leaves the library. */
#define BM_EXPORT __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

/* A block of at least size bytes, aligned to 16; contents undefined. size 0 gives a block of its own, to be freed. */
BM_EXPORT void* bm_malloc(size_t size);

/* Gives a block back. NULL is allowed. errno is kept. A block freed twice, or one that is not from here, ends the
 * program with a message. */
BM_EXPORT void bm_free(void* block);

/* A block for count objects of size bytes each, all bytes zero. A product that overflows is ENOMEM. */
BM_EXPORT void* bm_calloc(size_t count, size_t size);

/* Changes the size of a block and keeps the contents up to the smaller of both sizes; the block may move. NULL as
 * block means bm_malloc(size). size 0 frees the block and returns NULL. On failure the block stays as it was. */
BM_EXPORT void* bm_realloc(void* block, size_t size);

/* A block aligned to alignment, a power of two; any other alignment is EINVAL. size need not be a multiple of it. */
BM_EXPORT void* bm_aligned_alloc(size_t alignment, size_t size);

/* The bytes that may be used in a block, at least what was asked for; 0 for NULL and for addresses not from here. */
BM_EXPORT size_t bm_usable_size(const void* block);

/* 1 when the address is the start of a block of this allocator that is in use, as far as can be told, else 0. */
BM_EXPORT int bm_owns(const void* address);

/* Gives free memory back to the system, all but about keep bytes. 1 when something was given back, else 0. */
BM_EXPORT int bm_trim(size_t keep);

/* Checks every invariant of the heap. Returns the number of broken ones, 0 for a sound heap; each broken one is
 * named on file descriptor 2. Slow: it walks the whole heap. */
BM_EXPORT int bm_validate(void);

/* Writes a report about the heap, as text for people, to a file descriptor. */
BM_EXPORT void bm_stats_print(int fd);

/* Reports about the heap in the kernel's formats, to a file descriptor; parsers of the files of that name in /proc read
 * them. Counts of one zone are taken at one moment, so that their sums are exact. Before the first use of the heap
 * nothing is written, but slabinfo's head. */
BM_EXPORT void bm_buddyinfo(int fd);    /* free blocks by order */
BM_EXPORT void bm_pagetypeinfo(int fd); /* free blocks by migratetype and order, pageblocks by migratetype */
BM_EXPORT void bm_zoneinfo(int fd);     /* pages: free, watermarks, reserved, opened, usable, free and backed */
BM_EXPORT void bm_slabinfo(int fd);     /* objects and slabs by size class; objects in threads' bins count as active */

/* The version of the library that is running, "major.minor.patch". Never NULL, never to be freed. */
BM_EXPORT const char* bm_version(void);

#ifdef __cplusplus
}
#endif

#endif
