// address_space.h: reserves page space and opens it block by block at a frontier.  layer: pages
// One large reservation at first use, further sections when it runs out; memory is committed ahead of the frontier in
// large steps, so that the number of mappings stays constant. All callers hold Zone::lock_, init() excepted.
// [AS-1] opened <= committed <= blocks in every section
// [AS-2] metadata of every opened block is committed
#pragma once

#include <cstddef>

#include "base/units.h"
#include "os/vm.h"
#include "pages/free_area.h"
#include "pages/mem_map.h"

namespace bm::pages {

struct AddressSpaceConfig {
  std::size_t first_section_bytes = std::size_t{1} << 40;  // wished for; less where limits say so
  std::size_t capacity_bytes = std::size_t{1} << 41;       // all sections together
  std::size_t small_page_bytes = std::size_t{32} << 20;    // the first part, which stays on 4 KiB pages
  std::size_t space_left = SIZE_MAX;                       // what limits leave to the process
};

class AddressSpace {
 public:
  // Pageblocks that metadata must be able to describe, gaps between sections included.
  static std::size_t capacity_blocks(const AddressSpaceConfig& config);

  // `extra_bytes` of metadata are reserved for the caller behind our own; their start is stored in extra. False: the OS
  // refused even the smallest size.
  bool init(const os::Vm& vm, const AddressSpaceConfig& config, MemMap& map, FreeArea& area, std::size_t extra_bytes,
            char*& extra);

  // Opens `count` adjacent blocks; `first` gets the lowest. All their pages are free and clean.
  bool open(std::size_t count, BlockIndex& first);
  // Opens `count` blocks just at `at`, when that is the frontier of its section.
  bool open_at(BlockIndex at, std::size_t count);
  std::size_t reserved_blocks() const;
  std::size_t committed_blocks() const;
  std::size_t opened_blocks() const;
  bool on_small_pages(BlockIndex b) const { return b.value < small_page_blocks_; }

 private:
  bool open_in(Section& s, std::size_t count);
  bool commit(Section& s, std::size_t blocks);
  void advise(Section& s, std::size_t committed);
  bool add_section(std::size_t min_blocks, std::size_t wished_blocks);
  bool ensure_metadata(std::size_t blocks);
  void commit_heads();

  const os::Vm* vm_ = nullptr;
  MemMap* map_ = nullptr;
  FreeArea* area_ = nullptr;
  std::size_t capacity_blocks_ = 0;
  std::size_t small_page_blocks_ = 0;
  std::size_t section_wish_blocks_ = 0;
};

}  // namespace bm::pages
