// zone.h: one buddy system: pages of an address space, handed out in runs and taken back.  layer: pages
// Thread-safe: every public function takes lock_ itself. The maps in Pageblock are the truth; free area, counters and
// watermark state are derived, and recover() rebuilds them in a fork's child, whatever instruction the lock holder was at.
// [ZN-1] free_pages_ is the sum of Pageblock::free_pages over opened blocks
// [ZN-2] backed_free_ is the number of pages that are free and dirty, isolated blocks included
// [ZN-3] intent_.pages() != 0 only while lock_ is held: that run is in transition and counts as free
#pragma once

#include <atomic>
#include <cstddef>

#include "base/units.h"
#include "os/lock.h"
#include "pages/address_space.h"
#include "pages/free_area.h"
#include "pages/mem_map.h"
#include "pages/migratetype.h"

namespace bm::pages {

// Backed memory of whole-free pageblocks, in pages: above `high` they go back to the OS until `low` is reached.
struct Watermarks {
  std::size_t low;
  std::size_t high;
};
inline constexpr Watermarks kDefaultWatermarks = {(std::size_t{8} << 20) >> kPageShift,
                                                  (std::size_t{16} << 20) >> kPageShift};

struct Run {
  Pfn first;
  std::size_t pages = 0;
  bool zeroed = false;  // known to read as zero
};

enum class Placement : unsigned char {
  kPacked,   // smallest sufficient free block, then lowest address
  kGrowing,  // where the pages behind it are free too: for a run that has been seen to grow
};

class Zone {
 public:
  void init(const os::Vm& vm, MemMap& map, AddressSpace& space, FreeArea& area);

  // A run of `pages` >= 1 pages. Its first page is aligned to the next power of two of `pages` and to align_order, both
  // capped at a pageblock; align_order may exceed that (whole blocks). Exact: the tail of the buddy block stays free.
  bool alloc(std::size_t pages, Migratetype type, Run& out, unsigned align_order = 0,
             Placement placement = Placement::kPacked);
  // Up to `count` runs of `pages` <= kPagesPerBlock pages under one hold of the lock, from one pageblock as far as it
  // lasts; returns how many were written to `out`.
  std::size_t alloc_batch(std::size_t pages, Migratetype type, std::size_t count, Run* out);

  // Takes back any part of what alloc gave. A page that is free already is a caller's bug: fatal.
  void free(Pfn first, std::size_t pages);
  void free_batch(std::size_t pages, const Pfn* first, std::size_t count);  // runs of the same length

  // Makes the run [first, first + old_pages) longer in place; false: the pages behind it are not to be had.
  bool extend(Pfn first, std::size_t old_pages, std::size_t new_pages);

  // Returns free memory to the OS until at most `keep_pages` backed-free pages remain: whole blocks first, then, when
  // `holes` is set, free pages of blocks on 4 KiB pages. Returns pages given back.
  std::size_t purge(std::size_t keep_pages, bool holes);

  // Only in a fork's child, before any other use.
  void recover();
  bool interrupted() const { return lock_.held() || isolated_ != 0; }

  struct Counters {
    std::size_t free_pages = 0;         // in opened blocks
    std::size_t backed_free_pages = 0;  // of these: probably resident
    std::size_t opened_pages = 0;
    std::size_t committed_pages = 0;
    std::size_t reserved_pages = 0;
    std::size_t purged_pages = 0;    // since the start
    std::size_t claimed_blocks = 0;  // whole pageblocks that changed type while partly used
    std::size_t stolen_blocks = 0;   // requests served from another type's pageblock
  };
  Counters counters();
  // Adds free blocks by (migratetype, order 0..10) to counts, under one hold of the lock: the sums are exact.
  void count_free(std::size_t counts[kMigratetypes][kReportOrders]);

  // Number of broken invariants; each is described on `fd` when fd >= 0.
  int validate(int fd);

  Watermarks watermarks{};  // kDefaultWatermarks from init() on

 private:
  // What a transition is about to change, whole at every instruction: a fork's child must never see half of it.
  class Intent {
   public:
    void declare(Pfn first, std::size_t pages) {
      first_ = first;
      std::atomic_signal_fence(std::memory_order_seq_cst);
      pages_ = pages;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    void done() {
      std::atomic_signal_fence(std::memory_order_seq_cst);
      pages_ = 0;
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    Pfn first() const { return first_; }
    std::size_t pages() const { return pages_; }

   private:
    Pfn first_;
    std::size_t pages_ = 0;
  };

  // All below: lock_ held.
  bool find_block(unsigned order, Migratetype type, BlockIndex& out);
  bool find_in_other_types(unsigned order, Migratetype type, BlockIndex& out);
  void add_fresh(BlockIndex first, std::size_t blocks);
  bool open_fresh(Migratetype type, BlockIndex& out);
  void retype(BlockIndex b, Migratetype type);
  Pfn take_from(BlockIndex b, unsigned order, std::size_t pages, bool& zeroed);
  bool alloc_blocks(std::size_t pages, Migratetype type, std::size_t align_blocks, Placement placement, Run& out);
  bool find_whole_run(std::size_t blocks, std::size_t align_blocks, BlockIndex& out);
  bool take_range(Pfn first, std::size_t pages);
  void free_range(Pfn first, std::size_t pages);
  bool range_free(Pfn first, std::size_t pages);
  void take_in_block(BlockIndex b, std::size_t first, std::size_t pages, bool& zeroed);
  void note_peak();
  void free_in_block(BlockIndex b, std::size_t first, std::size_t pages);
  void list(BlockIndex b);    // into the free sets, by its maps
  void unlist(BlockIndex b);  // out of them
  void relist(BlockIndex b);  // after its maps changed
  bool purge_one_run(std::size_t& purged);
  std::size_t purge_holes();
  void balance(std::size_t freed_pages);  // unlocks while the OS works
  template <class F>
  void for_each_opened(F f) {
    for (unsigned i = 0; i < map_->section_count(); ++i) {
      const Section& s = map_->section(i);
      for (std::uint32_t k = 0; k < s.opened; ++k) f(s.first + k, map_->block(s.first + k));
    }
  }

  os::Lock lock_;
  const os::Vm* vm_ = nullptr;
  MemMap* map_ = nullptr;
  AddressSpace* space_ = nullptr;
  FreeArea* area_ = nullptr;
  std::size_t free_pages_ = 0;
  std::size_t backed_free_ = 0;
  std::size_t used_ = 0;         // [ZN-5] handed-out pages: opened less free
  std::size_t peak_used_ = 0;    // since the last purge
  std::size_t phase_used_ = 0;   // the peak that began this phase
  std::size_t turnover_ = 0;     // pages handed out in this phase since the last purge, less what keeping memory cost
  std::size_t isolated_ = 0;     // pageblocks that are being purged, without the lock
  std::size_t dirty_whole_ = 0;  // [ZN-4] pageblocks in the set kDirtyWhole
  std::size_t purged_pages_ = 0;
  std::size_t claimed_blocks_ = 0;
  std::size_t stolen_blocks_ = 0;
  Intent intent_;
};

}  // namespace bm::pages
