// lifetime.h: which call paths allocate so much that their objects should lie apart.  layer: heap
// One return address and the depth of the stack tell call paths apart, as far as they do. What allocates much is expected to
// drain: it gets slabs of its own kind (slab::kTwins), whose pageblocks then empty as a whole. What is rare costs little
// wherever it lives; it stays with what lives long. Nothing is told apart while the heap is small.
//
// The fast path only reads: one byte per cell of a table that all threads share, written when a verdict changes, which is
// seldom. Counting is done by refills. All counts are approximate: threads that count at once may lose some.
// [LT-1] a verdict is 0 (with the long-lived) or kDraining
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "os/stack.h"

namespace bm::heap {

using CallPath = std::uint32_t;  // 0: unknown

// Of the function that this is inlined into: one that users call.
[[gnu::always_inline]] inline CallPath call_path() {
  const auto caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  return static_cast<CallPath>(caller + os::stack_depth() * 8);
}

class Lifetimes {
 public:
  static constexpr unsigned kCellBits = 12;
  static constexpr std::size_t kCells = std::size_t{1} << kCellBits;
  // The way from the bin of a slab class to its twin's, in units of kVerdictUnit bytes.
  static constexpr std::uint8_t kDraining = 224;
  static constexpr std::size_t kVerdictUnit = 8;

  // Whether a heap that has had so many slabs is worth it.
  static bool tells_apart(std::uint32_t slabs) { return slabs >= kFirstSlabs; }

  // Bytes from the bin of any slab class to the one that serves this path.
  [[gnu::always_inline]] std::size_t way(CallPath path) const {
    return std::size_t{__atomic_load_n(&verdict_[cell_of(path)], __ATOMIC_RELAXED)} * kVerdictUnit;
  }

  // A refill fetched that many objects for a path, when the heap had had `slabs` slabs. What has no path never gets a verdict.
  void note(CallPath path, std::size_t objects, std::size_t bytes, std::uint32_t slabs);

 private:
  static constexpr std::uint32_t kFirstSlabs = 256;  // about 4 MiB

  [[gnu::always_inline]] static std::size_t cell_of(CallPath path) {
    constexpr std::uint32_t kGolden = 0x9E3779B1;  // 2^32 / the golden ratio: Knuth's multiplicative hash
    return (path * kGolden) >> (32 - kCellBits);
  }
  struct Count {
    std::atomic<std::uint32_t> objects;
    std::atomic<std::uint32_t> kib;
    std::atomic<std::uint32_t> period;
  };
  void age(Count& count) const;
  bool much(const Count& count) const;

  alignas(kCacheLine) std::uint8_t verdict_[kCells] = {};
  alignas(kCacheLine) Count all_{};
  Count cells_[kCells] = {};
};

extern constinit Lifetimes lifetimes;

}  // namespace bm::heap
