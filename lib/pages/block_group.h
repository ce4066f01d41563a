// block_group.h: the descriptors of 64 adjacent pageblocks with their words of the free sets.  layer: pages
// Side by side, so that a small heap touches one page of them; the array of groups is the page layer's slow-path metadata
// (the dense page entries are the fast path's, see mem_map.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "pages/meta_array.h"
#include "pages/pageblock.h"

namespace bm::pages {

inline constexpr unsigned kFreeSets = 64;     // free_area.h says which
inline constexpr unsigned kGroupBlocks = 64;  // pageblocks, one bit each in every word

// One word of 64 pageblocks (or of 64 words, in summaries) for every free set.
struct alignas(kCacheLine) FreeRow {
  std::uint64_t word[kFreeSets];
};

struct BlockGroup {
  FreeRow row;
  Pageblock block[kGroupBlocks];
};

using BlockGroups = MetaArray<BlockGroup, Growth::kDown>;

constexpr std::size_t groups_for(std::size_t blocks) { return (blocks + kGroupBlocks - 1) / kGroupBlocks; }

}  // namespace bm::pages
