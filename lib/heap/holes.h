// holes.h: memory that lies idle inside pageblocks that cannot empty goes back.  layer: heap
// Where few objects are left of many, and nothing told them apart, most of a slab's pages have none of them. On small pages
// each such page can go by itself; a hugepage has to be split for that, and what is left of it is slower from then on: only for
// those who ask for memory, or are short of it.
#pragma once

#include <cstddef>

#include "base/config.h"

namespace bm::heap {

inline constexpr std::size_t kWorthSplitting = kPagesPerBlock / 8;  // pages
// Of pageblocks on hugepages those that have so many pages idle, others stay whole. Thread-safe, no lock held. Returns pages given
// back.
std::size_t purge_holes(std::size_t least_pages);

}  // namespace bm::heap
