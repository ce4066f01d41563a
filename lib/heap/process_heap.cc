// process_heap.cc: start, the registry of heaps, thread exit.  layer: heap
#include "heap/process_heap.h"

#include <algorithm>
#include <bit>

#include "base/number.h"
#include "heap/background.h"
#include "heap/limit.h"
#include "heap/reclaim.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"

namespace bm::heap {
namespace {

constexpr std::size_t kMaxHeaps = std::size_t{1} << 17;  // threads at a time
constexpr std::size_t kSlotBytesPerHeap = 16 * 1024;
constexpr std::size_t kSmallestSpace = std::size_t{64} << 30;
constexpr std::size_t kLargestSpace = std::size_t{4} << 40;
constexpr std::size_t kMaxDirectMaps = 65536;
// A slab has a page at least, and index 0 is no slab.
constexpr std::size_t kFirstPages = pages::AddressSpace::kFirstCommit << kPageblockOrder;
constexpr std::size_t kFirstDescriptors =
    align_up(slab::SlabTable::bytes_for(kFirstPages + 1), pages::MetaSpace::kStep);

void* const kNullSlot = nullptr;

constexpr Front make_empty_front(Bin* small, void** null_slot) {
  Front f{};
  f.tag = kNoTag;
  for (Bin*& bin : f.small_bin) bin = small;
  f.bins[0] = f.bins[slab::kTwins] = {null_slot, null_slot};
  f.state[0].base = null_slot;
  return f;
}

// What follows the prefix; null: text does not begin so.
const char* after_prefix(const char* text, const char* prefix) {
  while (*prefix != '\0')
    if (*text++ != *prefix++) return nullptr;
  return text;
}

// BUDDYMALLOC_NUMA: fake=N for N nodes that are none, off for one, else what the machine has. Where address space is limited
// there is one: a slice for each would be too small for large blocks.
void read_topology(std::size_t space_left, os::Topology& out) {
  const char* const wanted = os::environment("BUDDYMALLOC_NUMA");
  const char* fake = wanted == nullptr ? nullptr : after_prefix(wanted, "fake=");
  std::size_t count = 0;
  if (fake != nullptr && read_number(fake, count) && count != 0)
    os::fake_topology(count, out);
  else if (space_left == SIZE_MAX && (wanted == nullptr || after_prefix(wanted, "off") == nullptr))
    os::read_topology(out);
  else
    os::one_node(out);
}

// Of a class, or of the twin of one: a slab of the pool's with something free, the fullest of a few; 0: none. A mixed one of the class is
// for the twin, where the heap has use for one.
std::uint32_t adoptable(const ThreadHeap& pool, const ThreadHeap& h, unsigned c) {
  const std::uint32_t i = pool.fullest(c);
  if (c < slab::kTwins) return i != 0 && process.slabs[i].is_mixed() && h.twin_in_use(c) ? 0 : i;
  if (i != 0) return i;
  const std::uint32_t other = pool.fullest(c - slab::kTwins);
  return other != 0 && process.slabs[other].is_mixed() ? other : 0;
}

void thread_exit_hook(void*) {
  process.settle_fork();
  t_state.exited = true;
  ThreadHeap* const heap = current_heap();
  if (heap == nullptr) return;
  t_state.use(kEmptyFront);
  process.abandon(*heap);
  background.thread_ended(process.active_heaps());
}

}  // namespace

// What a start touches of it is in two pages when it begins a page, in three elsewhere.
alignas(kPageSize) constinit char first_heap[sizeof(ThreadHeap)] = {};

constinit const Front kEmptyFront =
    make_empty_front(const_cast<Bin*>(kEmptyFront.bins), const_cast<void**>(&kNullSlot));
constinit thread_local ThreadState t_state = {
    const_cast<Front*>(&kEmptyFront), kNoTag, false, false, false, false, false, 0, 0, {}};
constinit ProcessHeap process;

bool ProcessHeap::init() {
  os::LockGuard hold(lock_);
  if (ready()) return true;
  // A refused step is tried again at the next call, from where it stood.
  const std::size_t space_left = os::address_space_left();
  os::Topology topology;
  read_topology(space_left, topology);
  if (!laid_out_ && !(laid_out_ = lay_out(os::system_vm(), space_left, topology))) return false;
  if (slabs.committed() == 0) {
    const std::size_t bytes = std::min(kFirstDescriptors, slabs.reserved());
    if (!os::system_vm().commit(sentinel_page_, pages::MetaSpace::kStep + bytes)) return false;
    slabs.adopt(bytes);
  }
  sentinel_.init(sentinel_page_);
  os::set_lock_wait_hook([] { process.settle_fork(); });
  zone.init(os::system_vm(), map, space_, area_);
  zone.budget = direct.budget = &budget;
  nodes.init(os::system_vm(), map, space_, zone, topology);
  configure_upkeep();
  limit.configure();
  __atomic_store_n(&ready_, true, __ATOMIC_RELEASE);
  return true;
}

// Reserves page space and, beside the page layer's own metadata, ours; nothing is committed but the reservations' heads.
bool ProcessHeap::lay_out(const os::Vm& vm, std::size_t space_left, const os::Topology& topology) {
  pages::AddressSpaceConfig config;
  config.space_left = space_left;
  config.slices = topology.count;
  config.prepare_pages = [](std::size_t pages) { return process.slabs.prepare(pages); };
  // Where address space is short, a pageblock between the others costs more large blocks than the reserve is worth.
  zone.keeps_reserve = config.space_left == SIZE_MAX;
  // Several times what can be resident: address space is what keeps blocks apart. Metadata is reserved in proportion.
  config.first_section_bytes = std::clamp(std::bit_ceil(4 * os::physical_memory()), kSmallestSpace, kLargestSpace);
  config.capacity_bytes = 2 * config.first_section_bytes;
  const std::size_t blocks = pages::AddressSpace::capacity_blocks(config);
  const std::size_t pages = blocks << kPageblockOrder;
  const auto part = [](std::size_t n) { return align_up(n, pages::MetaSpace::kStep); };
  const std::size_t heaps = std::clamp<std::size_t>(config.space_left >> 19, 16, kMaxHeaps);
  const std::size_t slab_bytes = part(slab::SlabTable::bytes_for(config.space_left == SIZE_MAX ? pages : pages / 2));
  const std::size_t heap_bytes = part(heaps * sizeof(ThreadHeap));
  const std::size_t slot_bytes = part(heaps * kSlotBytesPerHeap);
  const std::size_t direct_bytes = part(DirectMaps::bytes_for(std::min(kMaxDirectMaps, heaps * 16)));
  const std::size_t handle_bytes = part(HandleTable::bytes_for(config.space_left == SIZE_MAX ? pages : pages / 8));
  const std::size_t compaction_bytes = part(Compaction::bytes_for(blocks));
  char* extra = nullptr;
  const std::size_t all =
      pages::MetaSpace::kStep + slab_bytes + heap_bytes + slot_bytes + direct_bytes + handle_bytes + compaction_bytes;
  if (!space_.init(vm, config, map, area_, all, extra)) return false;
  const auto take = [&extra](std::size_t n) {
    char* p = extra;
    extra += n;
    return p;
  };
  // The fork sentinel has a granule to itself; it is committed together with the first slab descriptors behind it.
  static_assert(pages::MetaSpace::kStep >= std::size_t{64} << 10, "the largest granule");
  sentinel_page_ = take(pages::MetaSpace::kStep);
  slabs.init(vm, take(slab_bytes), slab_bytes);
  heaps_.init(vm, take(heap_bytes), heap_bytes);
  slots.init(vm, take(slot_bytes), slot_bytes);
  direct.init(vm, take(direct_bytes), direct_bytes);
  handles.init(vm, take(handle_bytes), handle_bytes);
  compaction.init(vm, take(compaction_bytes), blocks);
  return true;
}

// Fake nodes take turns among the threads, so that each has work whatever CPU these run on.
pages::Where ProcessHeap::local(const ThreadHeap* h) const {
  pages::Where where;
  const unsigned count = nodes.count();
  if (count > 1 && h != nullptr)
    where.node = nodes.topology().fake ? h->index % count : os::current_node(nodes.topology());
  return where;
}

// Written under lock_, read without.
void ProcessHeap::add_active(int n) {
  __atomic_store_n(&active_, active_ + static_cast<std::uint32_t>(n), __ATOMIC_RELAXED);
}

std::size_t ProcessHeap::slab_free_bytes() {
  std::int64_t sum = 0;
  for (std::uint32_t i = 1; i <= heap_count(); ++i) sum += heap(i).slab_free.load(std::memory_order_relaxed);
  return static_cast<std::size_t>(std::max<std::int64_t>(sum, 0));
}

std::uint32_t ProcessHeap::threads_left() {
  os::LockGuard hold(lock_);
  std::uint32_t gone = 0;
  for (std::uint32_t i = 1; i <= heap_count_ && late_ != 0; ++i) {
    const ThreadHeap& h = heap(i);
    if (h.late && h.state.load(std::memory_order_relaxed) == HeapState::kActive && !os::thread_exists(h.owner)) ++gone;
  }
  return active_ - gone;
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
      add_active(-1);
      h.late = false;
      return &h;
    }
  }
  return nullptr;
}

// An index that no heap has had yet, lock_ held; null: out of memory.
ThreadHeap* ProcessHeap::new_heap() {
  const std::uint32_t i = heap_count_ + 1;
  if (i != 1 && !heaps_.ensure((std::size_t{i} + 1) * sizeof(ThreadHeap))) return nullptr;
  ThreadHeap& h = heap(i);
  h.start(i);
  __atomic_store_n(&heap_count_, i, __ATOMIC_RELEASE);
  return &h;
}

ThreadHeap* ProcessHeap::acquire() {
  if (!ensure_ready()) return nullptr;
  const std::uint32_t tid = os::thread_id();
  ThreadHeap* h;
  bool recount = false;
  {
    os::LockGuard hold(lock_);
    h = find_reusable();
    if (h == nullptr) h = new_heap();
    if (h == nullptr) return nullptr;
    recount = h->state.load(std::memory_order_relaxed) == HeapState::kOrphan;
    h->owner = tid;
    if (t_state.exited) {
      h->late = true;
      ++late_;
    }
    add_active(1);
    if (active_ > 1) background.thread_started();
    h->state.store(recount ? HeapState::kAdopted : HeapState::kActive);
  }
  if (recount) {
    os::LockGuard hold(h->lock);
    h->recount();
    h->state.store(HeapState::kActive);
  }
  t_state.use(h->front);
  // The first thread stays to the end; the others hand their heap over. Registering may allocate: the heap is in place.
  if (!t_state.hooked && !os::is_main_thread()) {
    t_state.hooked = true;
    os::at_thread_exit(thread_exit_hook, nullptr);
  }
  return h;
}

// What exited threads leave is shared: kept with its heap, every reused heap would pin a partly free slab per class.
ThreadHeap* ProcessHeap::ensure_threadless(std::uint32_t& index) {
  os::LockGuard hold(lock_);
  if (index == 0) {
    ThreadHeap* const h = new_heap();
    if (h == nullptr) return nullptr;
    h->state.store(HeapState::kAbandoned);
    __atomic_store_n(&index, h->index, __ATOMIC_RELEASE);
  }
  return &heap(index);
}

ThreadHeap* ProcessHeap::samples() const {
  const std::uint32_t index = __atomic_load_n(&samples_, __ATOMIC_ACQUIRE);
  return index == 0 ? nullptr : &heap(index);
}

void ProcessHeap::ensure_samples() { ensure_threadless(samples_); }

std::uint32_t ProcessHeap::adopt_slab(ThreadHeap& h, unsigned c) {
  const std::uint32_t index = __atomic_load_n(&pool_, __ATOMIC_ACQUIRE);
  if (index == 0) return 0;
  ThreadHeap& pool = heap(index);
  if (adoptable(pool, h, c) == 0) return 0;  // before the lock
  std::uint32_t i;
  {
    HelperGuard hold(pool);
    if (pool.state.load() != HeapState::kAbandoned) return 0;  // a fork's child froze it while we waited
    if (pool.many_pending()) {
      pool.drain_pending();
      pool.drain_stocks();
    }
    i = adoptable(pool, h, c);
    if (i != 0) h.adopt(pool, i);
  }
  if (pool.many_pending() || pool.much_to_give_back()) pool.help_abandoned();
  return i;
}

void ProcessHeap::abandon(ThreadHeap& h) {
  ThreadHeap* const pool = ensure_pool();
  const std::uint32_t born = generation();
  {
    HelperGuard hold(h);
    if (h.state.load() == HeapState::kFrozen) return;  // a fork's child froze it while we waited
    h.settle();
    h.flush_all();
    h.state.store(HeapState::kAbandoned);
    h.drain_pending();  // freers that came before the new state was seen
    h.drain_stocks();
    if (pool != nullptr) {
      HelperGuard hold_pool(*pool);
      if (pool->state.load() == HeapState::kAbandoned) pool->take_over_all(h);
    }
  }
  if (pool != nullptr) pool->help_abandoned();
  h.help_abandoned();
  os::LockGuard hold(lock_);
  if (generation() != born) return;  // a signal handler forked meanwhile: after_fork() has dealt with the heap
  add_active(-1);
  h.next_abandoned = abandoned_;
  abandoned_ = h.index;
}

// A thread may have freed into a slab and not have listed it yet, so that others than this thread and ours must not be there; a
// call of this thread's that a signal has interrupted is another.
void ProcessHeap::purge_descriptors() {
  if (t_state.inside || t_state.noting || t_state.helping[0] != 0) return;
  const bool ours = background.pause();
  if (os::thread_count() == (ours ? 2U : 1U)) {
    for (std::uint32_t i = 1; i <= heap_count(); ++i) heap(i).descriptors = {};
    slabs.purge_unused();
  }
  if (ours) background.resume();
}

}  // namespace bm::heap
