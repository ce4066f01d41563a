// prototype.h: what the four small-object prototypes share: address space, page map, size classes, slabs, remote frees, and the
// rest of the malloc family. A prototype defines SLAB_LIST or SLAB_BITS and BIN_FAST (the fields of its fast path), includes
// this file, and writes malloc, free and bin_init. Throw-away code: no purge, no fork, no options.
//
//   region  [ page map: u32 per 4 KiB page ][ slab descriptors: 128 B per page, sparse ][ slabs, naturally aligned ... ]  1 TiB
//   entry   owner's heap number << 16 | offset of the size class's bin in any heap;  entry ^ heap->key < 64 Ki: mine
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define NOINLINE __attribute__((noinline, cold))
#define EXPORT __attribute__((visibility("default")))
#define LINE __attribute__((aligned(64)))
#define REGION (1ull << 40)
#define CURRENT_LEFT (1u << 30)
enum { PAGE = 4096, CLASSES = 80, SMALL_MAX = 65536, HEAPS = 4096, CACHE_MIN = 15, CACHE_MAX = 1023 };
#ifndef SLAB_OBJECTS
#define SLAB_OBJECTS 256
#endif
#ifndef BATCH_MAX
#define BATCH_MAX 64
#endif
#ifndef CACHE_BYTES
#define CACHE_BYTES (1 << 20)
#endif

// A slab is the current one of its bin, or on the bin's partial list, or full and on no list. Malloc takes from the current
// slab only, so a free needs the slow path exactly when a full slab gets its first free or a partial one its last.
enum { CURRENT, PARTIAL, FULL };
struct slab {
#ifdef SLAB_LIST
  void* free;         // in-band list
  char *carve, *end;  // never handed out yet
  u32 used, watch;    // owner's slow path when used falls to watch
#else
  u64 bits[4];        // 1: free. The truth about the slab
  u32 left, unused_;  // owner's slow path after this many frees
#endif
  struct slab *next, *prev;
  char* base;
  LINE _Atomic(u64) remote[4];  // SLAB_LIST: head of an in-band list in [0]; SLAB_BITS: freed by other threads
  struct slab* remote_next;
  _Atomic(u32) pending;
  u16 count;
  char state, shared;
};
_Static_assert(sizeof(struct slab) == 128, "descriptor");

struct bin {
  BIN_FAST  // 24 bytes, the prototype's own
      struct slab *cur,
      *head, *tail;
  u32 size, recip, low;  // recip = ceil(2^32 / size); low = slab bytes - 1
  u16 cap;
  char refilled, pad_;
};
_Static_assert(sizeof(struct bin) == 64, "bin");

struct heap {
  u32 key, number;
  struct heap* next;
  LINE _Atomic(struct slab*) remote;  // slabs with remote frees
  struct bin bins[CLASSES] LINE;
};
#define BINS_AT offsetof(struct heap, bins)

static char* base = (char*)(1ull << 63);  // before start-up every pointer is outside
static struct slab none;                  // a bin without a slab: never has a free object
static struct heap empty;                 // the heap of a thread without one; see EMPTY_HEAP
static __thread struct heap* me __attribute__((tls_model("initial-exec"))) = &empty;
static struct heap *heaps[HEAPS], *idle_heaps;
static u32 heap_count;
static char *bump, *meta, *meta_end;
static struct slab* pool[16];  // empty slabs by log2 of pages
static atomic_flag pool_lock = ATOMIC_FLAG_INIT;
static pthread_key_t at_exit;

// The prototype's hook: make a fresh heap's bin ready.
static void bin_init(struct bin* b);

static inline void lock(void) {
  while (atomic_flag_test_and_set(&pool_lock)) sched_yield();
}
static inline void unlock(void) { atomic_flag_clear(&pool_lock); }
static NOINLINE void die(const char* why) {
  (void)!write(2, why, strlen(why));
  __builtin_trap();
}

// 16-byte steps to 128, then eight steps per doubling. Branch-free: m is the size - 1, below SMALL_MAX.
static inline u32 class_of(size_t m) {
  u32 b = 63 - __builtin_clzl(m | 255);
  return (b - 7) * 8 + (u32)(m >> (b - 3));
}
static u32 class_size(u32 c) { return c < 16 ? 16 * (c + 1) : (c % 8 + 9) << (c / 8 + 3); }
static inline struct bin* bin_for(struct heap* h, size_t m) { return &h->bins[class_of(m)]; }

// Largest power of two with at most 256 objects, at most 64 KiB unless that holds fewer than 32 objects, at most 512 KiB.
static u32 slab_bytes(u32 size) {
  u32 s = PAGE;
  while (s * 2 <= SLAB_OBJECTS * size && (s < 65536 || s < 32 * size) && s < (512 << 10)) s *= 2;
  return s;
}

static inline u32 entry_at(u64 off) { return ((u32*)base)[off >> 12]; }
// Descriptor by arithmetic; the low bits are mixed so that 64 KiB slabs do not share one L1 set.
static inline struct slab* slab_at(u64 slab_off) {
  return (struct slab*)(base + (1 << 30) + ((slab_off >> 5) ^ ((slab_off >> 9) & 0x780)));
}
static inline u32 index_in(struct bin* b, u64 off_in_slab) { return (u32)((off_in_slab * b->recip) >> 32); }

static void* meta_alloc(size_t n) {  // under the lock
  n = (n + 63) & ~63ul;
  if (meta + n > meta_end) {
    meta = mmap(0, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (meta == MAP_FAILED) die("prototype: no memory\n");
    meta_end = meta + (4 << 20);
  }
  return (meta += n) - n;
}

static void set_entries(struct slab* s, u32 bytes, u32 entry) {
  u32* e = (u32*)base + ((u64)(s->base - base) >> 12);
  for (u32 i = 0; i < bytes / PAGE; i++) e[i] = entry;
}

static struct slab* slab_take(struct heap* h, struct bin* b) {
  u32 bytes = b->low + 1, order = __builtin_ctz(bytes / PAGE);
  lock();
  struct slab* s = pool[order];
  if (s)
    pool[order] = s->next;
  else {
    char* at = (char*)(((u64)bump + b->low) & ~(u64)b->low);
    bump = at + bytes;
    if (bump > base + REGION) die("prototype: region full\n");
    s = slab_at(at - base);
    s->base = at;
  }
  unlock();
  s->count = bytes / b->size;
#ifdef SLAB_LIST
  s->free = 0, s->carve = s->base, s->end = s->base + s->count * b->size, s->used = 0;
#else
  for (int i = 0, n = s->count; i < 4; i++, n -= 64) s->bits[i] = n >= 64 ? ~0ull : n > 0 ? (1ull << n) - 1 : 0;
#endif
  set_entries(s, bytes, h->number << 16 | (u32)((char*)b - (char*)h));
  return s;
}

static void list_remove(struct bin* b, struct slab* s) {
  *(s->prev ? &s->prev->next : &b->head) = s->next;
  *(s->next ? &s->next->prev : &b->tail) = s->prev;
}
static void list_append(struct bin* b, struct slab* s) {
  s->next = 0, s->prev = b->tail;
  *(b->tail ? &b->tail->next : &b->head) = s;
  b->tail = s;
}

static inline bool has_free(struct slab* s) {
#ifdef SLAB_LIST
  return s->free || s->carve < s->end;
#else
  return s->bits[0] | s->bits[1] | s->bits[2] | s->bits[3];
#endif
}
static u32 used(struct slab* s) {
#ifdef SLAB_LIST
  return s->used;
#else
  u32 n = s->count;
  for (int i = 0; i < 4; i++) n -= __builtin_popcountl(s->bits[i]);
  return n;
#endif
}
static void set_state(struct slab* s, int state) {
  s->state = state;
#ifdef SLAB_LIST
  s->watch = state == CURRENT ? ~0u : state == PARTIAL ? 0 : s->used - 1;
#else
  s->left = state == CURRENT ? CURRENT_LEFT : state == PARTIAL ? used(s) : 1;
#endif
}

// A full slab got its first free, or a partial one became empty: keep one empty slab, give the others to the pool.
static NOINLINE void slab_event(struct bin* b, struct slab* s) {
  if (s->state == FULL) list_append(b, s), set_state(s, PARTIAL);
  if (s->state != PARTIAL || used(s) || s->shared || b->head == b->tail) return;
  list_remove(b, s);
  set_entries(s, b->low + 1, 0);
  u32 order = __builtin_ctz((b->low + 1) / PAGE);
  lock();
  s->next = pool[order], pool[order] = s;
  unlock();
}

// Owner's free of one object into its slab.
static inline __attribute__((always_inline)) void slab_free(struct bin* b, void* p) {
  u64 off = (char*)p - base, in = off & b->low;
  struct slab* s = slab_at(off - in);
#ifdef SLAB_LIST
  *(void**)p = s->free, s->free = p;
  if (unlikely(--s->used == s->watch)) slab_event(b, s);
#else
  u32 i = index_in(b, in);
  u64 *w = &s->bits[i / 64], bit = 1ull << i % 64, v = *w;
  if (unlikely(v & bit)) die("prototype: double free\n");
  *w = v | bit;
  if (unlikely(--s->left == 0)) slab_event(b, s);
#endif
}

static void collect_remote(struct heap* h) {
  for (struct slab *s = atomic_exchange(&h->remote, 0), *next; s; s = next) {
    next = s->remote_next;
    s->shared = 1;  // a late freer may still name it: never back to the pool (shortcut of the prototype)
    atomic_store(&s->pending, 0);
    struct bin* b = (struct bin*)((char*)h + (u16)entry_at(s->base - base));
#ifdef SLAB_LIST
    for (void *p = (void*)atomic_exchange(&s->remote[0], 0), *n; p; p = n) n = *(void**)p, slab_free(b, p);
#else
    for (int i = 0; i < 4; i++)
      for (u64 v = atomic_exchange(&s->remote[i], 0); v; v &= v - 1)
        slab_free(b, s->base + (u64)(i * 64 + __builtin_ctzl(v)) * b->size);
#endif
  }
}

// A current slab with something free: remote frees first, then the oldest partial slab, then a new one.
static struct slab* slab_next(struct heap* h, struct bin* b) {
  if (atomic_load_explicit(&h->remote, memory_order_relaxed)) collect_remote(h);
  if (has_free(b->cur)) return b->cur;
  if (b->cur != &none) set_state(b->cur, FULL);
  struct slab* s = b->head;
  if (s)
    list_remove(b, s);
  else
    s = slab_take(h, b);
  set_state(s, CURRENT);
  return b->cur = s;
}

static NOINLINE void heap_leave(void* h) {
  me = &empty;
  lock();
  ((struct heap*)h)->next = idle_heaps, idle_heaps = h;
  unlock();
}

// The thread's heap: an idle one with all it holds, or a new one.
static NOINLINE struct heap* heap_enter(void) {
  lock();
  if (!bump) {
    char* r = mmap(0, REGION + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (r == MAP_FAILED) die("prototype: no region\n");
    r = (char*)(((u64)r + (2 << 20) - 1) & ~((2ull << 20) - 1));
    bump = r + (1ull << 30) + 2 * (REGION >> 12) * sizeof(struct slab);  // descriptors, idle bits of hybrid.c
    base = r;
    pthread_key_create(&at_exit, heap_leave);
  }
  struct heap* h = idle_heaps;
  if (h)
    idle_heaps = h->next;
  else {
    if (++heap_count == HEAPS) die("prototype: too many threads\n");
    h = heaps[heap_count] = meta_alloc(sizeof *h);
    h->number = heap_count, h->key = heap_count << 16;
    for (u32 c = 0; c < CLASSES; c++) {
      struct bin* b = &h->bins[c];
      b->size = class_size(c), b->recip = (u32)((1ull << 32) / b->size + !!((1ull << 32) % b->size)),
      b->low = slab_bytes(b->size) - 1;
      b->cur = &none, b->cap = CACHE_MIN;
      bin_init(b);
    }
  }
  me = h;
  unlock();
  pthread_setspecific(at_exit, h);
  return h;
}

// Adaptive cache size (links, hybrid): twice as large when the cache both ran dry and overflowed; bounded in slots and bytes.
static inline bool cache_may_grow(struct bin* b) {
  u32 max = CACHE_BYTES / b->size;
  if (!b->refilled || b->cap >= CACHE_MAX || b->cap * 2u + 1 > (max < CACHE_MIN ? CACHE_MIN : max)) return false;
  b->refilled = 0, b->cap = b->cap * 2 + 1;
  return true;
}

// Objects moved at once between cache and slabs: half the cache, but not more than a bitmap word holds.
static inline u32 batch_of(struct bin* b) {
  u32 half = (b->cap + 1u) / 2;
  return half < BATCH_MAX ? half : BATCH_MAX;
}

// Above 64 KiB: a mapping of its own, its extent in the 16 bytes before the block.
struct large {
  char* map;
  size_t len;
};
static void* large_alloc(size_t n, size_t align) {
  if (n > PTRDIFF_MAX - align - PAGE) return errno = ENOMEM, (void*)0;
  size_t len = (n + align + 2 * PAGE - 1) & ~(size_t)(PAGE - 1);
  char* m = mmap(0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (m == MAP_FAILED) return errno = ENOMEM, (void*)0;
  char* p = (char*)(((u64)m + PAGE + align - 1) & ~(u64)(align - 1));
  ((struct large*)p)[-1] = (struct large){m, len};
  return p;
}

// malloc without a bin: zero or large.
EXPORT void* malloc(size_t n);
EXPORT void free(void* p);
static NOINLINE void* malloc_other(size_t n) { return n ? large_alloc(n, 16) : malloc(1); }

// free of what is not this thread's small object.
static NOINLINE void free_other(void* p) {
  u64 off = (char*)p - base;
  if (!p) return;
  if (off >= REGION) {
    struct large l = ((struct large*)p)[-1];
    munmap(l.map, l.len);
    return;
  }
  u32 e = entry_at(off);
  if (!e) die("prototype: invalid free\n");
  struct heap* h = heaps[e >> 16];
  u64 in = off & ((struct bin*)((char*)h + (u16)e))->low;
  struct slab* s = slab_at(off - in);
#ifdef SLAB_LIST
  u64 head = atomic_load(&s->remote[0]);
  do *(u64*)p = head;
  while (!atomic_compare_exchange_weak(&s->remote[0], &head, (u64)p));
#else
  u32 i = index_in((struct bin*)((char*)h + (u16)e), in);
  if (atomic_fetch_or(&s->remote[i / 64], 1ull << i % 64) & 1ull << i % 64) die("prototype: double free\n");
#endif
  if (atomic_exchange(&s->pending, 1)) return;
  s->remote_next = atomic_load(&h->remote);
  while (!atomic_compare_exchange_weak(&h->remote, &s->remote_next, s)) {
  }
}

EXPORT size_t malloc_usable_size(void* p) {
  u64 off = (char*)p - base;
  if (!p) return 0;
  if (off < REGION) return class_size(((u16)entry_at(off) - BINS_AT) / sizeof(struct bin));
  struct large l = ((struct large*)p)[-1];
  return l.map + l.len - (char*)p;
}
EXPORT void* calloc(size_t a, size_t b) {
  size_t n;
  if (__builtin_mul_overflow(a, b, &n)) return errno = ENOMEM, (void*)0;
  void* p = malloc(n);
  return p && n <= SMALL_MAX ? memset(p, 0, n) : p;
}
EXPORT void* realloc(void* p, size_t n) {
  if (!p) return malloc(n);
  if (!n) return free(p), (void*)0;
  size_t old = malloc_usable_size(p);
  if (n <= old && n >= old / 2) return p;
  void* q = malloc(n);
  if (q) memcpy(q, p, n < old ? n : old), free(p);
  return q;
}
EXPORT void* memalign(size_t align, size_t n) {
  if (align <= 16) return malloc(n);
  if (n < align) n = align;
  if (n > SMALL_MAX) return large_alloc(n, align);
  u32 c = class_of(n - 1);
  while (class_size(c) % align) c++;  // objects start at multiples of their size in an aligned slab
  return malloc(class_size(c));
}
EXPORT void* aligned_alloc(size_t align, size_t n) { return memalign(align, n); }
EXPORT int posix_memalign(void** out, size_t align, size_t n) { return (*out = memalign(align, n)) ? 0 : ENOMEM; }

#define EMPTY_HEAP(...) static struct heap empty = {.key = 0xffff0000, .bins = {[0 ... CLASSES - 1] = {__VA_ARGS__}}};
