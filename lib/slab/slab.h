// slab.h: the descriptor of one slab: which of its objects are free.  layer: slab
// Kept outside the pages it describes; freed objects are never written. Type-stable: a descriptor's memory is never
// anything else, so that a late remote freer may still touch it after the slab is gone.
// [SL-1] free_count == popcount(free); no bit at or above kClass[size_class].objects is set
// [SL-2] a set bit means: the object is neither with the program nor in a thread's bin. A bit of `remote` means the same
//        of an object that another thread has freed; no object has both bits
// [SL-3] queued == the process's fork generation while the slab is on (or about to be put on) its heap's pending list;
//        what a thread that vanished in a fork was about to list carries the generation before
//
//   line 0, written under the owning heap's lock,     line 1, written by any thread
//   `free` with atomic stores (put_remote reads it)
//   | free[4]                                 32 |    | remote[4]                           32 |
//   | first, next, prev, heap                 16 |    | pending_next, queued                 8 |
//   | free_count, size_class, bucket, known    8 |
//   | may_have_remote, set by any thread       1 |
//   | mixed                                    1 |
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>

#include "base/units.h"
#include "slab/size_class.h"

namespace bm::slab {

inline constexpr unsigned kMapWords = kMaxObjects / 64;
inline constexpr unsigned kBuckets = 4;          // by occupancy, 0 = fullest
inline constexpr std::uint8_t kUnlisted = 0xFF;  // Slab::bucket of a slab without free objects

struct alignas(kCacheLine) Slab {
  std::uint64_t free[kMapWords];
  Pfn first;
  std::uint32_t next;  // in the heap's bucket list: slab indices, 0 = none
  std::uint32_t prev;
  std::uint32_t heap;  // index of the owning heap, 0 = descriptor not in use
  std::uint16_t free_count;
  std::uint8_t size_class;
  std::uint8_t bucket;
  std::uint32_t known;                // the table's: 0 when its memory has gone back, and nobody has taken it since
  std::atomic<bool> may_have_remote;  // else no bit of `remote` is set: a free by the owner needs not look at line 1
  bool mixed;                         // from when call paths were not told apart yet

  alignas(kCacheLine) std::atomic<std::uint64_t> remote[kMapWords];
  std::atomic<std::uint32_t> pending_next;
  std::atomic<std::uint32_t> queued;

  // Any thread may ask; 0 means that the descriptor is not in use.
  std::uint32_t holder() const { return __atomic_load_n(&heap, __ATOMIC_ACQUIRE); }
  void set_holder(std::uint32_t index) { __atomic_store_n(&heap, index, __ATOMIC_RELEASE); }
  // A late freer may ask when the descriptor is in use anew.
  const SizeClass& size_info() const { return kClass[__atomic_load_n(&size_class, __ATOMIC_RELAXED)]; }
  void set_size_class(unsigned c) { __atomic_store_n(&size_class, static_cast<std::uint8_t>(c), __ATOMIC_RELAXED); }
  // Who looks for a slab to take over asks without a lock: a guess.
  bool is_mixed() const { return __atomic_load_n(&mixed, __ATOMIC_RELAXED); }
  void set_mixed(bool yes) { __atomic_store_n(&mixed, yes, __ATOMIC_RELAXED); }
  // The owner may ask without its lock.
  unsigned count_free() const { return __atomic_load_n(&free_count, __ATOMIC_RELAXED); }
  void set_count_free(std::size_t n) { __atomic_store_n(&free_count, static_cast<std::uint16_t>(n), __ATOMIC_RELAXED); }
  bool empty() const { return free_count == size_info().objects; }

  // All objects free; the lowest address goes first, so that fresh memory is touched in order.
  void fill() {
    const unsigned n = size_info().objects;
    for (unsigned w = 0; w < kMapWords; ++w) {
      const unsigned first_bit = w * 64;
      const std::uint64_t bits = n <= first_bit ? 0 : bit_span(0, n - first_bit < 64 ? n - first_bit : 64);
      __atomic_store_n(&free[w], bits, __ATOMIC_RELAXED);
    }
    set_count_free(n);
  }
  bool is_free(unsigned i) const { return (free[i / 64] >> (i % 64) & 1) != 0; }
  // False: it was free already, perhaps by another thread.
  bool put(unsigned i) {
    const std::uint64_t bit = std::uint64_t{1} << (i % 64);
    if ((free[i / 64] & bit) != 0) return false;
    if (may_have_remote.load(std::memory_order_relaxed) && (remote[i / 64].load(std::memory_order_relaxed) & bit) != 0)
      return false;
    __atomic_store_n(&free[i / 64], free[i / 64] | bit, __ATOMIC_RELAXED);
    set_count_free(free_count + 1U);
    return true;
  }
  // By any thread, without a lock. False: it was free already.
  bool put_remote(unsigned i) {
    const std::uint64_t bit = std::uint64_t{1} << (i % 64);
    if ((__atomic_load_n(&free[i / 64], __ATOMIC_RELAXED) & bit) != 0) return false;
    const bool was_in_use = (remote[i / 64].fetch_or(bit) & bit) == 0;
    if (!may_have_remote.load()) may_have_remote.store(true);  // after the bit: merge_remote() goes the other way
    return was_in_use;
  }
  // A remote freer sets the bit, then looks at `queued`; the owner clears `queued`, then looks at the bits. All four are
  // sequentially consistent, so that a freed object is never overlooked.
  // Takes over what other threads have freed.
  // False: an object was free already.
  bool merge_remote() {
    bool sound = true;
    may_have_remote.store(false);
    for (unsigned w = 0; w < kMapWords; ++w) {
      if (remote[w].load() == 0) continue;
      const std::uint64_t r = remote[w].exchange(0);
      sound = sound && (free[w] & r) == 0;
      __atomic_store_n(&free[w], free[w] | r, __ATOMIC_RELAXED);
      set_count_free(free_count + popcount(r));
    }
    return sound;
  }
  // By any thread, after its free of `object`. Of those that free a slab's last objects at once, the last one sees it; while
  // others merge, perhaps nobody.
  bool all_freed(unsigned object) const {
    const unsigned word = object / 64;
    const std::uint64_t back = __atomic_load_n(&free[word], __ATOMIC_RELAXED) | remote[word].load();
    const std::size_t there = std::min<std::size_t>(size_info().objects - word * 64, 64);
    if (popcount(back) < there) return false;  // most frees end here
    std::size_t n = count_free();
    for (const auto& w : remote)
      if (const std::uint64_t bits = w.load(); bits != 0) n += popcount(bits);
    return n >= size_info().objects;
  }
  bool has_remote() const {
    for (const auto& w : remote)
      if (w.load() != 0) return true;
    return false;
  }
  // Occupancy bucket for free_count > 0: 0 holds the fullest quarter.
  std::uint8_t wanted_bucket() const {
    if (free_count == 0) return kUnlisted;
    // A quarter of the slab's bytes, tail and all, which takes no division.
    static_assert(kBuckets == 4);
    return static_cast<std::uint8_t>(((free_count - 1U) * size_info().size) >> (kPageShift - 2 + size_info().order));
  }
};
static_assert(sizeof(Slab) == 2 * kCacheLine);

// Whether nothing of that page of a slab of the class is with the program or in a bin. Without the owner's lock: a guess.
inline bool page_idle(const Slab& s, const SizeClass& info, unsigned page) {
  const std::size_t start = std::size_t{page} << kPageShift;
  const auto first = static_cast<unsigned>(start / info.size);
  const auto end = std::min<unsigned>(static_cast<unsigned>((start + kPageSize - 1) / info.size) + 1, info.objects);
  for (unsigned at = first; at < end; at = (at / 64 + 1) * 64) {
    const std::uint64_t mask = bit_span(at % 64, std::min(end - at, 64 - at % 64));
    if ((__atomic_load_n(&s.free[at / 64], __ATOMIC_RELAXED) & mask) != mask) return false;
  }
  return true;
}

}  // namespace bm::slab
