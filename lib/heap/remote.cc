// remote.cc: objects freed by threads that do not own them, and heaps whose thread vanished.  layer: heap
// A remote freer sets the object's bit and, as the first one, puts the slab on the owner's pending list. The owner takes
// the list on its slow paths; when it does not come by, or is gone, a freer does it for it under the heap's lock: now and then, and,
// for one that is gone, as soon as half of the slabs listed, or many, have all their objects back.
#include "heap/thread_heap_slow.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using slab::Slab;

constexpr std::uint32_t kPatience =
    (std::uint32_t{2} << 20) >> kPageShift;  // pages of pending slabs before a freer helps

void push_pending(ThreadHeap& heap, std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  std::uint32_t head = heap.pending.load(std::memory_order_relaxed);
  do s.pending_next.store(head, std::memory_order_relaxed);
  while (!heap.pending.compare_exchange_weak(head, slab_index));
}

}  // namespace

void ThreadHeap::list_remote(std::uint32_t slab_index, unsigned object) {
  Slab& s = process.slabs[slab_index];
  if (state.load() == HeapState::kFrozen) return;  // nobody ever drains it
  t_state.noting = true;  // until it is listed: a signal handler that forks keeps the generation
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const std::uint32_t mark = process.generation();
  const bool first = s.queued.load() != mark && s.queued.exchange(mark) != mark;
  if (first) push_pending(*this, slab_index);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_state.noting = false;
  bool many = false;
  if (first) {
    const std::uint32_t more = s.size_info().pages;
    many = pending_pages.fetch_add(more, std::memory_order_relaxed) % kPatience + more >= kPatience;
  }
  if (state.load() == HeapState::kAbandoned) {
    if (s.all_freed(object)) freed_pages.fetch_add(s.size_info().pages, std::memory_order_relaxed);
    if (many || much_to_give_back()) help_abandoned();
  } else if (many && state.load() == HeapState::kActive && lock.try_lock()) {  // the owner is slow
    drain_pending();
    lock.unlock();
    help_abandoned();
  }
}

// An abandoned heap is looked at again after the lock is free: whoever queued meanwhile could not take it.
void ThreadHeap::help_abandoned() {
  while (state.load() == HeapState::kAbandoned && pending.load() != 0) {
    const HelperGuard hold(*this, HelperGuard::Try{});
    if (!hold) return;
    drain_pending();
    if (state.load() == HeapState::kAbandoned) drain_stocks();
  }
}

void ThreadHeap::merge_remote(Slab& s) {
  const unsigned before = s.free_count;
  if (!s.merge_remote()) os::fatal("double free in the slab at", process.map.address(s.first));
  note_taken(-std::int64_t{s.free_count - before} * s.size_info().size);
}

void ThreadHeap::drain_pending() {
  if (pending.load() == 0) return;
  pending_pages.store(0, std::memory_order_relaxed);
  freed_pages.store(0, std::memory_order_relaxed);
  std::uint32_t i = pending.exchange(0);
  while (i != 0) {
    Slab& s = process.slabs[i];
    const std::uint32_t next = s.pending_next.load(std::memory_order_relaxed);
    s.queued.exchange(0);
    const bool freed = s.has_remote();
    const std::uint32_t holder = s.holder();
    if (freed && holder == index) {
      merge_remote(s);
      if (s.empty())
        release_slab(i);
      else
        rebucket(i);
    } else if (freed && holder != 0) {
      // a late freer of the slab's previous life had queued it here; its present owner must hear of the bits
      process.heap(holder).note_remote(i, 0);
    }
    i = next;
  }
}

void ThreadHeap::forward_pending() {
  for (std::uint32_t i = pending.exchange(0), next; i != 0; i = next) {
    Slab& s = process.slabs[i];
    next = s.pending_next.load(std::memory_order_relaxed);
    s.queued.exchange(0);
    const std::uint32_t holder = s.holder();
    if (holder != 0 && holder != index && s.has_remote()) process.heap(holder).note_remote(i, 0);
  }
  pending_pages.store(0, std::memory_order_relaxed);
  freed_pages.store(0, std::memory_order_relaxed);
}

void ThreadHeap::recount() {
  forward_pending();  // first, by itself: counts and bucket lists mean nothing yet
  for (auto& b : bin_slabs)
    for (auto& head : b.bucket) head = 0;
  const std::uint32_t limit = process.slabs.limit();
  for (std::uint32_t i = 1; i < limit; ++i) {
    Slab& s = process.slabs[i];
    if (s.holder() != index) continue;
    // `queued` stays: others may be listing the slab right now, and what a vanished thread was about to list is of an older
    // generation.
    std::size_t n = 0;
    for (const std::uint64_t w : s.free) n += popcount(w);
    s.set_count_free(n);
    s.merge_remote();
    s.bucket = slab::kUnlisted;
    own_pages(s);  // it may have been on its way from heap to heap
    rebucket(i);
  }
  descriptors = {};  // whoever vanished may have been at it
  cached_capacity = 0;
  for (unsigned c = 0; c < slab::kBins; ++c) {
    Bin& bin = front.bins[c];
    BinState& b = front.state[c];
    const std::size_t n = cached_objects(c);
    if (b.capacity == 0) {  // never had an array, or was being given another
      bin = kEmptyFront.bins[0];
      b.base = kEmptyFront.state[0].base;
      continue;
    }
    cached_capacity += std::size_t{b.capacity} * slab::kClass[c].size;
    bin.limit = b.base + b.capacity;
    b.closed = 0;
    bin.top = b.base + n;
  }
}

}  // namespace bm::heap
