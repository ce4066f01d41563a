// process_heap.h: what all threads' heaps share: pages, slabs, the registry of heaps.  layer: heap
// One instance, constant-initialised, never destroyed. settle_fork() comes first on every slow path.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/compact.h"
#include "heap/direct_maps.h"
#include "heap/handle_table.h"
#include "heap/slot_pool.h"
#include "os/lock.h"
#include "os/process.h"
#include "pages/address_space.h"
#include "pages/node.h"
#include "pages/zone.h"
#include "slab/slab_table.h"

namespace bm::heap {

struct ThreadHeap;

class ProcessHeap {
 public:
  // False: the OS refuses even the smallest start.
  bool ensure_ready() { return __atomic_load_n(&ready_, __ATOMIC_ACQUIRE) || init(); }
  bool ready() const { return __atomic_load_n(&ready_, __ATOMIC_ACQUIRE); }

  // Recognises a fork's child and makes its copy of the heap usable: locks are fresh, the zone is rebuilt when a thread
  // that is gone was at it, the heaps of such threads become orphans.
  void settle_fork() {
    if (sentinel_.forked()) [[unlikely]]
      after_fork();
  }

  // Grows with every fork; what Slab::queued holds while the slab is on a pending list of this process.
  std::uint32_t generation() const { return __atomic_load_n(&forks_, __ATOMIC_RELAXED) + 1; }

  // A heap for the calling thread, which has none; null: out of memory.
  ThreadHeap* acquire();
  // At thread exit: `heap` will be used by a later thread, its partly free slabs by any.
  void abandon(ThreadHeap& heap);
  // Moves the fullest partly free slab that exited threads left of this class to `heap`, whose lock is held; 0: none.
  std::uint32_t adopt_slab(ThreadHeap& heap, unsigned size_class);

  ThreadHeap& heap(std::uint32_t index) const;
  std::uint32_t heap_count() const { return __atomic_load_n(&heap_count_, __ATOMIC_ACQUIRE); }  // indices 1..count
  // The heap without a thread that objects come from whose end is to be seen (observation.h); null: none yet.
  ThreadHeap* samples() const;
  bool is_samples(std::uint32_t index) const { return index == __atomic_load_n(&samples_, __ATOMIC_ACQUIRE); }
  void ensure_samples();
  // Where the calling thread gets pages by preference. `heap` is its own; null while it has none.
  pages::Where local(const ThreadHeap* heap) const;
  std::uint32_t active_heaps() const { return __atomic_load_n(&active_, __ATOMIC_RELAXED); }
  // Bytes of free objects in all slabs, roughly.
  std::size_t slab_free_bytes();
  // active_heaps() without those of threads that ended after their exit hook. Takes the registry's lock.
  std::uint32_t threads_left();

  // Every thread is to give up its caches, at its next slow path.
  void ask_for_caches() { __atomic_fetch_add(&cache_calls_, 1, __ATOMIC_RELAXED); }
  std::uint32_t cache_calls() const { return __atomic_load_n(&cache_calls_, __ATOMIC_RELAXED); }
  // Memory of unused slab descriptors goes back to the OS, where no other thread can be at them.
  void purge_descriptors();

  // What any zone asks of the slow paths (Zone::attention).
  std::uint8_t attention() const {
    if (nodes.single()) [[likely]]
      return zone.attention();
    std::uint8_t all = 0;
    nodes.for_each_zone([&all](const pages::Zone& z) { all |= z.attention(); });
    return all;
  }

 private:
  bool init();
  bool lay_out(const os::Vm& vm, std::size_t space_left, const os::Topology& topology);
  void after_fork();
  void own_after_fork(ThreadHeap& heap);
  void freeze_helped(std::uint32_t index);
  void keep_after_fork(ThreadHeap& heap);
  void pool_after_fork(ThreadHeap& heap);
  void others_after_fork(ThreadHeap& heap);
  void add_active(int n);
  ThreadHeap* find_reusable();
  ThreadHeap* new_heap();
  ThreadHeap* ensure_pool() { return ensure_threadless(pool_); }
  ThreadHeap* ensure_threadless(std::uint32_t& index);

  // What every start reads and writes comes first, the large parts last: few pages are touched.
  bool ready_ = false;
  bool laid_out_ = false;
  os::Lock lock_;  // registry; outermost rank, never held while a heap's lock is taken
  os::ForkSentinel sentinel_;
  char* sentinel_page_ = nullptr;
  std::uint32_t heap_count_ = 0;
  std::uint32_t active_ = 0;
  std::uint32_t late_ = 0;       // active heaps whose thread is in its last destructors
  std::uint32_t orphans_ = 0;    // heaps of threads that vanished in a fork
  std::uint32_t abandoned_ = 0;  // list of reusable heaps, linked by ThreadHeap::next_abandoned
  std::uint32_t forks_ = 0;      // all of this object is zero at first: it lies in .bss
  std::uint32_t cache_calls_ = 0;
  std::uint32_t pool_ = 0;  // the heap without a thread that holds what exited threads left; 0: none yet
  std::uint32_t samples_ = 0;
  pages::MetaSpace heaps_;
  pages::AddressSpace space_;

 public:
  alignas(kCacheLine) pages::MemMap map;  // the fast path reads its first words
  pages::Zone zone;                       // node 0's Normal zone; `nodes` knows the others
  pages::Nodes nodes;
  slab::SlabTable slabs;
  DirectMaps direct;
  pages::Budget budget;  // limit.h sets it
  HandleTable handles;
  Compaction compaction;
  SlotPool slots;

 private:
  pages::FreeArea area_;
};

[[gnu::visibility("hidden")]] extern ProcessHeap process;

}  // namespace bm::heap
