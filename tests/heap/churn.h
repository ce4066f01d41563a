// churn.h: a table of blocks that threads fill and empty, for storms: every block is checked by whoever frees it.
// No libc malloc, no locks: usable in a fork's child and in signal handlers there.  layer: tests
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "tests/heap/support.h"

namespace bm::test {

// What a block of the storms begins with; the rest is painted with `seed`.
struct BlockHead {
  std::uint64_t bytes;
  std::uint64_t seed;
};

inline BlockHead* new_block(std::size_t bytes, std::uint64_t seed) {
  if (bytes < sizeof(BlockHead)) bytes = sizeof(BlockHead);
  auto* const b = static_cast<BlockHead*>(allocate(bytes));
  if (b == nullptr) return nullptr;
  *b = {bytes, seed};
  paint(b + 1, bytes - sizeof *b, seed);
  return b;
}

// False: it was damaged.
inline bool delete_block(BlockHead* b) {
  if (b == nullptr) return true;
  const bool ok = painted(b + 1, b->bytes - sizeof *b, b->seed);
  *b = {0, 0};
  deallocate(b);
  return ok;
}

template <std::size_t N>
struct Table {
  std::atomic<BlockHead*> slot[N] = {};

  // Puts a new block into a slot, frees what was there. Sizes up to 2^top_bit - 1.
  bool churn(Random& random, unsigned top_bit) {
    BlockHead* const b = new_block(random_size(random, top_bit), random.bits());
    return b != nullptr && delete_block(slot[random.below(N)].exchange(b));
  }
  // Small ones as a rule.
  bool churn(Random& random) { return churn(random, random.one_in(200) ? 22 : 14); }
  bool clear() {
    bool ok = true;
    for (auto& s : slot) ok &= delete_block(s.exchange(nullptr));
    return ok;
  }
};

// One block of every class and a run, all at once; checked and freed. Only the head of the larger ones is touched.
inline bool visit_every_class() {
  BlockHead* all[slab::kClasses + 1];
  bool ok = true;
  for (unsigned c = 0; c <= slab::kClasses; ++c) {
    const std::size_t bytes = c < slab::kClasses ? slab::kClass[c].size : 5 * kMiB;
    all[c] = new_block(std::min(bytes, kPageSize), c);
    if (bytes > kPageSize && all[c] != nullptr) {
      auto* const large = static_cast<BlockHead*>(allocate(bytes));
      if (large != nullptr) std::memcpy(large, all[c], kPageSize);
      ok &= delete_block(all[c]);
      all[c] = large;
    }
    ok &= all[c] != nullptr;
  }
  ok &= heap::validate() == 0;
  for (BlockHead* const b : all) ok &= delete_block(b);
  return ok;
}

}  // namespace bm::test
