// lifetime.cc: see lifetime.h.  layer: heap
#include "heap/lifetime.h"

#include "heap/thread_heap.h"

namespace bm::heap {
namespace {

static_assert(Lifetimes::kDraining * Lifetimes::kVerdictUnit == bin_offset(slab::kTwins));

constexpr std::uint32_t kShare = 32;              // much: one part in so many of all that was fetched lately,
constexpr std::uint32_t kLeastObjects = 1024;     // and so many objects
constexpr std::uint32_t kLeastKib = 128;          // or bytes
constexpr std::uint32_t kPeriodKib = 128 * 1024;  // counts are halved after each such volume

void add(std::atomic<std::uint32_t>& to, std::size_t n) {
  to.store(to.load(std::memory_order_relaxed) + static_cast<std::uint32_t>(n), std::memory_order_relaxed);
}

}  // namespace

constinit Lifetimes lifetimes;

// What happened before this period counts less and less.
void Lifetimes::age(Count& c) const {
  const std::uint32_t now = all_.period.load(std::memory_order_relaxed);
  const std::uint32_t passed = now - c.period.load(std::memory_order_relaxed);
  if (passed == 0) return;
  const std::uint32_t shift = passed < 31 ? passed : 31;
  c.objects.store(c.objects.load(std::memory_order_relaxed) >> shift, std::memory_order_relaxed);
  c.kib.store(c.kib.load(std::memory_order_relaxed) >> shift, std::memory_order_relaxed);
  c.period.store(now, std::memory_order_relaxed);
}

bool Lifetimes::much(const Count& c) const {
  const auto share = [](const std::atomic<std::uint32_t>& part, const std::atomic<std::uint32_t>& whole,
                        std::uint32_t least) {
    const std::uint32_t n = part.load(std::memory_order_relaxed);
    return n >= least && n >= whole.load(std::memory_order_relaxed) / kShare;
  };
  return share(c.objects, all_.objects, kLeastObjects) || share(c.kib, all_.kib, kLeastKib);
}

void Lifetimes::note(CallPath path, std::size_t objects, std::size_t bytes, std::uint32_t slabs) {
  if (!tells_apart(slabs)) return;
  const std::size_t kib = (bytes + 1023) / 1024;
  add(all_.objects, objects);
  add(all_.kib, kib);
  if (all_.kib.load(std::memory_order_relaxed) >= kPeriodKib) {
    all_.objects.store(all_.objects.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
    all_.kib.store(all_.kib.load(std::memory_order_relaxed) / 2, std::memory_order_relaxed);
    add(all_.period, 1);
  }
  if (path == 0 || way(path) != 0) return;
  const std::size_t cell = cell_of(path);
  Count& c = cells_[cell];
  age(c);
  add(c.objects, objects);
  add(c.kib, kib);
  if (much(c)) __atomic_store_n(&verdict_[cell], kDraining, __ATOMIC_RELAXED);
}

}  // namespace bm::heap
