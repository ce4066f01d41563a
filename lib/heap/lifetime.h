// lifetime.h: which call paths allocate so much that their objects should lie apart.  layer: heap
// One return address and the depth of the stack tell call paths apart, as far as they do. Where they do not, as behind a wrapper
// around malloc, a word further up the stack does: the first that points into the program's code or constants, to one place and another
// by turns. Refills of a path that allocates much look for it, and its verdict says then where it is. What allocates much is expected
// to drain: it gets slabs of its own kind (slab::kTwins), whose pageblocks then empty as a whole, unless it has been seen to
// survive (observation.h): then it goes with what lives long. What is rare costs little wherever it lives; it stays there, too.
// Nothing is told apart while the heap is small.
//
// The fast path only reads: two bytes per cell of a table that all threads share, written when a verdict changes, which is
// seldom. Counting is done by refills. All counts are approximate: threads that count at once may lose some.
// [LT-1] a verdict is 0 (with the long-lived), kDraining, or kElsewhere; of the last, slot_ says which word of the stack leads to the
//        cell that has one of the first two
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "os/stack.h"

namespace bm::heap {

struct CallPath {
  std::size_t cell = 0;  // of the table of lifetimes; 0: unknown
  // The words of the stack from there on, while the call lasts; null: not to be looked at.
  const std::uintptr_t* stack = nullptr;
};

inline constexpr unsigned kPathBits = 12;
inline constexpr std::size_t kPathCells = std::size_t{1} << kPathBits;
inline constexpr std::uint64_t kPathHash = 0x61C88647;  // 2^32 less Knuth's multiplier: 31 bits

// Of the function that this is inlined into: one that users call. The stack counts by its place in its page, which is the same for
// all threads but the first, as libc's stacks begin at pages. One caller has a cell for each of 256 depths.
[[gnu::always_inline]] inline std::size_t call_cell() {
  const auto caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  return os::plus_stack_top<kPathBits>(caller * kPathHash >> 32);
}
[[gnu::always_inline]] inline CallPath call_path(std::size_t cell) {
  return {cell, reinterpret_cast<const std::uintptr_t*>(os::stack_top())};
}
[[gnu::always_inline]] inline CallPath call_path() { return call_path(call_cell()); }

// What has been seen of a call path where load phases ended. Twice, or once very clearly, makes it one that lives long: what survives
// where all else drains keeps pageblocks. Back it goes when it was seen to drain three times in a row, or once in a fall of the load that was
// twice as deep as those it had survived. What drained in a deep fall is not one that lives long for having survived shallow ones,
// until eight of them have halved that depth.
class Seen {
 public:
  // `all` objects from a phase were looked at, after the load had fallen by that much; so many of them were alive.
  void note(unsigned alive, unsigned all, std::uint32_t mib);
  bool lives_long() const { return __atomic_load_n(&lives_long_, __ATOMIC_RELAXED); }

 private:
  bool lives_long_;
  std::uint8_t against_;  // how much has spoken against that lately
  std::uint8_t depth_;    // of the deepest fall that spoke for it: eighths of the logarithm to base 2 of its MiB
};

class Lifetimes {
 public:
  // Verdicts are the bytes from the bin of a slab class to the one that serves the path: to its twin, or to what is always
  // empty, so that the slow path has a closer look.
  static constexpr std::uint16_t kDraining = 1792;
  static constexpr std::uint16_t kElsewhere = 3072;
  static constexpr unsigned kSlots = 64;  // words of the stack that may tell paths apart

  // Whether a heap that has had so many slabs is worth it.
  static bool tells_apart(std::uint32_t slabs) { return slabs >= kFirstSlabs; }

  [[gnu::always_inline]] std::uint16_t verdict(std::size_t cell) const {
    return __atomic_load_n(&verdict_[cell], __ATOMIC_RELAXED);
  }
  // Bytes from the bin of any slab class to the one that serves this path: 0 or kDraining.
  std::size_t way(CallPath path) const {
    std::uint16_t v = verdict(path.cell);
    if (v == kElsewhere) v = verdict(elsewhere(path));
    return v == kElsewhere ? 0 : v;
  }

  // A refill fetched that many objects for a path, when the heap had had `slabs` slabs. What has no path never gets a verdict.
  void note(CallPath path, std::size_t objects, std::size_t bytes, std::uint32_t slabs);
  // The cell whose fate decides about that path; 0: it does not allocate much.
  std::size_t observed(CallPath path) const;
  // As Seen::note, one call at a time.
  void observe(std::size_t cell, unsigned alive, unsigned all, std::uint32_t mib);

 private:
  static constexpr std::uint32_t kFirstSlabs = 384;  // about 4 to 6 MiB
  static constexpr std::size_t kLooks = 256;         // paths that are looked at at a time

  // Another path may share the cell, and be at the very top of its stack: what is on the same page can be read.
  static bool readable(CallPath path, std::size_t slot) {
    const auto at = reinterpret_cast<std::uintptr_t>(path.stack);
    return at % kPageSize + (slot + 1) * sizeof(std::uintptr_t) <= kPageSize && path.stack != nullptr;
  }
  // Of a frame of the program's, of which AddressSanitizer thinks that nobody else should read there.
  __attribute__((no_sanitize("address"))) static std::uintptr_t word_at(CallPath path, std::size_t slot) {
    return path.stack[slot];
  }
  // The cell that the telling word leads to.
  std::size_t elsewhere(CallPath path) const {
    const std::size_t slot = __atomic_load_n(&slot_[path.cell], __ATOMIC_RELAXED);
    if (!readable(path, slot)) return 0;
    return (path.cell + (word_at(path, slot) * kPathHash >> 32)) % kPathCells;
  }

  // What the first few words of a path's stack that point into the program were, and how often one of them has been something
  // else and then the same again.
  struct Look {
    static constexpr unsigned kWords = 4;
    std::atomic<std::uint32_t> owner;  // a cell
    std::atomic<std::uint32_t> looks;
    struct Word {
      std::atomic<std::uint16_t> slot;  // 0: none
      std::atomic<bool> differs;
      std::atomic<std::uint8_t> returns;
      std::atomic<std::uintptr_t> value;
    } words[kWords];
  };
  void begin_look(Look& look, CallPath path);
  unsigned telling_slot(CallPath path);
  struct Count {
    std::atomic<std::uint32_t> objects;
    std::atomic<std::uint32_t> kib;
    std::atomic<std::uint32_t> period;
  };
  void age(Count& count) const;
  bool much(const Count& count) const;

  alignas(kCacheLine) std::uint16_t verdict_[kPathCells] = {};
  alignas(kCacheLine) Count all_{};
  std::uint8_t slot_[kPathCells] = {};
  Count cells_[kPathCells] = {};
  Seen seen_[kPathCells] = {};
  Look looks_[kLooks] = {};
};

[[gnu::visibility("hidden")]] extern constinit Lifetimes lifetimes;

}  // namespace bm::heap
