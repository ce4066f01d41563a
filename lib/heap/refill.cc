// refill.cc: a bin that is empty gets objects: from partly free slabs, the fullest first, else from a new one.  layer: heap
#include <algorithm>

#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

using slab::kClass;
using slab::SizeClass;
using slab::Slab;

constexpr std::int32_t kTurnoverStep = 1 << 20;  // bytes between two reports to the zone
constexpr unsigned kRunBatch = 8;                // runs that one refill takes at most
// What a refill fetches at most: 128 KiB of objects of 2 KiB, half of which lie in the bin at any time, were a sixth of xmalloc's peak.
constexpr std::size_t kBatchBytes = std::size_t{32} << 10;
constexpr std::size_t kLeastBatch = 8;  // objects, though

constexpr unsigned most_in_batch(std::size_t size) {
  return static_cast<unsigned>(std::clamp<std::size_t>(kBatchBytes / size, kLeastBatch, kBatch));
}

}  // namespace

void ThreadHeap::start(std::uint32_t heap_index) {
  index = heap_index;
  pending.store(0, std::memory_order_relaxed);  // a first write rather than a first read: one page fault, not two
  cache_calls = process.cache_calls();          // as well, and nothing to give up yet
  asks_at = kAskStep;
  front.tag = heap_index * pages::kFirstOwnerEntry;
  for (unsigned i = 0; i < kSmallEntries; ++i) front.small_bin[i] = &front.bins[slab::class_of(i * kMinAlignment)];
  for (Bin& bin : front.bins) bin = kEmptyFront.bins[0];
  for (BinState& s : front.state) s.base = kEmptyFront.state[0].base;
}

// What is taken from slabs time and again, the zone does not see. It has counted the slab's own pages.
void ThreadHeap::note_turnover(std::int32_t bytes) {
  turnover = std::max(turnover + bytes, -kTurnoverStep);
  if (turnover < kTurnoverStep) return;
  process.nodes.zone(pages_zone).note_turnover(static_cast<std::size_t>(turnover) >> kPageShift);
  turnover = 0;
}

// Up to `want` objects in ascending order of address within a slab; fewer only when memory is short.
unsigned ThreadHeap::gather(unsigned c, unsigned want, void** out) {
  const SizeClass& info = kClass[c];
  unsigned n = 0;
  while (n < want) {
    std::uint32_t i = fullest(c);
    if (i == 0) i = process.adopt_slab(*this, c);
    if (i == 0) i = new_slab(c);
    if (i == 0) break;
    Slab& s = process.slabs[i];
    char* const start = static_cast<char*>(process.map.address(s.first));
    const unsigned before = n;
    for (unsigned w = 0; w < slab::kMapWords && n < want; ++w) {
      std::uint64_t bits = s.free[w];
      for (; bits != 0 && n < want; bits &= bits - 1)
        out[n++] = start + std::size_t{w * 64 + lowest_bit(bits)} * info.size;
      __atomic_store_n(&s.free[w], bits, __ATOMIC_RELAXED);
    }
    s.set_count_free(s.free_count - (n - before));
    rebucket(i);
  }
  note_taken(std::int64_t{n} * info.size);
  if (info.size > kLargeObject) note_turnover(static_cast<std::int32_t>(n * info.size));
  return n;
}

void* ThreadHeap::take_one(unsigned c) {
  if (fullest(c) == 0) drain_pending();
  if (fullest(c) == 0) {
    new_slab(c);
    drain_stocks();
  }
  void* p = nullptr;
  return fullest(c) != 0 && gather(c, 1, &p) == 1 ? p : nullptr;
}

// Now and then, an object whose end is seen, for the caller of a refill of so many bytes; else null.
void* ThreadHeap::sample(unsigned c, CallPath path, std::size_t bytes) {
  const std::size_t cell = lifetimes.observed(path);
  if (cell == 0) return nullptr;
  sample_in -= static_cast<std::int64_t>(bytes);
  if (sample_in > 0) return nullptr;
  // By no fixed number of refills: paths may take turns.
  const std::int64_t stride = observation.stride();
  sample_in = stride / 2 + static_cast<std::int64_t>(refill_clock * kPathHash) % stride;
  return observation.sample(c, cell);
}

// Runs of a run class: one for the caller, the others for the bin. Runs that are not touched cost nothing.
void* ThreadHeap::allocate_run(unsigned c, unsigned want, bool* zeroed) {
  const SizeClass& info = kClass[c];
  BinState& b = front.state[c];
  pages::Run run[kRunBatch];
  const std::size_t n = process.nodes.alloc_batch(process.local(this), info.pages, pages::Migratetype::kMovable,
                                                  std::min(want, kRunBatch), run);
  if (n == 0) return nullptr;
  b.demand += static_cast<std::uint32_t>(n);
  for (std::size_t i = 0; i < n; ++i) {
    process.map.set_entry(run[i].first, static_cast<std::uint32_t>(front.tag + bin_offset(c)));
    if (i != 0) b.base[n - i] = process.map.address(run[i].first);
  }
  std::atomic_signal_fence(std::memory_order_release);
  if (n > 1) front.bins[c].top = b.base + (n - 1);
  if (zeroed != nullptr) *zeroed = run[0].zeroed;
  return process.map.address(run[0].first);
}

void* ThreadHeap::allocate_miss(unsigned c, CallPath path, bool* zeroed) {
  // A heap that the thread has only just taken over may have objects ready; they must not be overwritten.
  if (Bin& bin = front.bins[c]; *bin.top != nullptr) return *bin.top--;
  OwnerGuard hold(*this);
  // Each slab that is taken off the list costs those who free into it, and this thread, a few cache misses.
  if (fullest(c) == 0 || many_pending()) drain_pending();
  follow_cache_calls();
  adapt_for_refill(c);
  BinState& b = front.state[c];
  // A filling heap takes whole bins; one in balance half, to have room for what comes back.
  const unsigned want = std::min(b.refills > 1 ? b.capacity : (b.capacity + 1U) / 2, most_in_batch(kClass[c].size));
  if (kClass[c].is_run()) return allocate_run(c, b.closed ? 1 : std::max(want, 1U), zeroed);
  if (want == 0) {  // no memory for an array: live from hand to mouth
    void* p = nullptr;
    return gather(c, 1, &p) == 1 ? p : nullptr;
  }
  void** const slots = b.base + 1;
  const unsigned n = gather(c, want, slots);
  if (n == 0) return nullptr;
  b.demand += n;
  lifetimes.note(path, n, n * kClass[c].size, process.slabs.limit());
  std::reverse(slots, slots + n);  // popped in ascending order of address
  std::atomic_signal_fence(std::memory_order_release);
  front.bins[c].top = b.base + n;
  void* const sampled = sample(c, path, n * kClass[c].size);
  return sampled != nullptr ? sampled : *front.bins[c].top--;
}

}  // namespace bm::heap
