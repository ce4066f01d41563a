// cross_free.c: blocks are born in one thread, grown in another, freed in a third, their contents checked at each step.
// The live set is bounded by the rings, so the resident set must be too: remote frees have to come home.
// limit: 60 300
// run: pairs 300000 10000000
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>

#include "validate.h"

enum { lanes = 3, ring_slots = 512, allowed_growth_kib = 24 * 1024 };

struct ring {
  _Alignas(64) atomic_ulong written;
  _Alignas(64) atomic_ulong read;
  struct block* slots[ring_slots];
};

static struct ring born[lanes], grown[lanes];
static unsigned long blocks_per_lane;
static atomic_ulong freed;

static void push(struct ring* ring, struct block* block) {
  unsigned long at = atomic_load_explicit(&ring->written, memory_order_relaxed);
  while (at - atomic_load_explicit(&ring->read, memory_order_acquire) == ring_slots) sched_yield();
  ring->slots[at % ring_slots] = block;
  atomic_store_explicit(&ring->written, at + 1, memory_order_release);
}

static struct block* pop(struct ring* ring) {
  unsigned long at = atomic_load_explicit(&ring->read, memory_order_relaxed);
  while (at == atomic_load_explicit(&ring->written, memory_order_acquire)) sched_yield();
  struct block* block = ring->slots[at % ring_slots];
  atomic_store_explicit(&ring->read, at + 1, memory_order_release);
  return block;
}

static void* bear(void* argument) {
  int lane = (int)(intptr_t)argument;
  uint64_t random = (uint64_t)lane + 77;
  for (unsigned long i = 0; i < blocks_per_lane; i++)
    push(&born[lane], block_new(16 + random_next(&random) % 2000, random_next(&random)));
  return NULL;
}

static void* grow(void* argument) {
  int lane = (int)(intptr_t)argument;
  uint64_t random = (uint64_t)lane + 99;
  for (unsigned long i = 0; i < blocks_per_lane; i++) {
    struct block* block = pop(&born[lane]);
    if (random_next(&random) % 8 == 0) {
      size_t size = block->size + random_next(&random) % 5000;
      block_check(block, "before realloc");
      block = realloc(block, size);
      if (!block) fail("realloc(%zu) failed", size);
      block_check(block, "after realloc");
      block_fill(block, size, random);
    }
    push(&grown[lane], block);
  }
  return NULL;
}

static void* bury(void* argument) {
  int lane = (int)(intptr_t)argument;
  for (unsigned long i = 0; i < blocks_per_lane; i++) {
    block_free(pop(&grown[lane]), "from afar");
    atomic_fetch_add_explicit(&freed, 1, memory_order_relaxed);
  }
  return NULL;
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: cross_free pairs BLOCKS");
  blocks_per_lane = strtoul(arguments[2], NULL, 10) / lanes;
  validate_lookup();
  void* (*const roles[])(void*) = {bear, grow, bury};
  pthread_t threads[lanes][3];
  for (int lane = 0; lane < lanes; lane++)
    for (int role = 0; role < 3; role++) pthread_create(&threads[lane][role], NULL, roles[role], (void*)(intptr_t)lane);
  while (atomic_load(&freed) < blocks_per_lane * lanes / 4) usleep(1000);
  long early = resident();
  for (int lane = 0; lane < lanes; lane++)
    for (int role = 0; role < 3; role++) pthread_join(threads[lane][role], NULL);
  long late = resident();
  validate("at the end");
  printf("RSS %ld KiB after a quarter and %ld KiB at the end\n", early, late);
  if (late - early > allowed_growth_kib) fail("RSS grew by %ld KiB, from %ld", late - early, early);
  puts("ok");
  return 0;
}
