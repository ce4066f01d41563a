// free_area.h: which pageblocks of a zone can serve (order, migratetype).  layer: pages
// Knows nothing of watermarks, threads or the OS. Writers hold Zone::lock_; after a fork recover() rebuilds it.
// Truth is each pageblock's free map; the sets below are derived and can be rebuilt from it at any time.
// [FA-1] an opened pageblock is in exactly one set: (its type, its largest free order), or none when hidden or full
// [FA-2] a whole-free pageblock of a pcp type is also in the set kAnyWhole; one of any type but HighAtomic is in
//        kDirtyWhole when any page of it is dirty
// [FA-3] a summary bit is set exactly when the word below it is not zero and is this zone's
//
// A set is a bitmap over pageblocks under two levels of summary: insert, remove and "lowest address" are O(1). The
// words of all sets for the same 64 pageblocks lie side by side, with the descriptors of these (block_group.h).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "base/units.h"
#include "pages/block_group.h"
#include "pages/migratetype.h"

namespace bm::pages {

class FreeArea {
 public:
  static constexpr unsigned kOrders = kPageblockOrder + 1;  // 0..9; whole blocks and more are order 9 here
  static constexpr unsigned kAnyWhole = kListedTypes * kOrders;
  static constexpr unsigned kDirtyWhole = kAnyWhole + 1;
  static constexpr unsigned kSets = kFreeSets;
  static_assert(kDirtyWhole < kSets);
  static constexpr std::size_t kTopWords = 16;  // for 16 * 64 * 64 * 64 pageblocks: 8 TiB

  static constexpr unsigned set_of(Migratetype t, unsigned order) { return index(t) * kOrders + order; }

  // `groups` belongs to the mem_map.
  void init(BlockGroups& groups) { groups_ = &groups; }
  bool ensure(std::size_t blocks);  // room for that many pageblocks; false: out of memory

  void insert(unsigned set, BlockIndex b);
  void remove(unsigned set, BlockIndex b);
  bool contains(unsigned set, BlockIndex b) const;

  // The lowest pageblock of the set at or after `from`; false: none.
  bool first(unsigned set, BlockIndex from, BlockIndex& out) const;
  // The highest pageblock of the set; false: none.
  bool last(unsigned set, BlockIndex& out) const;
  // The lowest `count` adjacent pageblocks that are all in the set; false: none.
  bool first_run(unsigned set, std::size_t count, BlockIndex& out) const;
  // Bit o set: the type has a pageblock whose largest free order is o.
  unsigned orders_present(Migratetype t) const;

  // For recover() and validate(): the words of the pageblocks [first, first + count), then the summaries.
  void clear_words(BlockIndex first, std::size_t count);
  void clear_summaries();
  bool words_consistent(BlockIndex first, std::size_t count) const;
  bool summaries_consistent() const;

 private:
  // Counted from the end so that all a small heap needs of both levels lies together.
  FreeRow& top_at(std::size_t i) { return top_[kTopWords - 1 - i]; }
  const FreeRow& top_at(std::size_t i) const { return top_[kTopWords - 1 - i]; }
  FreeRow& row_at(std::size_t i) const { return (*groups_)[i].row; }  // the 64 pageblocks from 64 * i on

  FreeRow top_[kTopWords] = {};  // row i, counted from the end: the 64 summary rows from 64 * i on
  BlockGroups* groups_ = nullptr;
  std::size_t rows_in_use_ = 0;
  FreeRow summary_[kTopWords * 64] = {};  // row i: the 64 rows from 64 * i on
};

}  // namespace bm::pages
