// lifetime.h: which call paths allocate so much that their objects should lie apart.  layer: heap
// One return address and the depth of the stack tell call paths apart, as far as they do. Where they do not, as behind a wrapper
// around malloc, a word further up the stack does: the first that points into the program's code or constants, to one place and another
// by turns. Refills of a path that allocates much look for it, and its verdict says then where it is. What allocates much is expected
// to drain: it gets slabs of its own kind (slab::kTwins), whose pageblocks then empty as a whole. What is rare costs little
// wherever it lives; it stays with what lives long. Nothing is told apart while the heap is small.
//
// The fast path only reads: one byte per cell of a table that all threads share, written when a verdict changes, which is
// seldom. Counting is done by refills. All counts are approximate: threads that count at once may lose some.
// [LT-1] a verdict is 0 (with the long-lived), kDraining, or kElsewhere and twice the slot of such a word, whose cell has one of
//        the first two
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "os/stack.h"

namespace bm::heap {

struct CallPath {
  std::uint32_t key = 0;  // 0: unknown
  // The words of the stack from there on, while the call lasts; null: not to be looked at.
  const std::uintptr_t* stack = nullptr;
};

// Of the function that this is inlined into: one that users call.
[[gnu::always_inline]] inline CallPath call_path() {
  const auto caller = reinterpret_cast<std::uintptr_t>(__builtin_return_address(0));
  const os::StackPlace here = os::stack_place();
  return {static_cast<std::uint32_t>(caller + here.depth * 8), reinterpret_cast<const std::uintptr_t*>(here.top)};
}

class Lifetimes {
 public:
  static constexpr unsigned kCellBits = 12;
  static constexpr std::size_t kCells = std::size_t{1} << kCellBits;
  // The way from the bin of a slab class to its twin's, in units of kVerdictUnit bytes.
  static constexpr std::uint8_t kDraining = 224;
  static constexpr std::size_t kVerdictUnit = 8;
  static constexpr std::uint8_t kElsewhere = 1;
  static constexpr unsigned kSlots = 64;  // words of the stack that may tell paths apart

  // Whether a heap that has had so many slabs is worth it.
  static bool tells_apart(std::uint32_t slabs) { return slabs >= kFirstSlabs; }

  // Bytes from the bin of any slab class to the one that serves this path. False: way() has to be asked, which takes longer.
  [[gnu::always_inline]] bool quick_way(CallPath path, std::size_t& way) const {
    const std::uint8_t v = verdict(cell_of(path.key));
    way = v * kVerdictUnit;
    return (v & kElsewhere) == 0;
  }
  std::size_t way(CallPath path) const {
    std::uint8_t v = verdict(cell_of(path.key));
    if ((v & kElsewhere) != 0) v = verdict(cell_of(key_of_word(path, v / 2)));
    return (v & kElsewhere) != 0 ? 0 : v * kVerdictUnit;
  }

  // A refill fetched that many objects for a path, when the heap had had `slabs` slabs. What has no path never gets a verdict.
  void note(CallPath path, std::size_t objects, std::size_t bytes, std::uint32_t slabs);

 private:
  static constexpr std::uint32_t kFirstSlabs = 256;  // about 4 MiB
  static constexpr std::size_t kLooks = 256;         // paths that are looked at at a time

  [[gnu::always_inline]] static std::size_t cell_of(std::uint32_t key) {
    constexpr std::uint32_t kGolden = 0x9E3779B1;  // 2^32 / the golden ratio: Knuth's multiplicative hash
    return (key * kGolden) >> (32 - kCellBits);
  }
  [[gnu::always_inline]] std::uint8_t verdict(std::size_t cell) const {
    return __atomic_load_n(&verdict_[cell], __ATOMIC_RELAXED);
  }
  // Another path may share the cell, and be at the very top of its stack: what is on the same page can be read.
  static bool readable(CallPath path, std::size_t slot) {
    const auto at = reinterpret_cast<std::uintptr_t>(path.stack);
    return at % kPageSize + (slot + 1) * sizeof(std::uintptr_t) <= kPageSize && path.stack != nullptr;
  }
  // Of a frame of the program's, of which AddressSanitizer thinks that nobody else should read there.
  __attribute__((no_sanitize("address"))) static std::uintptr_t word_at(CallPath path, std::size_t slot) {
    return path.stack[slot];
  }
  static std::uint32_t key_of_word(CallPath path, std::size_t slot) {
    return readable(path, slot) ? path.key + static_cast<std::uint32_t>(word_at(path, slot)) * 5 : path.key;
  }

  // What the first few words of a path's stack that point into the program were, and how often one of them has been something
  // else and then the same again.
  struct Look {
    static constexpr unsigned kWords = 4;
    std::atomic<std::uint32_t> owner;  // the cell + 1
    std::atomic<std::uint32_t> looks;
    struct Word {
      std::atomic<std::uint16_t> slot;  // 0: none
      std::atomic<bool> differs;
      std::atomic<std::uint8_t> returns;
      std::atomic<std::uintptr_t> value;
    } words[kWords];
  };
  void begin_look(Look& look, CallPath path, std::size_t cell);
  unsigned telling_slot(CallPath path, std::size_t cell);
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
  Look looks_[kLooks] = {};
};

extern constinit Lifetimes lifetimes;

}  // namespace bm::heap
