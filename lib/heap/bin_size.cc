// bin_size.cc: how many objects a bin may hold: it follows the program's rhythm, within what the heap is worth.  layer: heap
#include <algorithm>

#include "heap/limit.h"
#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

using slab::kClass;

constexpr unsigned kLargestBin = (1U << SlotPool::kMaxOrder) - 1;
constexpr unsigned kMiddlingBin = 2047;  // pointers
constexpr unsigned kRefillGrowth = 63;   // a bin grows to this by refills alone, beyond only by reuse
// What all bins of a thread may hold grows with the heap: an eighth of it, between these two.
constexpr std::size_t kSmallHeapBytes = std::size_t{8} << 20;
constexpr std::size_t kHeapBytes = std::size_t{16} << 20;
constexpr std::size_t kOfHeap = 8;
constexpr std::size_t kModestHeapBytes = std::size_t{48} << 20;  // above: frees alone make no bin larger than middling
constexpr std::size_t kBinBytes = std::size_t{4} << 20;          // most one bin may hold
// A quarter of the heap is shared out among all active threads, but so much at least and at most.
constexpr std::size_t kAllOfSmallHeap = std::size_t{16} << 20;
constexpr std::size_t kAllHeaps = std::size_t{64} << 20;
constexpr std::size_t kOfAllHeaps = 4;
constexpr std::uint32_t kIdleRefills = 4096;  // a bin that has missed so many refills of others is idle
constexpr std::uint32_t kSearchPause = 64;    // refills between two searches for room
constexpr std::uint32_t kSeldom = 64;         // refills, between two of which a run class keeps nothing
constexpr std::size_t kHeapFloor = std::size_t{512} << 10;
constexpr std::size_t kLimitShare = 32;  // of a limit for all bins: nobody can make sleeping threads give theirs up

// Pointers a bin starts with: small bins cost nothing, and a large object is not kept before it is seen to be reused.
constexpr unsigned first_capacity(std::size_t size) {
  if (size <= 1024) return 15;
  if (size <= 4096) return 7;
  return size <= kLargeObject ? 3 : 1;
}

// Bytes that the bins of a thread may hold.
std::size_t most_in_bins() {
  const std::size_t opened = process.nodes.present_pages() << kPageShift;
  const std::size_t all =
      std::min(std::clamp(opened / kOfAllHeaps, kAllOfSmallHeap, kAllHeaps), limit.most() / kLimitShare);
  const std::size_t share = std::max(all / std::max(1U, process.active_heaps()), std::min(kHeapFloor, all / 16));
  return std::min(share, std::clamp(opened / kOfHeap, kSmallHeapBytes, kHeapBytes));
}

}  // namespace

bool ThreadHeap::resize_bin(unsigned c, unsigned capacity) {
  BinState& b = front.state[c];
  void** const fresh = process.slots.take(ceil_order(capacity + 1));
  if (fresh == nullptr) return false;
  Bin& bin = front.bins[c];
  const std::size_t n = cached_objects(c);
  fresh[0] = nullptr;
  if (n != 0) std::copy_n(b.base + 1, n, fresh + 1);
  void** const old = b.base;
  const unsigned old_capacity = b.capacity;
  // Capacity 0 means "no array": a fork's child that sees the bin between two arrays loses what it held.
  b.capacity = 0;
  b.closed = 0;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  b.base = fresh;
  bin.limit = fresh + capacity;
  bin.top = fresh + n;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  b.capacity = static_cast<std::uint16_t>(capacity);
  cached_capacity += std::size_t{capacity} * kClass[c].size;
  cached_capacity -= std::size_t{old_capacity} * kClass[c].size;
  if (old_capacity != 0) process.slots.give_back(old, ceil_order(old_capacity + 1U));
  return true;
}

// The bin that gives up its room for `more` bytes: the largest that has long been idle, else the largest of all when it has far
// more than is asked for, from an earlier phase perhaps. kBins: none.
unsigned ThreadHeap::bin_to_shrink(std::size_t more) const {
  const auto held = [this](unsigned c) { return std::size_t{front.state[c].capacity} * kClass[c].size; };
  unsigned largest = slab::kBins;
  unsigned idle = slab::kBins;
  for (unsigned c = 0; c < slab::kBins; ++c) {
    if (front.state[c].capacity <= first_capacity(kClass[c].size)) continue;
    if (largest == slab::kBins || held(c) > held(largest)) largest = c;
    if (refill_clock - bin_slabs[c].last_refill >= kIdleRefills && (idle == slab::kBins || held(c) > held(idle)))
      idle = c;
  }
  if (idle != slab::kBins) return idle;
  return largest != slab::kBins && held(largest) >= 4 * more ? largest : slab::kBins;
}

// Room for `more` bytes within what a thread's bins may hold. A bin that has to shrink is emptied and starts anew. Where none
// was found, none is looked for for a while.
bool ThreadHeap::make_room(std::size_t more) {
  const std::size_t most = most_in_bins();
  while (cached_capacity + more > most) {
    if (refill_clock - no_room_since < kSearchPause) return false;
    const unsigned c = bin_to_shrink(more);
    if (c == slab::kBins) {
      no_room_since = refill_clock;
      return false;
    }
    flush(c, cached_objects(c));
    if (!resize_bin(c, first_capacity(kClass[c].size))) return false;
  }
  return true;
}

bool ThreadHeap::grow_bin(unsigned c) {
  const std::size_t size = kClass[c].size;
  const unsigned capacity = front.state[c].capacity;
  const unsigned wanted = capacity == 0 ? first_capacity(size) : 2U * capacity + 1;
  return wanted <= kLargestBin && (capacity == 0 || wanted * size <= kBinBytes) &&
         make_room((wanted - capacity) * size) && resize_bin(c, wanted);
}

// It is full before it has back what it had to fetch. That may be the program's end: of a heap that is not small, only a refill
// after a flush makes it larger than middling (adapt_for_refill). With bins of 8191 objects of each class `sites 200` ended at 22 MB
// instead of 11.
bool ThreadHeap::too_small(unsigned c) const {
  const BinState& b = front.state[c];
  if (b.flushes != 0 || b.demand <= b.capacity) return false;
  return b.capacity < kMiddlingBin || process.nodes.present_pages() << kPageShift <= kModestHeapBytes;
}

// Before a refill. A bin whose last slow event was a flush is too small for the program's rhythm; one that only refills
// is filling a heap: larger batches for that, up to a point.
void ThreadHeap::adapt_for_refill(unsigned c) {
  BinState& b = front.state[c];
  const bool rare = seldom(c);
  const bool first = bin_slabs[c].last_refill == 0;
  bin_slabs[c].last_refill = ++refill_clock;
  if (first && c >= slab::kTwins) hand_mixed_to_twin(c - slab::kTwins);
  if (refill_clock % kSeldom == 0) close_idle_runs();
  given_back = 0;
  if (rare) return close_bin(c);
  if (b.closed) {
    b.closed = 0;
    front.bins[c].limit = b.base + b.capacity;
  }
  const bool after_flush = b.flushes != 0;
  const bool filling = b.refills != 0;
  b.flushes = 0;
  if (after_flush) b.demand = 0;
  if (b.refills < 255) ++b.refills;
  if (b.capacity == 0 || after_flush || (filling && b.capacity < kRefillGrowth)) grow_bin(c);
}

// A run class of which nobody has asked the zone for one lately.
bool ThreadHeap::seldom(unsigned c) const {
  const std::uint32_t last = bin_slabs[c].last_refill;
  return kClass[c].is_run() && (last == 0 || refill_clock - last >= kSeldom);
}

// What is wanted once in a while is had of the zone quickly enough, and there others can have it meanwhile: 32 bins that keep a run
// each are 13 MB.
void ThreadHeap::close_idle_runs() {
  for (unsigned c = slab::kSlabClasses; c < slab::kClasses; ++c)
    if (seldom(c)) close_bin(c);
}

}  // namespace bm::heap
