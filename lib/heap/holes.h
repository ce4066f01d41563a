// holes.h: memory that lies idle inside pageblocks that cannot empty goes back.  layer: heap
// Where few objects are left of many, and nothing told them apart, most of a slab's pages have none of them. On small pages
// each such page can go by itself; a hugepage has to be split for that, and what is left of it is slower from then on: only for
// those who ask for memory, or are short of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "pages/watermark.h"

namespace bm::heap {

inline constexpr std::size_t kWorthSplitting = kPagesPerBlock / 8;  // pages
// Of pageblocks on hugepages those that have so many pages idle, others stay whole. Thread-safe, no lock held. Returns pages given
// back.
std::size_t purge_holes(std::size_t least_pages);

// A walk through all pageblocks in pieces.
struct HoleWalk {
  unsigned section = 0;
  std::uint32_t block = 0;  // of the section
  std::size_t purged = 0;   // pages given back so far
};
// The next `blocks` of them; false: the walk is over.
bool purge_holes(HoleWalk& walk, std::uint32_t blocks, std::size_t least_pages);

// When the background thread does so unasked: a good part of the heap's memory is free objects, and nobody has wanted them for a
// second or two. Then not again before as much has come to it, or a minute has passed, as khugepaged fills up what was split.
class IdleObjects {
 public:
  static constexpr std::uint64_t kPeriod = 1000;  // ms
  static constexpr std::uint64_t kAgain = 60'000;
  static constexpr std::size_t kLeast = std::size_t{32} << 20;
  static constexpr std::size_t kShare = 8;  // of the memory opened

  // At each look, bytes. True: they should go now.
  bool note(std::uint64_t now_ms, std::size_t free, std::size_t opened);
  // They soon may: look again within a period.
  bool waiting() const { return waiting_; }

 private:
  pages::RecentRange<kPeriod> free_ = {};
  std::uint64_t purged_at_ = 0;
  std::size_t purged_ = 0;  // of what lies idle now, so much was known by then
  bool waiting_ = false;
};

}  // namespace bm::heap
