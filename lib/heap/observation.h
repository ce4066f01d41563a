// observation.h: what becomes of what a call path allocates, seen on a sample and judged at the end of each load phase.  layer: heap
// A load phase has ended when the bytes with the program have fallen by much and rise again. What was allocated in the phase and is
// still there survives it. Of paths that allocate much, one object in so many is taken from slabs of a heap that has no thread: whoever
// frees it comes to the slow path, so that its end is seen, exactly and by all threads, and other frees pay nothing.
//
// Counts are approximate and may lose something when threads meet; whether an object is free, only its slab says.
// [OB-1] a record that is not marked as freed names an object that has been handed out by sample() and not been freed since; a record
//        may be missing at any time
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "heap/lifetime.h"

namespace bm::heap {

// When load phases end.
class Phases {
 public:
  // So many bytes are with the program now. MiB by which they had fallen, when a phase has ended and only to one of those who tell; else 0.
  std::uint32_t note(std::int64_t bytes);
  // Nobody could look at what is left: once more, soon.
  void repeat() { falling_.store(true, std::memory_order_relaxed); }
  // How often there has been less than ever before in a fall. What has come since the last time is of the phase that begins.
  std::uint32_t lows() const { return lows_.load(std::memory_order_relaxed); }

 private:
  void lower(std::int64_t bytes);

  std::atomic<std::int64_t> peak_{0};
  std::atomic<std::int64_t> lowest_{0};
  std::atomic<std::uint32_t> lows_{0};
  std::atomic<bool> falling_{false};
};

class Observation {
 public:
  // Slabs up to that size are worth a sample: one of each class may be kept by a single survivor.
  static constexpr std::size_t kLargestSlab = std::size_t{64} << 10;

  // An object of the class, whose end will be seen; null: not now, or not of that class. The lock of the caller's heap may be held.
  void* sample(unsigned size_class, std::size_t cell);
  // By whoever frees an object of the heap of samples, before its slab knows.
  void freed(const void* p);
  // In a fork's child, of a heap of samples that is left to an interrupted call.
  void forget();
  // Bytes were handed out by slabs; negative: came back.
  void moved(std::int64_t bytes);
  // Bytes that a thread fetches for paths that are observed, between two samples.
  std::int64_t stride() const { return std::int64_t{stride_kib_.load(std::memory_order_relaxed) + kLeastStride} << 10; }

 private:
  static constexpr unsigned kWays = 4;
  static constexpr unsigned kSets = 256;
  static constexpr unsigned kMost = kSets * kWays / 2;  // records; then every second one goes
  static constexpr std::uint32_t kLeastStride = 64;     // KiB

  // An address in units of kMinAlignment, 44 bits of it; a cell, 12; whether it has been freed. 0: none.
  using Record = std::uint64_t;
  static constexpr Record kFreed = 1;
  static constexpr Record kCellAt = 8;
  static constexpr Record kAddressAt = kCellAt + kPathBits;
  static Record record_of(const void* p, std::size_t cell) {
    return (reinterpret_cast<std::uintptr_t>(p) / kMinAlignment) << kAddressAt | cell << kCellAt;
  }
  static std::size_t cell_of(Record r) { return r >> kCellAt & (kPathCells - 1); }
  static std::size_t set_of(const void* p) {
    return (reinterpret_cast<std::uintptr_t>(p) / kMinAlignment * kPathHash >> 32) % kSets;
  }
  // The lock of the heap of samples held:
  void add(const void* p, std::size_t cell);
  void thin();
  void judge(std::uint32_t mib);

  struct Tally {
    std::uint16_t alive;
    std::uint16_t all;
  };

  alignas(kCacheLine) std::atomic<std::int64_t> bytes_{0};
  Phases phases_;
  alignas(kCacheLine) std::atomic<std::uint32_t> stride_kib_{0};  // beyond the least
  std::uint32_t count_ = 0;                                       // records, about
  std::atomic<Record> records_[kSets][kWays] = {};
  std::uint32_t born_[kSets][kWays] = {};  // Phases::lows() then
  Tally tally_[kPathCells] = {};           // zero between two judgements
};

[[gnu::visibility("hidden")]] extern constinit Observation observation;

}  // namespace bm::heap
