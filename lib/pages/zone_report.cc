// zone_report.cc: see zone_report.h.  layer: pages
#include "pages/zone_report.h"

namespace bm::pages {

void BlockCounter::add(BlockIndex b, const PageBitmap& free, const PageBitmap& dirty, Migratetype type) {
  const unsigned t = index(type);
  std::size_t* const row = out_.free_blocks[t];
  ++out_.pageblocks[t];
  const std::size_t free_pages = free.count();
  out_.free_pages += free_pages;
  for (std::size_t i = 0; i < PageBitmap::kWords; ++i)
    out_.backed_free_pages += std::size_t(popcount(free.word[i] & dirty.word[i]));
  if (free_pages != kPagesPerBlock) {
    free.count_blocks(row);
  } else if (half_type_ == t && half_ + 1 == b) {
    --row[kPageblockOrder];
    ++row[kPageblockOrder + 1];
  } else {
    ++row[kPageblockOrder];
    half_ = b;
    half_type_ = b.value % 2 == 0 ? t : kMigratetypes;
  }
}

void Zone::report(ZoneReport& out) {
  os::LockGuard hold(lock_);
  const auto block_at = [this](BlockIndex b) -> const Pageblock& { return map_->block(b); };
  evaluate(*this, *map_, block_at, out);
}

void Zone::count_free(std::size_t counts[kMigratetypes][kReportOrders]) {
  ZoneReport now;
  report(now);
  for (unsigned t = 0; t < kMigratetypes; ++t)
    for (unsigned o = 0; o < kReportOrders; ++o) counts[t][o] += now.free_blocks[t][o];
}

}  // namespace bm::pages
