// short_threads.c: hundreds of thousands of threads, each gone after a few blocks, some of which it leaves to its successors.
// What exited threads held must be taken over: the resident set after the first 10 000 is that at the end.
// limit: 60 300
// run: rss 20000 300000
#define _GNU_SOURCE
#include <pthread.h>

#include "validate.h"

enum { at_once = 8, left_over = 256, warm_up = 10000, allowed_growth_kib = 2048 };

static _Atomic(struct block*) legacy[left_over];

static void* short_life(void* argument) {
  uint64_t random = (uint64_t)(intptr_t)argument * 0x9e3779b97f4a7c15u + 1;
  struct block* own[24];
  for (int i = 0; i < 24; i++) own[i] = block_new(16 + random_next(&random) % 4000, random_next(&random));
  for (int i = 0; i < 24; i++) {
    // One in eight outlives its thread and is freed by another, usually after this one's exit.
    if (i % 8 == 0) own[i] = atomic_exchange(&legacy[random_next(&random) % left_over], own[i]);
    block_free(own[i], "short thread");
  }
  return NULL;
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: short_threads rss THREADS");
  long total = atol(arguments[2]), early = 0;
  if (total <= warm_up) fail("more than %d threads are needed", warm_up);
  validate_lookup();
  pthread_t ring[at_once];
  for (long i = 0; i < total; i++) {
    if (i >= at_once) pthread_join(ring[i % at_once], NULL);
    int error = pthread_create(&ring[i % at_once], NULL, short_life, (void*)(intptr_t)i);
    if (error) fail("pthread_create: error %d after %ld threads", error, i);
    if (i == warm_up) early = resident();
  }
  for (long i = total; i < total + at_once; i++) pthread_join(ring[i % at_once], NULL);
  long late = resident();
  for (int i = 0; i < left_over; i++) block_free(atomic_exchange(&legacy[i], NULL), "legacy");
  validate("at the end");
  printf("RSS %ld KiB after %ld threads and %ld KiB after %ld\n", early, (long)warm_up, late, total);
  if (late - early > allowed_growth_kib) fail("RSS grew by %ld KiB, from %ld", late - early, early);
  puts("ok");
  return 0;
}
