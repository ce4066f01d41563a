// handles.h: movable blocks as the tests of compaction fill, check and count them.  layer: tests
#pragma once

#include <set>
#include <vector>

#include "heap/movable.h"
#include "heap/reclaim.h"
#include "tests/heap/support.h"

namespace bm::test {

struct Block {
  std::uint64_t handle = 0;
  std::uint64_t seed = 0;
};

inline Block new_movable(std::size_t bytes, std::uint64_t seed) {
  const Block b{heap::movable_alloc(bytes), seed};
  if (b.handle == 0) return b;
  paint(heap::movable_pin(b.handle), heap::movable_size(b.handle), seed);
  heap::movable_unpin(b.handle);
  return b;
}
inline bool intact(const Block& b) {
  const bool ok = painted(heap::movable_pin(b.handle), heap::movable_size(b.handle), b.seed);
  heap::movable_unpin(b.handle);
  return ok;
}
// False: it was damaged.
inline bool delete_movable(const Block& b) {
  const bool ok = intact(b);
  heap::movable_free(b.handle);
  return ok;
}
inline std::uint32_t index_of(const Block& b) { return static_cast<std::uint32_t>(b.handle); }
inline Pfn page_of(const Block& b) { return heap::process.handles.word(index_of(b)).page(); }

// Blocks of the same size; all but some are freed.
struct Blocks {
  ~Blocks() {
    for (const Block& b : live) delete_movable(b);
  }
  Blocks() = default;
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  void fill(std::size_t count, std::size_t bytes) {
    for (std::size_t k = 0; k < count; ++k) live.push_back(new_movable(bytes, k));
  }
  void thin_out(std::size_t left, Random& random) {
    while (live.size() > left) {
      Block& b = live[random.below(live.size())];
      delete_movable(b);
      b = live.back();
      live.pop_back();
    }
  }
  bool all_intact() const {
    bool ok = true;
    for (const Block& b : live) ok &= intact(b);
    return ok;
  }
  std::size_t pageblocks() const {
    std::set<std::uint32_t> blocks;
    for (const Block& b : live) blocks.insert(page_of(b).block().value);
    return blocks.size();
  }
  std::vector<Block> live;
};

inline pages::Zone& zone_of(BlockIndex b) { return heap::process.nodes.zone_of(first_pfn(b)); }
// Where this thread's blocks come from.
inline pages::Zone& own_zone() {
  return heap::process.nodes.normal_zone(heap::process.local(heap::current_heap()).node);
}
inline std::size_t used_pages() {
  const auto c = zone_counters();
  return c.opened_pages - c.free_pages;
}
template <class F>
std::size_t count_pageblocks(F counts) {
  std::size_t n = 0;
  for (unsigned i = 0; i < heap::process.map.section_count(); ++i) {
    const pages::Section& s = heap::process.map.section(i);
    for (std::uint32_t k = 0; k < s.opened; ++k) n += counts(heap::process.map.block(s.first + k)) ? 1U : 0U;
  }
  return n;
}
// Opened pageblocks with something in use.
inline std::size_t used_pageblocks() {
  return count_pageblocks([](const pages::Pageblock& b) { return !b.whole_free(); });
}
inline std::size_t isolated_pageblocks() {
  return count_pageblocks([](const pages::Pageblock& b) { return b.hidden(); });
}

}  // namespace bm::test
