// process_heap.cc: start, the registry of heaps, thread exit.  layer: heap
#include "heap/process_heap.h"

#include <algorithm>
#include <bit>

#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

constexpr std::size_t kMaxHeaps = std::size_t{1} << 17;  // threads at a time
constexpr std::size_t kSlotBytesPerHeap = 16 * 1024;
constexpr std::size_t kSmallestSpace = std::size_t{64} << 30;
constexpr std::size_t kLargestSpace = std::size_t{4} << 40;
constexpr std::size_t kMaxDirectMaps = 65536;
void* const kNullSlot = nullptr;

constexpr Front make_empty_front(void** null_slot) {
  Front f{};
  f.tag = kNoTag;
  f.bins[0] = {null_slot, null_slot};
  return f;
}

void thread_exit_hook(void*) {
  process.settle_fork();
  t_state.exited = true;
  ThreadHeap* const heap = current_heap();
  if (heap == nullptr) return;
  t_state.front = const_cast<Front*>(&kEmptyFront);
  process.abandon(*heap);
}

}  // namespace

constinit const Front kEmptyFront = make_empty_front(const_cast<void**>(&kNullSlot));
constinit thread_local ThreadState t_state = {const_cast<Front*>(&kEmptyFront), false, false, false};
constinit ProcessHeap process;

ThreadHeap& ProcessHeap::heap(std::uint32_t index) const {
  return reinterpret_cast<ThreadHeap*>(heaps_.start())[index];
}

bool ProcessHeap::init() {
  os::LockGuard hold(lock_);
  if (ready()) return true;
  // A refused step is tried again at the next call, from where it stood.
  if (!laid_out_ && !(laid_out_ = lay_out(os::system_vm()))) return false;
  if (!slots.ensure_first()) return false;
  sentinel_.init(slots.storage());
  os::set_lock_wait_hook([] { process.settle_fork(); });
  zone.init(os::system_vm(), map, space_, area_);
  __atomic_store_n(&ready_, true, __ATOMIC_RELEASE);
  return true;
}

// Reserves page space and, beside the page layer's own metadata, ours; nothing is committed but the reservations' heads.
bool ProcessHeap::lay_out(const os::Vm& vm) {
  pages::AddressSpaceConfig config;
  config.space_left = os::address_space_left();
  // Several times what can be resident: address space is what keeps blocks apart. Metadata is reserved in proportion.
  config.first_section_bytes = std::clamp(std::bit_ceil(4 * os::physical_memory()), kSmallestSpace, kLargestSpace);
  config.capacity_bytes = 2 * config.first_section_bytes;
  const std::size_t pages = pages::AddressSpace::capacity_blocks(config) << kPageblockOrder;
  const auto part = [](std::size_t n) { return align_up(n, pages::MetaSpace::kStep); };
  const std::size_t heaps = std::clamp<std::size_t>(config.space_left >> 19, 16, kMaxHeaps);
  const std::size_t slab_bytes = part(slab::SlabTable::bytes_for(config.space_left == SIZE_MAX ? pages : pages / 2));
  const std::size_t heap_bytes = part(heaps * sizeof(ThreadHeap));
  const std::size_t slot_bytes = part(os::granule() + heaps * kSlotBytesPerHeap);
  const std::size_t direct_bytes = part(DirectMaps::bytes_for(std::min(kMaxDirectMaps, heaps * 16)));
  char* extra = nullptr;
  if (!space_.init(vm, config, map, area_, slab_bytes + heap_bytes + slot_bytes + direct_bytes, extra)) return false;
  const auto take = [&extra](std::size_t n) {
    char* p = extra;
    extra += n;
    return p;
  };
  slabs.init(vm, take(slab_bytes), slab_bytes);
  heaps_.init(vm, take(heap_bytes), heap_bytes);
  // The fork sentinel has the first granule to itself, the bins' arrays follow.
  slots.init(vm, take(slot_bytes), slot_bytes, os::granule());
  direct.init(vm, take(direct_bytes), direct_bytes);
  return true;
}

// A heap nobody uses, lock_ held: one handed back, else one whose thread ended after its exit hook, else an orphan.
ThreadHeap* ProcessHeap::find_reusable() {
  if (abandoned_ != 0) {
    ThreadHeap& h = heap(abandoned_);
    abandoned_ = h.next_abandoned;
    return &h;
  }
  for (std::uint32_t i = 1; i <= heap_count_ && (late_ != 0 || orphans_ != 0); ++i) {
    ThreadHeap& h = heap(i);
    const HeapState s = h.state.load(std::memory_order_relaxed);
    if (s == HeapState::kOrphan) {
      --orphans_;
      return &h;
    }
    if (s == HeapState::kActive && h.late && !os::thread_exists(h.owner)) {
      --late_;
      --active_;
      h.late = false;
      return &h;
    }
  }
  return nullptr;
}

ThreadHeap* ProcessHeap::acquire() {
  if (!ensure_ready()) return nullptr;
  const std::uint32_t tid = os::thread_id();
  ThreadHeap* h;
  bool recount = false;
  {
    os::LockGuard hold(lock_);
    h = find_reusable();
    if (h == nullptr) {
      const std::uint32_t i = heap_count_ + 1;
      if (!heaps_.ensure((std::size_t{i} + 1) * sizeof(ThreadHeap))) return nullptr;
      h = &heap(i);
      h->start(i);
      __atomic_store_n(&heap_count_, i, __ATOMIC_RELEASE);
    }
    recount = h->state.load(std::memory_order_relaxed) == HeapState::kOrphan;
    h->owner = tid;
    if (t_state.exited) {
      h->late = true;
      ++late_;
    }
    ++active_;
    h->state.store(recount ? HeapState::kAdopted : HeapState::kActive);
  }
  if (recount) {
    os::LockGuard hold(h->lock);
    h->recount();
    h->state.store(HeapState::kActive);
  }
  t_state.front = &h->front;
  // The first thread stays to the end; the others hand their heap over. Registering may allocate: the heap is in place.
  if (!t_state.hooked && !os::is_main_thread()) {
    t_state.hooked = true;
    os::at_thread_exit(thread_exit_hook, nullptr);
  }
  return h;
}

void ProcessHeap::abandon(ThreadHeap& h) {
  {
    os::LockGuard hold(h.lock);
    h.flush_all();
    h.state.store(HeapState::kAbandoned);
    h.drain_pending();  // freers that came before the new state was seen
    h.pages.drain(zone);
  }
  os::LockGuard hold(lock_);
  --active_;
  h.next_abandoned = abandoned_;
  abandoned_ = h.index;
}

// The child of a fork has one thread. Locks are as they were in threads that are gone.
void ProcessHeap::after_fork() {
  if (sentinel_.claim() != os::ForkSentinel::Claim::kMine) return;
  ThreadHeap* const own = current_heap();
  lock_.reset();
  slabs.reset_lock();
  slots.reset_lock();
  direct.reset_lock();
  if (zone.interrupted()) zone.recover();
  abandoned_ = 0;
  orphans_ = late_ = active_ = 0;
  for (std::uint32_t i = 1; i <= heap_count_; ++i) {
    ThreadHeap& h = heap(i);
    const bool busy = h.lock.held();
    if (&h == own) {
      // Inside its own slow path: a signal handler forked. The interrupted call may yet go on; leave it the heap. A
      // helper that held the lock is gone.
      const bool frozen = busy && t_state.inside;
      if (frozen) {
        t_state.front = const_cast<Front*>(&kEmptyFront);
        t_state.inside = false;
      } else if (busy) {
        h.lock.reset();
        h.recount();
      }
      h.state.store(frozen ? HeapState::kFrozen : HeapState::kActive);
      h.owner = os::thread_id();
      active_ += frozen ? 0 : 1;
      continue;
    }
    h.late = false;
    if (h.state.load() == HeapState::kFrozen) continue;
    if (h.state.load() == HeapState::kAbandoned && !busy) {
      h.next_abandoned = abandoned_;
      abandoned_ = i;
      continue;
    }
    h.lock.reset();
    h.state.store(HeapState::kOrphan);
    ++orphans_;
  }
  sentinel_.settle();
}

}  // namespace bm::heap
