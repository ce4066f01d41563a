// observation.cc: see observation.h.  layer: heap
#include "heap/observation.h"

#include <algorithm>

#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"

namespace bm::heap {
namespace {

constexpr std::int64_t kLeastFall = std::int64_t{16} << 20;  // bytes; what falls by less is no phase
constexpr std::int64_t kFallShare = 4;                       // nor is less than such a share of the peak
constexpr std::int64_t kLeastRise = std::int64_t{2} << 20;   // a fall is over when so much has come again,
constexpr std::int64_t kRiseShare = 8;                       // and such a share of it

}  // namespace

constinit Observation observation;

void Phases::lower(std::int64_t bytes) {
  lowest_.store(bytes, std::memory_order_relaxed);
  lows_.store(lows() + 1, std::memory_order_relaxed);
}

// Threads that meet here may each move a mark a little: the next one puts it right.
std::uint32_t Phases::note(std::int64_t bytes) {
  const std::int64_t peak = peak_.load(std::memory_order_relaxed);
  if (!falling_.load(std::memory_order_relaxed)) {
    if (bytes > peak) {
      peak_.store(bytes, std::memory_order_relaxed);
    } else if (peak - bytes >= std::max(kLeastFall, peak / kFallShare)) {
      lower(bytes);
      falling_.store(true, std::memory_order_relaxed);
    }
    return 0;
  }
  const std::int64_t lowest = lowest_.load(std::memory_order_relaxed);
  if (bytes < lowest) lower(bytes);
  const std::int64_t fall = peak - lowest;
  if (bytes - lowest < std::max(kLeastRise, fall / kRiseShare)) return 0;
  if (!falling_.exchange(false, std::memory_order_relaxed)) return 0;
  peak_.store(bytes, std::memory_order_relaxed);
  return static_cast<std::uint32_t>(fall >> 20);
}

void Observation::moved(std::int64_t bytes) {
  const std::uint32_t mib = phases_.note(bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
  if (mib == 0) return;
  ThreadHeap* const h = process.samples();
  if (h == nullptr) return;
  {
    const HelperGuard hold(*h, HelperGuard::Try{});
    if (!hold) return phases_.repeat();
    judge(mib);
  }
  h->help_abandoned();
}

void* Observation::sample(unsigned c, std::size_t cell) {
  if (slab::kClass[c].slab_bytes() > kLargestSlab) return nullptr;
  ThreadHeap* const h = process.samples();
  if (h == nullptr) {
    upkeep_wanted.fetch_or(kUpkeepSamples, std::memory_order_relaxed);
    return nullptr;
  }
  void* p = nullptr;
  {
    const HelperGuard hold(*h, HelperGuard::Try{});
    if (!hold || h->state.load() != HeapState::kAbandoned) return nullptr;
    p = h->take_one(c);
    if (p != nullptr) add(p, cell);
  }
  h->help_abandoned();
  return p;
}

// Where its set is full, nobody will know what becomes of it.
void Observation::add(const void* p, std::size_t cell) {
  if (count_ >= kMost) thin();
  const std::size_t set = set_of(p);
  for (unsigned k = 0; k < kWays; ++k) {
    if (records_[set][k].load(std::memory_order_relaxed) != 0) continue;
    born_[set][k] = phases_.lows();
    records_[set][k].store(record_of(p, cell), std::memory_order_relaxed);
    ++count_;
    return;
  }
}

// So that what is left is a sample of the whole phase, however long, it becomes twice as rare.
void Observation::thin() {
  count_ = 0;
  bool keep = true;
  for (auto& set : records_)
    for (std::atomic<Record>& r : set) {
      if (r.load(std::memory_order_relaxed) == 0) continue;
      if (keep)
        ++count_;
      else
        r.store(0, std::memory_order_relaxed);
      keep = !keep;
    }
  const std::uint32_t more = stride_kib_.load(std::memory_order_relaxed);
  if (more < UINT32_MAX / 4) stride_kib_.store(2 * more + kLeastStride, std::memory_order_relaxed);
}

void Observation::freed(const void* p) {
  std::atomic<Record>* const set = records_[set_of(p)];
  for (unsigned k = 0; k < kWays; ++k) {
    Record r = set[k].load(std::memory_order_relaxed);
    if ((r ^ record_of(p, 0)) >> kAddressAt != 0 || (r & kFreed) != 0) continue;
    set[k].compare_exchange_strong(r, r | kFreed, std::memory_order_relaxed);
    return;
  }
}

void Observation::forget() {
  for (auto& set : records_)
    for (std::atomic<Record>& r : set) r.store(0, std::memory_order_relaxed);
}

// What was sampled before the lowest point of the fall; what has come since is of the phase that begins.
void Observation::judge(std::uint32_t mib) {
  const std::uint32_t now = phases_.lows();
  const auto each = [&](auto&& f) {
    for (std::size_t set = 0; set < kSets; ++set)
      for (unsigned k = 0; k < kWays; ++k)
        if (const Record seen = records_[set][k].load(std::memory_order_relaxed); seen != 0 && born_[set][k] != now)
          f(seen, records_[set][k]);
  };
  each([this](Record seen, std::atomic<Record>&) {
    Tally& t = tally_[cell_of(seen)];
    ++t.all;
    if ((seen & kFreed) == 0) ++t.alive;
  });
  each([&](Record seen, std::atomic<Record>& r) {
    Tally& t = tally_[cell_of(seen)];
    if (t.all != 0) lifetimes.observe(cell_of(seen), t.alive, t.all, mib);
    t = {};
    r.store(0, std::memory_order_relaxed);
    --count_;
  });
  stride_kib_.store(stride_kib_.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
}

}  // namespace bm::heap
