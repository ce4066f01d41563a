// slablist.c, candidate (a2): in-band list per slab, as mimalloc; malloc pops from the current slab, free pushes on the object's own.
#define SLAB_LIST
#define BIN_FAST u64 pad2_[3];
#include "prototype.h"
EMPTY_HEAP(.cur = &none)

static void bin_init(struct bin* b) { (void)b; }

static NOINLINE void* refill(size_t m) {
  struct heap* h = me == &empty ? heap_enter() : me;
  struct bin* b = bin_for(h, m);
  struct slab* s = slab_next(h, b);
  if (s->free) return malloc(m + 1);
  void** tail = &s->free;  // carve a page's worth
  for (u32 n = b->size < PAGE ? PAGE / b->size : 1; n-- && s->carve < s->end; s->carve += b->size)
    *tail = s->carve, tail = *tail;
  *tail = 0;
  return malloc(m + 1);
}

EXPORT void* malloc(size_t n) {
  size_t m = n - 1;
  if (unlikely(m >= SMALL_MAX)) return malloc_other(n);
  struct slab* s = bin_for(me, m)->cur;
  void* p = s->free;
  if (unlikely(!p)) return refill(m);
  s->free = *(void**)p;
  s->used++;
  return p;
}

EXPORT void free(void* p) {
  u64 off = (char*)p - base;
  if (unlikely(off >= REGION)) return free_other(p);
  struct heap* h = me;
  u32 e = entry_at(off) ^ h->key;
  if (unlikely(e > 0xffff)) return free_other(p);
  slab_free((struct bin*)((char*)h + e), p);
}
