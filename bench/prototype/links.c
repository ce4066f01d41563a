// links.c, candidate (a): one in-band free list per bin, a thread cache; slabs below with in-band lists of their own.
#define SLAB_LIST
#define BIN_FAST       \
  void* list;          \
  int32_t room, pad2_; \
  u64 pad3_; /* room: frees until the cache overflows */
#include "prototype.h"
EMPTY_HEAP(.list = 0)

static void bin_init(struct bin* b) { b->room = CACHE_MIN; }

static NOINLINE void* refill(size_t m) {
  struct heap* h = me == &empty ? heap_enter() : me;
  struct bin* b = bin_for(h, m);
  b->refilled = 1;
  void *first = 0, **tail = &first;
  u32 n = 0, batch = batch_of(b);
  do {  // fill up from partial slabs, but open at most one new slab
    struct slab* s = slab_next(h, b);
    u32 before = n;
    for (void* p; n < batch; n++, *tail = p, tail = p) {
      if ((p = s->free))
        s->free = *(void**)p;
      else if (s->carve < s->end)
        p = s->carve, s->carve += b->size;
      else
        break;
    }
    s->used += n - before;
  } while (n < batch && b->head);
  *tail = 0;
  b->room += n - 1;
  b->list = *(void**)first;
  return first;
}

static NOINLINE void overflow(struct bin* b) {
  int cap = b->cap;
  if (cache_may_grow(b)) {
    b->room += b->cap - cap;
    return;
  }
  for (u32 n = batch_of(b); n--; b->room++) {
    void* p = b->list;
    b->list = *(void**)p;
    slab_free(b, p);
  }
}

EXPORT void* malloc(size_t n) {
  size_t m = n - 1;
  if (unlikely(m >= SMALL_MAX)) return malloc_other(n);
  struct bin* b = bin_for(me, m);
  void* p = b->list;
  if (unlikely(!p)) return refill(m);
  b->list = *(void**)p;
  b->room++;
  return p;
}

EXPORT void free(void* p) {
  u64 off = (char*)p - base;
  if (unlikely(off >= REGION)) return free_other(p);
  struct heap* h = me;
  u32 e = entry_at(off) ^ h->key;
  if (unlikely(e > 0xffff)) return free_other(p);
  struct bin* b = (struct bin*)((char*)h + e);
  *(void**)p = b->list;
  b->list = p;
  if (unlikely(--b->room < 0)) overflow(b);
}
