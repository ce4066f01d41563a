// flush.cc: a bin that is full gives objects back to their slabs.  layer: heap
#include <algorithm>

#include "heap/background.h"
#include "heap/thread_heap_slow.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using slab::kClass;
using slab::SizeClass;
using slab::Slab;

// Pointers that a bin which shrinks keeps room for: a few KiB of small objects pin little and come back soon.
constexpr unsigned smallest_after_shrink(std::size_t size) {
  return size <= 32 ? 127 : size <= 64 ? 63 : size <= 128 ? 31 : 15;
}
constexpr unsigned kCloseAfter = 20;  // flushes in a row
// Flushed without a refill of any bin. With less, the load may come back at once: a heap of 33 MB whose bins let go of everything
// faulted it all in again, by pages of 4 KiB, in fastpath's churn 4096 (23 ns instead of 15).
constexpr std::size_t kDropBytes = std::size_t{24} << 20;

Pfn page_of(void* object) {
  const std::size_t number = process.map.fast_index(object);
  Pfn page{static_cast<std::uint32_t>(number)};
  if (!process.map.is_fast(number) && !process.map.find(object, page)) os::fatal("invalid pointer in a bin", object);
  return page;
}

// The slab that holds an object of a slab class, by the alignment of slabs.
std::uint32_t slab_index_of(const SizeClass& info, Pfn page) {
  const Pfn first{page.value & ~(info.pages - 1)};
  return process.map.slab_index(first);
}

}  // namespace

std::size_t ThreadHeap::cached_objects(unsigned c) const {
  const BinState& b = front.state[c];
  if (b.capacity == 0) return 0;
  const auto n = static_cast<std::size_t>(front.bins[c].top - b.base);
  return n <= b.capacity ? n : 0;  // a fork's orphan may have been between two stores
}

// As many of these objects as lie in the first one's slab, from the first on: at least one, and what a bin was filled with from one
// slab often lies together still. Returns how many.
std::size_t ThreadHeap::put_in_slab(unsigned c, void* const* objects, std::size_t n) {
  const SizeClass& info = kClass[c];
  const auto address = [&](std::size_t k) { return reinterpret_cast<std::uintptr_t>(objects[k]); };
  const Pfn page = page_of(objects[0]);
  const std::uint32_t i = slab_index_of(info, page);
  Slab& s = process.slabs[i];
  const std::uintptr_t start =
      align_down(address(0), kPageSize) - (std::uintptr_t{page.value - s.first.value} << kPageShift);
  const std::size_t bytes = info.slab_bytes();
  std::size_t k = 0;
  do {
    const std::size_t offset = address(k) - start;
    const unsigned object = info.index_of(offset);
    if (object >= info.objects || offset != std::size_t{object} * info.size)
      os::fatal("free of an invalid pointer", objects[k]);
    if (!s.put(object)) os::fatal("double free", objects[k]);
  } while (++k < n && address(k) - start < bytes);
  if (s.empty())
    release_slab(i);
  else
    rebucket(i);
  return k;
}

void free_run_object(void* p) {
  Pfn page;
  if (!process.map.find(p, page)) os::fatal("invalid pointer in a bin", p);
  const std::uint32_t e = process.map.entry(page);
  const unsigned c = (e & kOffsetMask) / sizeof(Bin);
  if (e < pages::kFirstOwnerEntry || !kClass[c].is_run()) os::fatal("double free", p);
  process.map.set_entry(page, 0);
  process.nodes.zone_of(page).free(page, kClass[c].pages);
}

// The runs of a bin, under one hold of the zone's lock for each handful.
void ThreadHeap::put_back_runs(unsigned c, void* const* objects, std::size_t n) {
  const auto entry = static_cast<std::uint32_t>(front.tag + bin_offset(c));
  Pfn first[16];
  while (n != 0) {
    const std::size_t here = std::min(n, std::size(first));
    for (std::size_t k = 0; k < here; ++k) {
      if (!process.map.find(objects[k], first[k])) os::fatal("invalid pointer in a bin", objects[k]);
      if ((reinterpret_cast<std::uintptr_t>(objects[k]) & (kPageSize - 1)) != 0)
        os::fatal("free of an invalid pointer", objects[k]);
      if (process.map.entry(first[k]) != entry) os::fatal("double free", objects[k]);
      process.map.set_entry(first[k], 0);
    }
    process.nodes.free_batch(kClass[c].pages, first, here);
    objects += here;
    n -= here;
  }
}

// How many slabs they are of, where those of one follow each other.
std::size_t ThreadHeap::put_back(unsigned c, void* const* objects, std::size_t n) {
  if (kClass[c].is_run()) {
    put_back_runs(c, objects, n);
    return n;
  }
  // Descriptors of random objects are cache misses: ask for them a few ahead.
  constexpr std::size_t kAhead = 8;
  const SizeClass& info = kClass[c];
  note_taken(-static_cast<std::int64_t>(n * info.size));
  const auto prefetch = [&](void* p) {
    const std::size_t page = process.map.fast_index(p);
    if (process.map.is_fast(page))
      __builtin_prefetch(&process.slabs[slab_index_of(info, {static_cast<std::uint32_t>(page)})], 1);
  };
  for (std::size_t k = 0; k < std::min(n, kAhead); ++k) prefetch(objects[k]);
  std::size_t slabs = 0;
  for (std::size_t k = 0; k < n; ++slabs) {
    if (k + kAhead < n) prefetch(objects[k + kAhead]);
    k += put_in_slab(c, objects + k, n - k);
  }
  return slabs;
}

void ThreadHeap::put_back_one(unsigned c, void* p) {
  if (kClass[c].is_run()) return put_back_runs(c, &p, 1);
  note_taken(-std::int64_t{kClass[c].size});
  put_in_slab(c, &p, 1);
}

// Gives back the n objects on top. They leave the bin first: a fork's child may lose objects, never find one twice.
std::size_t ThreadHeap::flush(unsigned c, std::size_t n) {
  Bin& bin = front.bins[c];
  bin.top -= n;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (front.state[c].closed) bin.limit = bin.top;
  return put_back(c, bin.top + 1, n);
}

// From now on what is freed of that kind goes to its slab, until the next refill.
void ThreadHeap::close_bin(unsigned c) {
  BinState& b = front.state[c];
  if (b.capacity == 0 || b.closed) return;
  b.closed = 1;
  b.orderly = 0;
  flush(c, cached_objects(c));
}

// Frees in the order of addresses, as of most data that ends, come to one slab after another: what a closed bin gets of one of
// them waits there, without a lock, for as long as the slab has others in use, and so is not kept by it. Once a bin has been seen
// to get its objects in that order, the fast path takes as many as the slab may have. False: it must go.
bool ThreadHeap::wait_for_neighbours(unsigned c, void* p) {
  const SizeClass& info = kClass[c];
  const BinState& b = front.state[c];
  Bin& bin = front.bins[c];
  const std::size_t n = cached_objects(c);
  if (n >= b.capacity || info.is_run()) return false;
  const auto apart = reinterpret_cast<std::uintptr_t>(p) ^ reinterpret_cast<std::uintptr_t>(*bin.top);
  if (n != 0 && apart >= info.slab_bytes()) return false;
  const Slab& s = process.slabs[slab_index_of(info, page_of(p))];
  const std::size_t in_use = info.objects - s.count_free();
  if (n + 1 >= in_use) return false;
  bin.limit = b.base + (b.orderly ? std::min<std::size_t>(b.capacity, in_use - 1) : n + 1);
  bin.push(p);
  return true;
}

// What waits in a closed bin.
void ThreadHeap::flush_closed(unsigned c) {
  constexpr std::size_t kTelling = 4;  // objects of one slab in a row
  BinState& b = front.state[c];
  const std::size_t n = cached_objects(c);
  const std::size_t slabs = flush(c, n);
  if (slabs > 1)
    b.orderly = 0;
  else if (n >= kTelling)
    b.orderly = 1;
}

// Each time so much has come to the free objects, somebody should look whether they are wanted.
void ThreadHeap::ask_for_sleepers() {
  const std::int64_t free = slab_free.load(std::memory_order_relaxed);
  if (free >= asks_at) [[unlikely]] {
    background.allow_for_sleepers();
  } else if (free >= asks_at - 2 * kAskStep) {
    return;
  }
  asks_at = free + kAskStep;
}

// A bin that is full before it has back what it had to fetch is too small for the program's rhythm and grows. Frees that
// go on and on mean that the program is giving up memory: the bin gives back all it has and shrinks, and in the end it is closed,
// as what it kept would pin slabs here and there, each of which pins a pageblock. When much has been given back and nothing
// fetched, all bins are.
void ThreadHeap::deallocate_overflow(unsigned c, void* p) {
  if (front.state[c].closed && wait_for_neighbours(c, p)) return;
  OwnerGuard hold(*this);
  const bool emptied = follow_cache_calls();
  ask_for_sleepers();
  BinState& b = front.state[c];
  b.refills = 0;
  if (b.closed) {
    flush_closed(c);
    if (wait_for_neighbours(c, p)) return;
  }
  if (b.closed || emptied || (b.capacity == 0 && kClass[c].is_run())) return put_back_one(c, p);
  const bool dropping = given_back >= kDropBytes;
  if (!dropping && (b.capacity == 0 || too_small(c)) && grow_bin(c)) return front.bins[c].push(p);
  if (b.capacity == 0) return put_back_one(c, p);
  if (b.flushes <= kCloseAfter) ++b.flushes;
  const bool giving_up = b.flushes > 2;
  const std::size_t n = giving_up ? b.capacity : std::min((b.capacity + 1U) / 2, kBatch);
  flush(c, n);
  given_back += n * kClass[c].size;
  if (given_back >= kDropBytes) {
    for (unsigned other = 0; other < slab::kBins; ++other) close_bin(other);
  } else if (giving_up && b.capacity > smallest_after_shrink(kClass[c].size)) {
    resize_bin(c, b.capacity / 2U);
  } else if (b.flushes > kCloseAfter) {
    close_bin(c);
  }
  if (b.closed) return put_back_one(c, p);
  front.bins[c].push(p);
}

void ThreadHeap::flush_all() {
  drain_pending();
  for (unsigned c = 0; c < slab::kBins; ++c) {
    const std::size_t n = cached_objects(c);
    if (n != 0) flush(c, n);
    front.state[c].refills = front.state[c].flushes = 0;
  }
  drain_stocks();
  drain_api_pages();
}

}  // namespace bm::heap
