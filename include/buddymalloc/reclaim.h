/* reclaim.h: memory that a program can do without, offered to buddymalloc for when there is no other.
 *
 * A shrinker stands for memory that the program holds and could drop: a cache, say. When a request is about to fail,
 * buddymalloc first gives up its own caches and then asks the shrinkers, for more and more, until the request can be
 * served. Modelled on the kernel's count_objects and scan_objects.
 *
 * Where they are called: inside malloc, calloc, realloc and their kin (bm_* included), in the thread whose request would
 *   fail, with no lock of buddymalloc held. Never inside free, never by another thread's hand.
 * What they may do: free, with free or bm_free; allocate, but a request that fails inside a shrinker fails at once.
 *   They must not wait for a lock that a thread may hold while it allocates: try it, and return BM_SHRINK_STOP when it is
 *   taken. They must not throw, longjmp or end the thread.
 * Threads: any function here may be called by any thread at any time. Several threads may be inside the same shrinker.
 * After a fork the child has the parent's shrinkers.
 */
#ifndef BUDDYMALLOC_RECLAIM_H
#define BUDDYMALLOC_RECLAIM_H

#include <stddef.h>

#include "buddymalloc/buddymalloc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bm_shrinker bm_shrinker;

/* The bytes that scan could free just now; 0 when there are none. Called often: it should be quick. */
typedef size_t (*bm_shrinker_count)(void* argument);

/* Frees about that many bytes, the least useful first, and returns how many it has freed; BM_SHRINK_STOP when it cannot
 * at the moment. bytes is at most what count returned. */
typedef size_t (*bm_shrinker_scan)(void* argument, size_t bytes);
#define BM_SHRINK_STOP ((size_t)-1)

/* Registers a shrinker; argument is handed to both functions. NULL and EINVAL when one of them is NULL, NULL and ENOMEM when
 * 64 shrinkers are registered already. */
BM_EXPORT bm_shrinker* bm_shrinker_register(bm_shrinker_count count, bm_shrinker_scan scan, void* argument);

/* Ends it. When this returns no thread is inside it, and none will be. NULL is allowed. From within a shrinker, or with one
 * that is not registered, the program ends with a message. */
BM_EXPORT void bm_shrinker_unregister(bm_shrinker* shrinker);

#ifdef __cplusplus
}
#endif

#endif
