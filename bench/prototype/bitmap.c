// bitmap.c, candidate (b): a free bitmap per slab, out of band; malloc takes the lowest bit of the current word, free sets a bit.
#define SLAB_BITS
#define BIN_FAST \
  u64* word;     \
  char* at;      \
  u64 pad2_; /* current word of the current slab, address of its bit 0 */
#include "prototype.h"
EMPTY_HEAP(.word = none.bits)

static void bin_init(struct bin* b) { b->word = none.bits; }

static NOINLINE void* refill(size_t m) {
  struct heap* h = me == &empty ? heap_enter() : me;
  struct bin* b = bin_for(h, m);
  struct slab* s = slab_next(h, b);
  u32 i = 0;
  while (!s->bits[i]) i++;
  b->word = &s->bits[i];
  b->at = s->base + (u64)(i * 64) * b->size;
  return malloc(m + 1);
}

EXPORT void* malloc(size_t n) {
  size_t m = n - 1;
  if (unlikely(m >= SMALL_MAX)) return malloc_other(n);
  struct bin* b = bin_for(me, m);
  u64 *w = b->word, v = *w;
  if (unlikely(!v)) return refill(m);
  *w = v & (v - 1);
  return b->at + (u64)__builtin_ctzl(v) * b->size;
}

EXPORT void free(void* p) {
  u64 off = (char*)p - base;
  if (unlikely(off >= REGION)) return free_other(p);
  struct heap* h = me;
  u32 e = entry_at(off) ^ h->key;
  if (unlikely(e > 0xffff)) return free_other(p);
  slab_free((struct bin*)((char*)h + e), p);
}
