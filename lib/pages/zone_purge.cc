// zone_purge.cc: giving free memory back to the OS.  layer: pages
// A block is isolated first (out of every free set), so that the OS works while the lock is free; only a purge that
// succeeded clears the dirty map. Whole hugepages first: half a hugepage given back frees nothing until the other half
// goes.
#include <algorithm>

#include "os/process.h"
#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kBlocksPerPurge = 32;  // adjacent blocks in one call: bounds what is isolated at a time

constexpr std::size_t pages_to_blocks(std::size_t pages) { return (pages + kPagesPerBlock - 1) >> kPageblockOrder; }

}  // namespace

// Purges one run of adjacent whole-free dirty blocks, the highest-addressed first, as the low ones are reused first.
bool Zone::purge_one_run(std::size_t most_blocks, std::size_t& purged) {
  BlockIndex start;
  if (!area_->last(FreeArea::kDirtyWhole, start)) return false;
  std::size_t count = 1;
  const std::size_t most = std::min(most_blocks, kBlocksPerPurge);
  const auto moved = [&](BlockIndex b) { return map_->block(b).moved != Moved::kNo; };
  while (count < most && start.value != 0 && area_->contains(FreeArea::kDirtyWhole, {start.value - 1}) &&
         moved({start.value - 1}) == moved(start)) {
    start = {start.value - 1};
    ++count;
  }
  const auto give_back = moved(start) ? vm_->renew : vm_->purge;
  for (std::size_t k = 0; k < count; ++k) hide(start + k);
  release();
  const bool done = give_back(map_->address(first_pfn(start)), count << kPageblockShift);
  acquire();
  if (done) refaults_.purged(os::coarse_ms());
  for (std::size_t k = 0; k < count; ++k) {
    Pageblock& d = map_->block(start + k);
    if (done) {
      const std::size_t dirty = d.dirty.count();
      d.dirty = {};
      d.huge_in = 0;
      d.purged = true;
      set_moved(start + k, Moved::kNo);
      backed_free_ -= dirty;
      purged_pages_ += dirty;
      purged += dirty;
    }
    unhide(start + k);
  }
  return done;
}

bool Zone::has_holes(const Pageblock& d) const {
  return !keeps_backing_ && !d.hidden() && !d.whole_free() && d.migratetype != Migratetype::kHighAtomic;
}

// Free dirty pages of partly used blocks on 4 KiB pages, where a block has at least so many.
std::size_t Zone::purge_holes(std::size_t least_pages) {
  std::size_t purged = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i) {
    const Section& s = map_->section(i);
    for (std::uint32_t k = 0; s.zone == number_ && k < s.opened && space_->on_small_pages(s.first + k); ++k) {
      const Pageblock& d = map_->block(s.first + k);
      if (!has_holes(d) || d.free_pages < least_pages) continue;
      const PageBitmap holes = d.backed_free();
      if (holes.count() >= least_pages) purged += purge_pages(s.first + k, holes);
    }
  }
  return purged;
}

std::size_t Zone::purge_pages(BlockIndex b, const PageBitmap& pages) {
  Pageblock& d = map_->block(b);
  std::size_t purged = 0;
  unlist(b);
  pages.for_runs([&](std::size_t first, std::size_t n) {
    if (!vm_->purge(map_->address(first_pfn(b) + first), n << kPageShift)) return;
    d.dirty.clear(first, n);
    d.huge_in = 0;
    d.purged = true;
    backed_free_ -= n;
    purged += n;
  });
  list(b);
  purged_pages_ += purged;
  return purged;
}

std::size_t Zone::holes_of(BlockIndex b) {
  const os::LockGuard hold(lock_);
  const Pageblock& d = map_->block(b);
  return has_holes(d) ? d.backed_free().count() : 0;
}

std::size_t Zone::purge_holes_of(BlockIndex b) {
  const Hold hold(*this);
  Pageblock& d = map_->block(b);
  if (!opened(b) || !has_holes(d)) return 0;
  if (!space_->on_small_pages(b) && vm_->split(map_->address(first_pfn(b)))) d.huge_in = 0;
  return purge_pages(b, d.backed_free());
}

void Zone::purge_entries() {
  const Hold hold(*this);
  for (unsigned i = 0; i < map_->section_count(); ++i) {
    const Section& s = map_->section(i);
    // What is not dirty is free [PB-3], and has no entry [MM-1].
    const auto unused = [&](std::uint32_t k) { return !map_->block(s.first + k).dirty.any(0, kPagesPerBlock); };
    for (std::uint32_t k = 0, n = 0; s.zone == number_ && k < s.opened; k += n + 1) {
      for (n = 0; k + n < s.opened && unused(k + n);) ++n;
      if (n != 0) map_->purge_entries(first_pfn(s.first + k), std::size_t{n} << kPageblockOrder);
    }
  }
}

std::size_t Zone::purge(std::size_t keep_pages, bool holes) {
  if (keeps_backing_) return 0;
  const Hold hold(*this);
  // Somebody wants the memory back: what was earned before does not count any more.
  turnover_ = kept_ = 0;
  refaults_ = {};
  std::size_t purged = 0;
  while (backed_free_ > keep_pages && purge_one_run(pages_to_blocks(backed_free_ - keep_pages), purged)) {
  }
  if (holes && backed_free_ > keep_pages) purged += purge_holes(1);
  return purged;
}

}  // namespace bm::pages
