// hybrid.c, candidate (c): bitmap truth out of band as in (b), and per bin an array of ready pointers. Malloc and free touch only the
// array; freed objects are never written. An object in the array counts as taken in the bitmap.
#define SLAB_BITS
#define BIN_FAST void **top, **limit, **slots; /* slots[0] is null, the sentinel of malloc */
#include "prototype.h"
#define IDLE_AT (32ull << 30) /* from a descriptor to its idle bits: a second sparse array */
// EXACT, candidate (c+): a second bitmap says which objects are in an array, so that every double free is seen at once.
static inline __attribute__((always_inline, unused)) u64* idle_word(struct bin* b, void* p, u64* bit, u64* free_bits) {
  u64 off = (char*)p - base, in = off & b->low;
  struct slab* s = slab_at(off - in);
  u32 i = index_in(b, in);
  *bit = 1ull << i % 64, *free_bits = s->bits[i / 64];
  return (u64*)((char*)s + IDLE_AT) + i / 64;
}
static inline void idle_set(struct bin* b, void* p) {
#ifdef EXACT
  u64 bit, free_bits, *w = idle_word(b, p, &bit, &free_bits);
  if (unlikely((*w | free_bits) & bit)) die("prototype: double free\n");
  *w |= bit;
#else
  (void)b, (void)p;
#endif
}
static inline void idle_clear(struct bin* b, void* p) {
#ifdef EXACT
  u64 bit, free_bits, *w = idle_word(b, p, &bit, &free_bits);
  *w &= ~bit;
#else
  (void)b, (void)p;
#endif
}

static void* no_slots[1];
EMPTY_HEAP(.top = no_slots)

static void bin_init(struct bin* b) { b->top = b->limit = b->slots = no_slots; }

static void slots_set(struct bin* b,
                      u32 filled) {  // an array of b->cap slots; smaller predecessors are left (at most as much again)
  lock();
  void** to = meta_alloc((b->cap + 1) * sizeof(void*));
  unlock();
  memcpy(to, b->slots, (filled + 1) * sizeof(void*));
  b->slots = to, b->top = to + filled, b->limit = to + b->cap;
}

static NOINLINE void* refill(size_t m) {
  struct heap* h = me == &empty ? heap_enter() : me;
  struct bin* b = bin_for(h, m);
  b->refilled = 1;
  if (b->slots == no_slots) slots_set(b, 0);
  void **end = b->slots + batch_of(b), **at = end + 1;  // filled downwards: the lowest address comes out first
  do {                                                  // fill up from partial slabs, but open at most one new slab
    struct slab* s = slab_next(h, b);
    for (int i = 0; i < 4; i++) {
      u64 v = s->bits[i];
      char* word_at = s->base + (u64)(i * 64) * b->size;
      for (; v && at > b->slots + 1; v &= v - 1) *--at = word_at + (u64)__builtin_ctzl(v) * b->size;
      s->bits[i] = v;
    }
  } while (at > b->slots + 1 && b->head);
  u32 n = end + 1 - at;
  memmove(b->slots + 1, at, n * sizeof(void*));
  b->top = b->slots + n - 1;
  for (u32 i = 1; i < n; i++) idle_set(b, b->slots[i]);
  return b->slots[n];
}

static NOINLINE void overflow(struct bin* b, void* p) {
  u32 filled = b->cap, batch = batch_of(b);
  if (cache_may_grow(b))
    slots_set(b, filled);
  else {  // the coldest go back
    for (u32 i = 1; i <= batch; i++) idle_clear(b, b->slots[i]), slab_free(b, b->slots[i]);
    memmove(b->slots + 1, b->slots + 1 + batch, (filled - batch) * sizeof(void*));
    b->top -= batch;
  }
  *++b->top = p;
}

EXPORT void* malloc(size_t n) {
  size_t m = n - 1;
  if (unlikely(m >= SMALL_MAX)) return malloc_other(n);
  struct bin* b = bin_for(me, m);
  void **t = b->top, *p = *t;
  if (unlikely(!p)) return refill(m);
  b->top = t - 1;
  idle_clear(b, p);
  return p;
}

EXPORT void free(void* p) {
  u64 off = (char*)p - base;
  if (unlikely(off >= REGION)) return free_other(p);
  struct heap* h = me;
  u32 e = entry_at(off) ^ h->key;
  if (unlikely(e > 0xffff)) return free_other(p);
  struct bin* b = (struct bin*)((char*)h + e);
  idle_set(b, p);
  void** t = b->top;
  if (unlikely(t == b->limit)) return overflow(b, p);
  t[1] = p;
  b->top = t + 1;
}
