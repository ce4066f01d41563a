// process_heap.h: what all threads' heaps share: pages, slabs, the registry of heaps.  layer: heap
// One instance, constant-initialised, never destroyed. settle_fork() comes first on every slow path.
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/direct_maps.h"
#include "heap/slot_pool.h"
#include "os/lock.h"
#include "os/process.h"
#include "pages/address_space.h"
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

  // A heap for the calling thread, which has none; null: out of memory.
  ThreadHeap* acquire();
  // At thread exit: `heap` will be used by a later thread.
  void abandon(ThreadHeap& heap);

  ThreadHeap& heap(std::uint32_t index) const;
  std::uint32_t heap_count() const { return __atomic_load_n(&heap_count_, __ATOMIC_ACQUIRE); }  // indices 1..count
  std::uint32_t active_heaps() const { return __atomic_load_n(&active_, __ATOMIC_RELAXED); }

  pages::MemMap map;
  pages::Zone zone;
  slab::SlabTable slabs;
  SlotPool slots;
  DirectMaps direct;

 private:
  bool init();
  bool lay_out(const os::Vm& vm);
  void after_fork();
  ThreadHeap* find_reusable();

  bool ready_ = false;
  bool laid_out_ = false;
  os::Lock lock_;  // registry; outermost rank, never held while a heap's lock is taken
  os::ForkSentinel sentinel_;
  pages::AddressSpace space_;
  pages::FreeArea area_;
  pages::MetaSpace heaps_;
  std::uint32_t heap_count_ = 0;
  std::uint32_t active_ = 0;
  std::uint32_t late_ = 0;       // active heaps whose thread is in its last destructors
  std::uint32_t orphans_ = 0;    // heaps of threads that vanished in a fork
  std::uint32_t abandoned_ = 0;  // list of reusable heaps, linked by ThreadHeap::next_abandoned
};

extern ProcessHeap process;

}  // namespace bm::heap
