// zone_compact.cc: what compaction asks of a zone: pageblocks set aside, placed into, and collapsed.  layer: pages
// Who is moved, and where to, is decided above (heap/compact.h). A pageblock that is set aside is in no free set, as one
// that is being purged: nothing lands in it while the lock is free for copying, and a fork's child puts it back.
#include <algorithm>

#include "pages/zone.h"

namespace bm::pages {
namespace {

// A hugepage costs what the block has no memory for: this much must be in use, and really there.
constexpr std::size_t kDensePages = kPagesPerBlock / 4 * 3;
constexpr std::size_t kBlocksPerCollapse = 32;  // adjacent ones in a call, whose fixed cost is that of many blocks

}  // namespace

bool Zone::opened(BlockIndex b) const {
  const Section* const s = map_->section_of(b);
  return s != nullptr && s->zone == number_ && b.value - s->first.value < s->opened;
}

void Zone::hide(BlockIndex b) {
  unlist(b);
  map_->block(b).isolated = true;
  ++isolated_;
}

// False: a fork's recover() has done it.
bool Zone::unhide(BlockIndex b) {
  Pageblock& d = map_->block(b);
  if (!d.isolated) return false;
  d.isolated = false;
  --isolated_;
  list(b);
  return true;
}

bool Zone::look(BlockIndex b, BlockView& out) {
  os::LockGuard hold(lock_);
  if (!opened(b)) return false;
  const Pageblock& d = map_->block(b);
  out = {d.free, d.dirty, d.free_pages, d.reported_type()};
  return true;
}

bool Zone::set_aside(BlockIndex b) {
  const Hold hold(*this);
  if (!opened(b)) return false;
  const Pageblock& d = map_->block(b);
  if (d.hidden() || d.migratetype == Migratetype::kHighAtomic) return false;
  hide(b);
  return true;
}

bool Zone::put_back(BlockIndex b) {
  const Hold hold(*this);
  if (!unhide(b)) return false;
  const bool whole = map_->block(b).whole_free();
  if (whole) balance(kPagesPerBlock);
  return whole;
}

bool Zone::alloc_in(BlockIndex b, std::size_t pages, Run& out) {
  const unsigned order = ceil_order(pages);
  const Hold hold(*this);
  if (!opened(b)) return false;
  const Pageblock& d = map_->block(b);
  const bool partly_used = !d.hidden() && d.migratetype == Migratetype::kMovable && !d.whole_free();
  if (!partly_used || d.largest_order < static_cast<int>(order) || !admit(pages)) return false;
  take_from(b, order, pages, 1, &out);
  turnover_ -= std::min(turnover_, pages);  // who moves does not hand out: nothing is earned by it
  return true;
}

// What is handed out counts as dirty, so that pages in use say enough here; whether they were ever touched only the OS knows.
bool Zone::dense_on_small_pages(BlockIndex b, std::uint32_t generation) const {
  const Pageblock& d = map_->block(b);
  return !space_->on_small_pages(b) && !d.hidden() && d.migratetype != Migratetype::kHighAtomic &&
         kPagesPerBlock - d.free_pages >= kDensePages && d.huge_in != generation;
}

// The blocks of which most has memory get hugepages; bit k: block k has one. A call that is refused may have done a part.
std::uint64_t Zone::collapse_hidden(BlockIndex first, std::size_t count) const {
  const auto address = [&](std::size_t k) { return map_->address(first_pfn(first + k)); };
  const auto try_all = [&](std::size_t k, std::size_t n) { return vm_->collapse(address(k), n << kPageblockShift); };
  std::uint64_t huge = 0;
  for (std::size_t k = 0; k < count;) {
    std::size_t n = 0;
    while (k + n < count && vm_->resident(address(k + n), kPageblockSize) >= kDensePages << kPageShift) ++n;
    if (n > 1 && try_all(k, n)) {
      huge |= bit_span(k, n);
    } else {
      for (std::size_t i = k; i < k + n; ++i)
        if (try_all(i, 1)) huge |= bit_span(i, 1);
    }
    k += n + 1;
  }
  return huge;
}

std::size_t Zone::collapse(BlockIndex first, std::size_t count, std::uint32_t generation) {
  if (keeps_backing_ || tight()) return 0;  // explicit hugepages; a hugepage is more memory than there was
  const Hold hold(*this);
  std::size_t granted = 0;
  for (std::size_t at = 0; at < count;) {
    const BlockIndex start = first + at;
    std::size_t n = 0;
    while (at + n < count && n < kBlocksPerCollapse && dense_on_small_pages(start + n, generation)) hide(start + n++);
    at += std::max<std::size_t>(n, 1);
    if (n == 0) continue;
    release();
    const std::uint64_t huge = collapse_hidden(start, n);
    acquire();
    for (std::size_t k = 0; k < n; ++k) {
      Pageblock& d = map_->block(start + k);
      if ((huge >> k & 1) != 0 && d.isolated) {
        // Now there is memory behind all of it.
        for (std::size_t i = 0; i < PageBitmap::kWords; ++i)
          backed_free_ += std::size_t(popcount(d.free.word[i] & ~d.dirty.word[i]));
        d.dirty.set(0, kPagesPerBlock);
        d.huge_in = generation;
        ++granted;
      }
      unhide(start + k);
    }
  }
  return granted;
}

}  // namespace bm::pages
