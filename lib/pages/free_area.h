// free_area.h: which pageblocks of a zone can serve (order, migratetype).  layer: pages
// Knows nothing of watermarks, threads or the OS. Writers hold Zone::lock_; after a fork recover() rebuilds it.
// Truth is each pageblock's free map; the sets below are derived and can be rebuilt from it at any time.
// [FA-1] an opened pageblock is in exactly one set: (its type, its largest free order), or none when isolated or full
// [FA-2] a whole-free pageblock is also in the set kAnyWhole, and in kDirtyWhole when any page of it is dirty
// [FA-3] a summary bit is set exactly when the word below it is not zero
//
// A set is a bitmap over pageblocks under two levels of summary: insert, remove and "lowest address" are O(1). The
// words of all sets for the same 64 pageblocks lie side by side, so that a small heap touches one page of them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "base/units.h"
#include "pages/meta_array.h"
#include "pages/migratetype.h"

namespace bm::pages {

class FreeArea {
 public:
  static constexpr unsigned kOrders = kPageblockOrder + 1;  // 0..9; whole blocks and more are order 9 here
  static constexpr unsigned kAnyWhole = kMigratetypes * kOrders;
  static constexpr unsigned kDirtyWhole = kAnyWhole + 1;
  static constexpr unsigned kSets = 64;  // room for the migratetypes to come; 512 bytes per 64 pageblocks

  static constexpr unsigned set_of(Migratetype t, unsigned order) { return index(t) * kOrders + order; }
  static std::size_t bytes_for(std::size_t blocks);

  // `storage` has bytes_for(blocks) bytes of reservation.
  void init(const os::Vm& vm, char* storage, std::size_t blocks);
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

  void clear_all();
  bool summaries_consistent() const;

 private:
  struct alignas(kCacheLine) Row {
    std::uint64_t word[kSets];
  };
  static constexpr std::size_t kTopWords = 16;  // for 16 * 64 * 64 * 64 pageblocks: 8 TiB

  MetaArray<Row> rows_;               // row i: the 64 pageblocks from 64 * i on
  Row summary_[kTopWords * 64] = {};  // row i: the 64 rows from 64 * i on
  Row top_[kTopWords] = {};           // row i: the 64 summary rows from 64 * i on
  std::size_t rows_in_use_ = 0;
};

}  // namespace bm::pages
