/* random.h: one deterministic random generator for every workload, C and C++ alike.  layer: bench
 * xorshift64*: no state but its seed, so a run is repeated exactly under every allocator compared. */
#ifndef BM_BENCH_RANDOM_H
#define BM_BENCH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct bench_random {
  uint64_t state; /* the seed; never 0 */
};

static inline uint64_t bench_next(struct bench_random* random) {
  random->state ^= random->state >> 12;
  random->state ^= random->state << 25;
  random->state ^= random->state >> 27;
  return random->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* Between low and high, both included; the bias of a high-word multiply is below 2^-32. */
static inline size_t bench_between(struct bench_random* random, size_t low, size_t high) {
  uint64_t span = (uint64_t)(high - low) + 1;
  return low + (size_t)(((bench_next(random) >> 32) * span) >> 32);
}

#endif
