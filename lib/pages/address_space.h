// address_space.h: reserves page space and opens it block by block at a frontier.  layer: pages
// One large reservation at first use, further sections when it runs out; memory is committed ahead of the frontier in
// large steps, so that the number of mappings stays constant. All callers hold Zone::lock_, init() excepted. The spaces of
// several zones share one MemMap, whose lock guards what they share.
// [AS-1] opened <= committed <= blocks in every section
// [AS-2] metadata of every committed block is committed, and so is what the layers above keep for its pages
#pragma once

#include <cstddef>

#include "base/units.h"
#include "os/vm.h"
#include "pages/free_area.h"
#include "pages/mem_map.h"

namespace bm::pages {

enum class Backing : unsigned char {
  kNormal,        // 4 KiB pages at first, transparent hugepages beyond
  kBelow4GiB,     // the same at addresses that fit in 32 bits
  kExplicitHuge,  // hugepages set aside by the administrator (hugetlb)
};

struct AddressSpaceConfig {
  std::size_t first_section_bytes = std::size_t{1} << 40;  // wished for; less where limits say so
  std::size_t capacity_bytes = std::size_t{1} << 41;       // all sections together
  std::size_t small_page_bytes = std::size_t{32} << 20;    // the first part, which stays on 4 KiB pages
  std::size_t space_left = SIZE_MAX;                       // what limits leave to the process
  unsigned slices = 1;                                     // of the first section, one a node
  // Makes usable what the layers above need for so many pages altogether; false: out of memory, and then the pages are not
  // committed either. Else a limit on memory could leave a process pages that are free and nothing to describe them by.
  bool (*prepare_pages)(std::size_t pages) = nullptr;
};

class AddressSpace {
 public:
  static constexpr std::size_t kFirstCommit = 16;  // blocks

  // Pageblocks that metadata must be able to describe, gaps between sections included.
  static std::size_t capacity_blocks(const AddressSpaceConfig& config);

  // `extra_bytes` of metadata are reserved for the caller behind our own; their start is stored in extra. False: the OS
  // refused even the smallest size.
  bool init(const os::Vm& vm, const AddressSpaceConfig& config, MemMap& map, FreeArea& area, std::size_t extra_bytes,
            char*& extra);

  // The space of another zone over the map that `first` was given: slice k >= 1 of its first section, or sections of their
  // own. `first` outlives it. False: no such slice.
  bool init_slice(const AddressSpace& first, unsigned slice, unsigned zone, FreeArea& area);
  void init_beside(const AddressSpace& first, Backing backing, unsigned zone, FreeArea& area);
  // The sections there are and those to come: from that node, by the kernel's number.
  void prefer_node(unsigned kernel_id);
  // Of the first section; fewer than wished where address space is short.
  unsigned slices() const { return slices_ == 0 ? 1 : slices_; }
  unsigned zone() const { return zone_; }
  // No section has been refused yet.
  bool may_grow() const { return __atomic_load_n(&refused_, __ATOMIC_RELAXED) == 0; }
  Backing backing() const { return backing_; }

  // Opens `count` adjacent blocks; `first` gets the lowest. All their pages are free and clean.
  bool open(std::size_t count, BlockIndex& first);
  // Opens `count` blocks just at `at`, when that is the frontier of its section.
  bool open_at(BlockIndex at, std::size_t count);
  std::size_t reserved_blocks() const;
  std::size_t committed_blocks() const;
  std::size_t opened_blocks() const;
  bool on_small_pages(BlockIndex b) const { return b.value < map_->section(0).small; }

 private:
  bool open_in(Section& s, std::size_t count);
  bool commit(Section& s, std::size_t blocks);
  void advise(Section& s, std::size_t committed);
  bool add_section(std::size_t min_blocks, std::size_t wished_blocks);
  bool try_section(std::size_t min_blocks, std::size_t wished_blocks);
  bool append_section(std::uintptr_t base, std::size_t first, std::size_t blocks);
  void cut_slices(unsigned wished);
  void wish_node(const Section& s);
  bool ensure_metadata(std::size_t blocks);
  bool prepare_above(std::size_t more_blocks);
  void commit_heads();

  const os::Vm* vm_ = nullptr;
  MemMap* map_ = nullptr;
  FreeArea* area_ = nullptr;
  std::size_t capacity_blocks_ = 0;
  std::size_t section_wish_blocks_ = 0;
  std::size_t slice_blocks_ = 0;  // of the first section, where it is cut
  unsigned slices_ = 0;           // 0: it is not
  unsigned zone_ = 0;
  unsigned char refused_ = 0;
  unsigned node_wish_ = 0;  // the kernel's number plus one; 0: none
  Backing backing_ = Backing::kNormal;
};

}  // namespace bm::pages
