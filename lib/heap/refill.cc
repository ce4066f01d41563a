// refill.cc: a bin that is empty gets objects: from partly free slabs, the fullest first, else from a new one.  layer: heap
#include <algorithm>

#include "heap/limit.h"
#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

using slab::kClass;
using slab::SizeClass;
using slab::Slab;

constexpr unsigned kLargestBin = (1U << SlotPool::kMaxOrder) - 1;
constexpr unsigned kMiddlingBin = 2047;                      // pointers
constexpr std::size_t kLargeObject = std::size_t{32} << 10;  // bytes; above: few are kept ready, and turnover counts
// bytes; the 384 slabs of larger ones that come before paths are told apart may be 48 MiB, which whole pageblocks come back of as they
// drain: `memory pages 200 60` 180 MB instead of 206.
constexpr std::size_t kLargestMixed = 2048;
constexpr std::int32_t kTurnoverStep = 1 << 20;  // bytes between two reports to the zone
constexpr unsigned kRunBatch = 8;                // runs that one refill takes at most
constexpr unsigned kRefillGrowth = 63;           // a bin grows to this by refills alone, beyond only by reuse
// What a refill fetches at most: 128 KiB of objects of 2 KiB, half of which lie in the bin at any time, were a sixth of xmalloc's peak.
constexpr std::size_t kBatchBytes = std::size_t{32} << 10;
constexpr std::size_t kLeastBatch = 8;  // objects, though
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

constexpr unsigned most_in_batch(std::size_t size) {
  return static_cast<unsigned>(std::clamp<std::size_t>(kBatchBytes / size, kLeastBatch, kBatch));
}

// Twins are expected to drain. Of the others, while nothing is told apart: many small objects share a slab, so that one survivor
// pins it; such slabs stay away from those of few. Afterwards they are what is rare, and with it lives what lives long.
pages::Migratetype migratetype_for(unsigned c) {
  constexpr unsigned kMany = 64;
  const bool drains =
      c >= slab::kTwins || (kClass[c].objects < kMany && !Lifetimes::tells_apart(process.slabs.limit()));
  return drains ? pages::Migratetype::kMovable : pages::Migratetype::kUnmovable;
}

// Written under the lock, looked at without one: is there anything to lock for?
void set_head(std::uint32_t& head, std::uint32_t slab_index) { __atomic_store_n(&head, slab_index, __ATOMIC_RELAXED); }

// Bytes that the bins of a thread may hold.
std::size_t most_in_bins() {
  const std::size_t opened = process.nodes.present_pages() << kPageShift;
  const std::size_t all =
      std::min(std::clamp(opened / kOfAllHeaps, kAllOfSmallHeap, kAllHeaps), limit.most() / kLimitShare);
  const std::size_t share = std::max(all / std::max(1U, process.active_heaps()), std::min(kHeapFloor, all / 16));
  return std::min(share, std::clamp(opened / kOfHeap, kSmallHeapBytes, kHeapBytes));
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

bool ThreadHeap::twin_in_use(unsigned c) const {
  return c < slab::kTwins && !kClass[c].is_run() && bin_slabs[c + slab::kTwins].last_refill != 0;
}

// Before call paths were told apart, what drains lay in the class's own slabs. Once it is served from the twin's, these would be
// left half empty beside them: 1.3 times the memory of a heap of 12 MB (alloc-test-1). The few objects in them that live long stay there.
bool ThreadHeap::belongs_to_twin(const Slab& s) const { return s.is_mixed() && twin_in_use(s.size_class); }

// When the twin of that class is asked for the first time: what is partly free now. Those without a free object follow when they
// have one.
void ThreadHeap::hand_mixed_to_twin(unsigned c) {
  close_bin(c);
  for (const std::uint32_t head : bin_slabs[c].bucket)
    for (std::uint32_t i = head, next; i != 0; i = next) {
      next = process.slabs[i].next;
      if (!process.slabs[i].is_mixed()) continue;
      unlist(i);
      rebucket(i);
    }
}

void ThreadHeap::rebucket(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  if (s.bucket == slab::kUnlisted && belongs_to_twin(s)) {
    s.set_size_class(s.size_class + slab::kTwins);
    own_pages(s);
  }
  const std::uint8_t wanted = s.wanted_bucket();
  if (s.bucket == wanted) return;
  unlist(slab_index);
  s.bucket = wanted;
  if (wanted == slab::kUnlisted) return;
  std::uint32_t& head = bin_slabs[s.size_class].bucket[wanted];
  s.prev = 0;
  s.next = head;
  if (head != 0) process.slabs[head].prev = slab_index;
  set_head(head, slab_index);
}

void ThreadHeap::unlist(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  if (s.bucket == slab::kUnlisted) return;
  if (s.prev != 0)
    process.slabs[s.prev].next = s.next;
  else
    set_head(bin_slabs[s.size_class].bucket[s.bucket], s.next);
  if (s.next != 0) process.slabs[s.next].prev = s.prev;
  s.bucket = slab::kUnlisted;
}

std::uint32_t ThreadHeap::fullest(unsigned c) const {
  for (const std::uint32_t& head : bin_slabs[c].bucket)
    if (const std::uint32_t i = __atomic_load_n(&head, __ATOMIC_RELAXED); i != 0) return i;
  return 0;
}

// [TH-2] for all pages of the slab.
void ThreadHeap::own_pages(Slab& s) {
  const auto entry = static_cast<std::uint32_t>(front.tag + bin_offset(s.size_class));
  for (std::uint32_t k = 0; k < s.size_info().pages; ++k) process.map.set_entry(s.first + k, entry);
}

// Others may free into the slab meanwhile: what they note with the previous owner is passed on (drain_pending).
void ThreadHeap::take_over(ThreadHeap& from, std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  from.unlist(slab_index);
  own_pages(s);
  s.set_holder(index);
  rebucket(slab_index);
}

void ThreadHeap::adopt(ThreadHeap& from, std::uint32_t slab_index) {
  take_over(from, slab_index);
  merge_remote(process.slabs[slab_index]);
  rebucket(slab_index);
}

void ThreadHeap::take_over_all(ThreadHeap& from) {
  for (unsigned c = 0; c < slab::kBins; ++c)
    while (const std::uint32_t i = from.fullest(c)) take_over(from, i);
}

// What only other zones have is not listed.
bool ThreadHeap::take_pages(unsigned order, pages::Migratetype type, Pfn& out) {
  if (pages.alloc(follow_nearest(pages, pages_zone), order, type, out)) return true;
  pages::Run run;
  if (process.nodes.single() || !process.nodes.alloc(process.local(this), std::size_t{1} << order, type, run))
    return false;
  out = run.first;
  return true;
}

void ThreadHeap::give_back_pages(unsigned order, Pfn first) {
  pages::Zone& zone = process.nodes.zone_of(first);
  if (zone.number() == pages_zone)
    pages.free(zone, order, process.map.block(first.block()).migratetype, first);
  else
    zone.free(first, std::size_t{1} << order);
}

std::uint32_t ThreadHeap::new_slab(unsigned c) {
  const SizeClass& info = kClass[c];
  Pfn first;
  const std::uint32_t i = process.slabs.take(descriptors);
  if (i == 0) return 0;
  if (!take_pages(info.order, migratetype_for(c), first)) {
    process.slabs.give_back(descriptors, i);
    return 0;
  }
  Slab& s = process.slabs[i];
  s.first = first;
  s.set_size_class(c);
  s.set_mixed(info.size <= kLargestMixed && !Lifetimes::tells_apart(process.slabs.limit()) && !twin_in_use(c));
  s.bucket = slab::kUnlisted;
  s.fill();
  process.map.set_slab_index(first, i);
  own_pages(s);
  s.set_holder(index);
  rebucket(i);
  note_slab_free(std::int64_t{info.objects} * info.size);
  if (info.size > kLargeObject) note_turnover(-static_cast<std::int32_t>(info.slab_bytes()));
  return i;
}

void ThreadHeap::release_slab(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  const SizeClass& info = s.size_info();
  const Pfn first = s.first;
  unlist(slab_index);
  s.set_holder(0);
  for (std::uint32_t k = 0; k < info.pages; ++k) process.map.set_entry(first + k, 0);
  process.slabs.give_back(descriptors, slab_index);
  note_slab_free(-std::int64_t{info.objects} * info.size);
  give_back_pages(info.order, first);
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
