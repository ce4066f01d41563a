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

std::size_t Zone::wanted_reserve() const { return std::clamp(used_ / kUsedShare, kLeast, kMost); }

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
  const std::size_t wanted = wanted_reserve();
  if (wanted <= reserve_backed_) return;
  const std::size_t more = wanted - reserve_backed_;
  if (!admit(more) || !vm_->populate(map_->address(first_pfn(reserve_) + reserve_backed_), more << kPageShift)) return;
  // What is known of these pages needs memory as well: whoever hands one out writes there.
  for (std::size_t k = reserve_backed_; k < wanted; ++k) {
    map_->set_entry(first_pfn(reserve_) + k, 0);
    map_->set_slab_index(first_pfn(reserve_) + k, 0);
  }
  Pageblock& d = map_->block(reserve_);
  backed_free_ += more;  // beyond what was backed nothing is ever in use
  d.dirty.set(reserve_backed_, more);
  reserve_backed_ = wanted;
}

// From the top down, page by page: whatever a fork's child finds of it, [ZN-6] holds.
void Zone::shrink_reserve() {
  const Hold hold(*this);
  if (!has_reserve_) return;
  Pageblock& d = map_->block(reserve_);
  const std::size_t wanted = wanted_reserve();
  std::size_t end = reserve_backed_;
  while (end > wanted && d.free.any(end - 1, 1)) --end;
  const std::size_t more = reserve_backed_ - end;
  if (more == 0 || !vm_->purge(map_->address(first_pfn(reserve_) + end), more << kPageShift)) return;
  for (; reserve_backed_ != end; --reserve_backed_, --backed_free_) d.dirty.clear(reserve_backed_ - 1, 1);
  purged_pages_ += more;
}

// What the OS refuses may be a page fault, which nobody is told of. The reserve's pages surely have memory behind them, and
// as in the kernel come first; free pages of other pageblocks that have been in use probably have some.
bool Zone::alloc_backed(std::size_t pages, unsigned order, Migratetype type, Run& out) {
  if (order > kPageblockOrder || backed_free_ < pages) return false;
  for (unsigned i = 0; i < map_->section_count(); ++i) {
    const Section& s = map_->section(i);
    for (std::uint32_t k = 0; s.zone == number_ && k < s.opened; ++k) {
      const BlockIndex b = s.first + k;
      const Pageblock& d = map_->block(b);
      if (d.hidden() || !is_pcp_type(d.migratetype) || d.largest_order < static_cast<int>(order)) continue;
      const PageBitmap backed = d.backed_free();
      if (backed.largest_order() < static_cast<int>(order)) continue;
      if (d.whole_free()) retype(b, type);
      take_range(first_pfn(b) + backed.best_fit(order), pages, out);
      return true;
    }
  }
  return false;
}

// The budget has no room: what has memory behind it already is all there is to be had.
bool Zone::alloc_at_limit(std::size_t pages, unsigned order, Migratetype type, Request request, Run& out) {
  return alloc_backed(pages, order, type, out) || alloc_reserved(pages, order, request, out);
}

bool Zone::alloc_reserved(std::size_t pages, unsigned order, Request request, Run& out) {
  if (!has_reserve_ || order > kPageblockOrder) return false;
  const PageBitmap backed = map_->block(reserve_).backed_free();
  const std::size_t leave = request == Request::kCritical ? 0 : kLeast;
  if (backed.count() < pages + leave || backed.largest_order() < static_cast<int>(order)) return false;
  take_range(first_pfn(reserve_) + backed.best_fit(order), pages, out);
  return true;
}

}  // namespace bm::pages
