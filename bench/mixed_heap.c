/* mixed_heap.c: a small program's heap: 1 MB live in objects of 16 to 1024 bytes, under churn.  layer: bench
 * Every object is filled from its slot and size and checked when it is replaced, so that a memory figure
 * is never bought with damaged contents. Prints VmRSS and VmHWM in KiB; exits 1 on damage. */
#include "memory_usage.h"
#include "random.h"

#include <stdio.h>

enum {
  smallest = 16,
  largest = 1024,
  live_target = 1000 * 1000,
  slots = live_target / ((smallest + largest) / 2),
  replacements = 2 * 1000 * 1000,
};

struct object {
  unsigned char* bytes;
  size_t size;
};

static struct object objects[slots];

static unsigned char pattern(size_t slot, size_t size) { return (unsigned char)(slot * 31 + size); }

static void fail(const char* what) {
  fprintf(stderr, "mixed_heap: %s\n", what);
  exit(1);
}

static void fill(size_t slot, size_t size) {
  unsigned char* bytes = malloc(size);
  if (!bytes) fail("malloc failed");
  memset(bytes, pattern(slot, size), size);
  objects[slot] = (struct object){bytes, size};
}

static void check(size_t slot) {
  const struct object* object = &objects[slot];
  unsigned char expected = pattern(slot, object->size);
  for (size_t i = 0; i < object->size; i++)
    if (object->bytes[i] != expected) fail("an object was overwritten");
}

int main(void) {
  struct bench_random random = {UINT64_C(0x9E3779B97F4A7C15)};
  for (size_t slot = 0; slot < slots; slot++) fill(slot, bench_between(&random, smallest, largest));
  for (size_t i = 0; i < replacements; i++) {
    size_t slot = bench_between(&random, 0, slots - 1);
    check(slot);
    free(objects[slot].bytes);
    fill(slot, bench_between(&random, smallest, largest));
  }
  for (size_t slot = 0; slot < slots; slot++) check(slot);

  long resident = memory_usage_kib("VmRSS:");
  long peak = memory_usage_kib("VmHWM:");
  printf("VmRSS %ld\nVmHWM %ld\n", resident, peak);
  for (size_t slot = 0; slot < slots; slot++) free(objects[slot].bytes);
  return 0;
}
