// zone_report.h: a ZoneReport from the maps: of our own zone, or of a copy of another process's.  layer: pages
// The maps are the truth and all that is read; one code evaluates both. Outside, a consistent copy is one during which
// Zone::changes() was even and stayed the same.
#pragma once

#include "pages/page_report.h"
#include "pages/zone.h"

namespace bm::pages {

// Adds the opened pageblocks in ascending order. Two whole-free ones of a type are a block of order 10 when the first has
// an even number: blocks of that order are aligned like all others.
class BlockCounter {
 public:
  explicit BlockCounter(ZoneReport& out) : out_(out) {}
  void add(BlockIndex b, const PageBitmap& free, const PageBitmap& dirty, Migratetype type);

 private:
  ZoneReport& out_;
  BlockIndex half_{};                   // whole-free, even; waits for its buddy
  unsigned half_type_ = kMigratetypes;  // its type; kMigratetypes: there is none
};

// `zone` is looked at for plain values only. block(b) gives something with the maps and the reported_type() of the opened pageblock b.
template <class BlockAt>
void evaluate(const Zone& zone, const MemMap& map, BlockAt block, ZoneReport& out) {
  const Watermarks marks = zone.marks();
  out.min = marks.min;
  out.low = marks.low;
  out.high = marks.high;
  out.boost = marks.boost;
  out.reserved_highatomic = zone.reserved_highatomic();
  BlockCounter counter(out);
  for (unsigned i = 0; i < map.section_count(); ++i) {
    const Section& s = map.section(i);
    if (s.zone != zone.number()) continue;
    if (out.spanned_pages == 0) out.start_pfn = first_pfn(s.first).value;
    out.spanned_pages += std::size_t{s.blocks} << kPageblockOrder;
    out.present_pages += std::size_t{s.opened} << kPageblockOrder;
    for (std::uint32_t k = 0; k < s.opened; ++k) {
      const auto& d = block(s.first + k);
      counter.add(s.first + k, d.free, d.dirty, d.reported_type());
    }
  }
  out.managed_pages = out.present_pages;
}

}  // namespace bm::pages
