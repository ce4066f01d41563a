// page_lists.h: a thread's own stock of free pages, by order and migratetype.  layer: pcp
// The kernel's per-cpu page lists, per thread: hot pages are reused without the zone's lock, which is taken once per
// batch. Not thread-safe: the heap that owns the lists serialises. Pages on a list count as handed out in the zone.
// The count is written last: a thread that vanished in a fork lost pages at worst, it left none on a list twice.
// [PL-1] count <= kHigh[order] for every list
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "pages/migratetype.h"
#include "pages/zone.h"

namespace bm::pcp {

class PageLists {
 public:
  static constexpr unsigned kOrders = 5;  // 0..4: up to 64 KiB; larger blocks go to the zone one by one
  static constexpr std::size_t kMaxHigh = 16;
  static constexpr std::array<std::uint8_t, kOrders> kHigh = {16, 16, 12, 8, 4};  // blocks: at most 192 KiB a list
  static constexpr std::array<std::uint8_t, kOrders> kBatch = {8, 8, 6, 4, 2};    // blocks per refill or drain

  // A block of 2^order pages of any order up to a pageblock's. False: out of memory.
  bool alloc(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn& out);
  void free(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn first);
  // Everything back to the zone.
  void drain(pages::Zone& zone);
  std::size_t held_pages() const;

 private:
  struct List {
    std::array<Pfn, kMaxHigh> block;
    std::uint32_t count;
  };
  List lists_[kOrders][pages::kPcpTypes];
};

}  // namespace bm::pcp
