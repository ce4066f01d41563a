// mem_map.h: from any pointer to what is known of its page.  layer: pages
// One 32-bit entry per page, dense, outside the pages: the fast path's one compare and one load. The page layer itself
// uses only the values below kFirstOwnerEntry; what larger values mean is the business of the layer above.
//   0               free, or inside a run, or never handed out
//   1..512          first page of a run of that many pages
//   513..640        pages that the page API has handed out; heap/page_api.h says what each value means
//   kRunOfBlocks    first page of a longer run: Pageblock::run_pages has its length
//   kMovableRun     first page of a block that has a handle and may be moved; which one is in Pageblock::slab_index, how
//                   long it is the layer above knows
// Page space is dense over sections: the first reservation is the common case, further ones are found by search. Zones
// share one map; each section is one zone's, and 64 adjacent descriptors are never those of two.
// [MM-1] an entry of a free page is 0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "os/lock.h"
#include "pages/block_group.h"
#include "pages/meta_array.h"
#include "pages/pageblock.h"

namespace bm::pages {

inline constexpr std::uint32_t kFirstPageApiEntry = kPagesPerBlock + 1;
inline constexpr std::uint32_t kRunOfBlocks = 1023;
inline constexpr std::uint32_t kMovableRun = 2048;
inline constexpr std::uint32_t kFirstOwnerEntry = 4096;

// A contiguous reservation, or a node's slice of one. Pageblocks between two sections are never opened, so no run crosses them.
struct Section {
  std::uintptr_t base = 0;  // address of the first page, a multiple of the pageblock size
  BlockIndex first;
  std::uint32_t blocks = 0;
  std::uint32_t opened = 0;     // blocks below the frontier
  std::uint32_t committed = 0;  // blocks that may be touched: >= opened
  std::uint32_t small = 0;      // blocks at its start for which no hugepages are wished
  std::uint8_t zone = 0;        // whose frontier this is
};

class MemMap {
 public:
  static constexpr unsigned kMaxSections = 64;

  // The fast path's look-up: a page number that is meaningful when it is below fast_pages().
  std::size_t fast_index(const void* p) const {
    return (reinterpret_cast<std::uintptr_t>(p) - fast_base_) >> kPageShift;
  }
  std::size_t fast_pages() const { return __atomic_load_n(&fast_pages_, __ATOMIC_RELAXED); }
  [[gnu::always_inline]] bool is_fast(std::size_t index) const {
#if defined(__x86_64__)  // the compiler compares no atomic in memory, and takes two instructions more
    bool below;
    asm("cmp %2, %1" : "=@ccb"(below) : "r"(index), "m"(fast_pages_));
    return below;
#else
    return index < fast_pages();
#endif
  }
  std::uint32_t entry_at(std::size_t index) const { return __atomic_load_n(entries_.data() + index, __ATOMIC_RELAXED); }

  // False when the address is in no section's opened part.
  bool find(const void* p, Pfn& out) const;
  void* address(Pfn) const;

  std::uint32_t entry(Pfn p) const { return entry_at(p.value); }
  void set_entry(Pfn p, std::uint32_t e) { __atomic_store_n(entries_.data() + p.value, e, __ATOMIC_RELAXED); }
  std::uint32_t slab_index(Pfn p) const {
    return __atomic_load_n(&block(p.block()).slab_index[p.offset()], __ATOMIC_RELAXED);
  }
  void set_slab_index(Pfn p, std::uint32_t s) {
    __atomic_store_n(&block(p.block()).slab_index[p.offset()], s, __ATOMIC_RELAXED);
  }

  Pageblock& block(BlockIndex b) const { return groups_[b.value / kGroupBlocks].block[b.value % kGroupBlocks]; }

  // The entries of these pages, which are 0, read as that without memory.
  void purge_entries(Pfn first, std::size_t pages);

  // Length in pages of the run whose first page this is; 0 when it is not one.
  std::size_t run_pages(Pfn) const;
  void set_run(Pfn, std::size_t pages);

  unsigned section_count() const { return section_count_.load(std::memory_order_acquire); }
  Section& section(unsigned i) { return sections_[i]; }
  const Section& section(unsigned i) const { return sections_[i]; }
  const Section* section_of(BlockIndex) const;
  void reset_lock() { lock_.reset(); }  // in a fork's child

 private:
  friend class AddressSpace;
  void raise_fast_pages(std::size_t n) {
    if (n > fast_pages()) __atomic_store_n(&fast_pages_, n, __ATOMIC_RELAXED);
  }
  std::uintptr_t fast_base_ = 0;
  std::size_t fast_pages_ = 0;  // of the first reservation: their entries may be read
  MetaArray<std::uint32_t> entries_;
  BlockGroups groups_;
  bool (*prepare_pages_)(std::size_t) = nullptr;  // AddressSpaceConfig::prepare_pages
  std::atomic<unsigned> section_count_{0};
  Section sections_[kMaxSections];
  os::Lock lock_;  // metadata grows and sections are added under it; taken while a zone's lock is held
};

}  // namespace bm::pages
