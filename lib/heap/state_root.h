// state_root.h: where a reader outside begins: bm_state_root, an exported symbol.  layer: heap
// A reader, of a living process or of a core file, copies the root, compares, and then copies the objects that it names;
// it is built from these same headers. Magic, layout, root_bytes and library stay where they are for ever, so that a
// reader of another version can say what it met. kStateLayout grows with every change that the sizes do not show.
#pragma once

#include <cstdint>

#include "heap/process_heap.h"
#include "heap/reports.h"

namespace bm::heap {

inline constexpr std::uint32_t kStateLayout = 3;
inline constexpr char kStateMagic[16] = "bm_state_root";

struct StateSizes {  // bytes
  std::uint32_t nodes = sizeof(pages::Nodes);
  std::uint32_t zone = sizeof(pages::Zone);
  std::uint32_t mem_map = sizeof(pages::MemMap);
  std::uint32_t section = sizeof(pages::Section);
  std::uint32_t block_group = sizeof(pages::BlockGroup);
  std::uint32_t pageblock = sizeof(pages::Pageblock);
  std::uint32_t slab_table = sizeof(slab::SlabTable);
  std::uint32_t slab = sizeof(slab::Slab);
  std::uint32_t slab_classes = slab::kSlabClasses;  // how many
  bool operator==(const StateSizes&) const = default;
};

struct StateRoot {
  char magic[16];
  std::uint32_t layout;
  std::uint32_t root_bytes;
  char library[16];  // its version
  StateSizes sizes;
  const pages::Nodes* nodes;  // none yet: the heap has not started
  const pages::MemMap* map;
  const slab::SlabTable* slabs;
};

}  // namespace bm::heap

extern "C" __attribute__((visibility("default"))) const bm::heap::StateRoot bm_state_root;
