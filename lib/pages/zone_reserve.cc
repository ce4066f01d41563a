// zone_reserve.cc: the backed pages kept for when the OS refuses memory.  layer: pages
// The kernel's HighAtomic in a process: one pageblock of that type whose first pages are populated while the OS still
// answers. Only pages with memory behind them are handed out from it, so that a critical request neither asks the OS nor
// faults. A request that is not critical may have what is above the least, before it fails.
#include <algorithm>

#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kLeast = kReserveLeast;      // from the second pageblock of a heap on
constexpr std::size_t kMost = kPagesPerBlock / 2;  // pages: 1 MiB
constexpr std::size_t kUsedShare = 100;            // one page in so many of those in use

}  // namespace

// Called when the OS has just granted something.
void Zone::fill_reserve() {
  if (!keeps_reserve) return;
  if (!has_reserve_) {
    BlockIndex fresh;
    if (space_->opened_blocks() < 2 || !space_->open(1, fresh)) return;
    add_fresh(fresh, 1);
    retype(fresh, Migratetype::kHighAtomic);
    reserve_ = fresh;
    has_reserve_ = true;
  }
  const std::size_t wanted = std::clamp(used_ / kUsedShare, kLeast, kMost);
  if (wanted <= reserve_backed_) return;
  const std::size_t more = wanted - reserve_backed_;
  if (!vm_->populate(map_->address(first_pfn(reserve_) + reserve_backed_), more << kPageShift)) return;
  Pageblock& d = map_->block(reserve_);
  backed_free_ += more;  // beyond what was backed nothing is ever in use
  d.dirty.set(reserve_backed_, more);
  reserve_backed_ = wanted;
}

bool Zone::alloc_reserved(std::size_t pages, unsigned order, Request request, Run& out) {
  if (!has_reserve_ || order > kPageblockOrder) return false;
  Pageblock& d = map_->block(reserve_);
  PageBitmap backed;
  for (std::size_t i = 0; i < PageBitmap::kWords; ++i) backed.word[i] = d.free.word[i] & d.dirty.word[i];
  const std::size_t leave = request == Request::kCritical ? 0 : kLeast;
  if (backed.count() < pages + leave || backed.largest_order() < static_cast<int>(order)) return false;
  const std::size_t at = backed.best_fit(order);
  out.first = first_pfn(reserve_) + at;
  out.pages = pages;
  out.zeroed = true;
  intent_.declare(out.first, pages);
  take_in_block(reserve_, at, pages, out.zeroed);
  intent_.done();
  return true;
}

}  // namespace bm::pages
