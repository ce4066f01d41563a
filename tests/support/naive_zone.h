// naive_zone.h: the policy of pages::Zone done page by page, with nothing indexed.  layer: tests
// Placement as zone.h, zone_alloc.cc and zone_snug.cc specify it: a snug or growing run wherever free pages in a row suffice; own
// type by smallest sufficient largest order, then lowest pageblock, in it the smallest sufficient block, then the lowest, a snug run
// from where that free range begins; a contiguous range, for what can leave it; a whole-free pageblock of any pcp type; a fresh one;
// another type's; the reserve. Critical requests: the reserve, then dirty pages, first. The state is public: an enumeration sets it,
// a test compares it. Only Block::free and Block::largest are
// derived, by update().
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/units.h"
#include "pages/zone.h"

namespace bm::test {

class NaiveZone {
 public:
  using Type = pages::Migratetype;
  using Request = pages::Request;
  enum class Page : char { kUsed, kClean, kDirty };  // the last two: free
  struct Block {
    Type type = Type::kUnmovable;
    Type before = Type::kUnmovable;  // of one of type Isolate
    bool opened = false;
    std::size_t free = 0;
    int largest = -1;
  };
  struct Section {
    std::size_t first, blocks, base;  // all in pageblocks; base: of its address
    std::size_t opened = 0;
  };
  struct Run {
    std::size_t first;  // page
    bool zeroed;
  };

  explicit NaiveZone(std::vector<Section> layout) : sections(std::move(layout)) {
    blocks.resize(sections.back().first + sections.back().blocks);
    pages.resize(blocks.size() * kPages, Page::kClean);
  }
  NaiveZone(std::size_t limit_blocks, std::size_t base_block) : NaiveZone({{0, limit_blocks, base_block}}) {}

  std::optional<Run> alloc(std::size_t n, Type type, unsigned align_order = 0,
                           pages::Placement placement = pages::Placement::kPacked, Request request = Request::kNormal);
  // As many single allocations, but staying with a pageblock as far as it lasts.
  std::vector<Run> alloc_batch(std::size_t n, Type type, std::size_t count);
  void free(std::size_t first, std::size_t n) { mark(first, n, Page::kDirty); }
  bool extend(std::size_t first, std::size_t old_pages, std::size_t new_pages);
  bool isolate(std::size_t first, std::size_t count);
  void unisolate(std::size_t first, std::size_t count);
  std::optional<std::size_t> make_cma(std::size_t count);
  bool release_cma(std::size_t first, std::size_t count);
  std::optional<Run> take(std::size_t first, std::size_t n);
  std::size_t purge(std::size_t keep_pages, bool holes);
  void purge_slack();  // all of it, and holes worth it: what a free above a high mark of 0 does

  bool is_free(std::size_t page) const { return pages[page] != Page::kUsed; }
  bool whole(std::size_t b) const { return blocks[b].opened && blocks[b].free == kPages; }
  std::size_t opened() const;  // pageblocks
  std::size_t free_pages() const;
  std::size_t backed_free() const;
  std::size_t reserved() const;  // backed pages of the reserve
  // Free blocks of exactly an order inside one pageblock.
  std::size_t count_blocks(std::size_t block, unsigned order) const;
  void update(std::size_t block);

  std::vector<Section> sections;
  std::vector<Block> blocks;
  std::vector<Page> pages;
  pages::Mixing mixing;
  bool keeps_reserve = false;
  bool os_opens = true, os_populates = true, os_purges = true;  // what the OS says to such requests
  std::size_t small_blocks = SIZE_MAX;                          // pageblocks whose holes are purged

 private:
  static constexpr std::size_t kPages = kPagesPerBlock;
  static constexpr std::size_t kReserveLeast = kPages / 32 > 1 ? kPages / 32 : 1;
  static constexpr std::size_t kReserveMost = kPages / 2;
  static constexpr std::size_t kTries = 32;  // pageblocks of an order, or stretches of whole ones, per search

  template <class F>
  bool all(std::size_t first, std::size_t n, F f) const;
  bool all_free(std::size_t first, std::size_t n) const;
  bool pcp_whole(std::size_t b) const { return b < blocks.size() && whole(b) && is_pcp_type(blocks[b].type); }
  bool purgeable(std::size_t b) const;
  std::size_t holes(std::size_t b) const;  // backed free pages
  void purge_holes(std::size_t b);
  Run mark(std::size_t first, std::size_t n, Page as);
  void open_in(Section& s, std::size_t count, Type type);
  std::optional<std::size_t> open(std::size_t count, Type type);
  void fill_reserve();
  std::optional<std::size_t> reserve() const;
  std::optional<Run> from_reserve(std::size_t n, unsigned order, Request request);
  std::optional<Run> from_backed(std::size_t n, unsigned order, Type type);
  std::optional<std::size_t> lowest(Type type, int largest) const;
  std::optional<std::size_t> smallest(Type type, unsigned order) const;
  std::optional<std::size_t> find_block(unsigned order, Type type, Request request);
  template <class F>
  std::optional<std::size_t> best_fit(std::size_t block, unsigned order, F usable) const;
  Run place(std::size_t block, unsigned order, std::size_t n, bool snug);
  bool joins(std::size_t block, Type type) const;
  std::size_t moved_down(std::size_t page, Type type) const;
  std::size_t moved_up(std::size_t page, std::size_t block, Type type) const;
  std::optional<std::size_t> hole(std::size_t n, Type type) const;
  std::optional<std::size_t> among_whole(std::size_t n, Type type) const;
  std::optional<std::size_t> opened_run(std::size_t count) const;
  std::optional<std::size_t> find_run(std::size_t count);
  std::optional<std::size_t> find_run_after_lead(std::size_t count);
  std::size_t aligned(std::size_t block, std::size_t blocks_alignment) const;
};

}  // namespace bm::test
