// zone_move.cc: a run that has to move takes its memory along.  layer: pages
// The kernel hands whole hugepages over by changing a few page table entries, where a copy would read and write them all and
// have both runs in memory meanwhile. Each move makes a mapping of its own of where the memory came to, so their number is
// bounded; a purge makes it one with its neighbours again.
#include <algorithm>

#include "os/process.h"
#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kMostMoved = 256;  // ranges, each two mappings more: far from the kernel's 65530

}  // namespace

// Keeps [ZN-9]: what follows a range's first pageblock follows nothing when that one is not part of it any more.
void Zone::set_moved(BlockIndex b, Moved moved) {
  Pageblock& d = map_->block(b);
  if (d.moved == moved) return;
  if (d.moved != Moved::kNo && moved != Moved::kYes) {
    const Section& s = *map_->section_of(b);
    if (b.value + 1 - s.first.value < s.opened && map_->block(b + 1).moved == Moved::kYes) {
      map_->block(b + 1).moved = Moved::kFirst;
      ++moved_;
    }
  }
  if (d.moved == Moved::kFirst) --moved_;
  if (moved == Moved::kFirst) ++moved_;
  d.moved = moved;
}

bool Zone::move(BlockIndex from, BlockIndex to, std::size_t blocks) {
  const auto address = [&](BlockIndex b) { return map_->address(first_pfn(b)); };
  if (keeps_backing_ || space_->on_small_pages(from) || space_->on_small_pages(to)) return false;
  {
    const os::LockGuard hold(lock_);
    if (moved_ >= kMostMoved) return false;
  }
  // In use by the caller, and so nobody else's to change.
  if (!vm_->move(address(from), address(to), blocks << kPageblockShift)) return false;
  const Hold hold(*this);
  for (std::size_t k = 0; k < blocks; ++k) {
    set_moved(to + k, Moved::kNo);
    map_->block(to + k).huge_in = map_->block(from + k).huge_in;
    map_->block(from + k).huge_in = 0;
  }
  for (std::size_t k = 0; k < blocks; ++k) set_moved(to + k, k == 0 ? Moved::kFirst : Moved::kYes);
  return true;
}

bool Zone::outgrown_is_wanted() {
  const os::LockGuard hold(lock_);
  return outgrown_.wanted(os::coarse_ms());
}

// Until it is freed it is in use by the caller, as in move().
void Zone::free_outgrown(Pfn first, std::size_t pages) {
  const bool small = space_->on_small_pages((first + (pages - 1)).block());  // and so is all before it
  if (!small || pages < kWorthPurging || outgrown_is_wanted() || !vm_->purge(map_->address(first), pages << kPageShift))
    return free(first, pages);
  const Hold hold(*this);
  outgrown_.purged(pages);
  purged_pages_ += pages;
  intent_.declare(first, pages);
  for (std::size_t done = 0; done < pages;) {
    const Pfn at = first + done;
    const std::size_t here = std::min(pages - done, kPagesPerBlock - at.offset());
    Pageblock& d = map_->block(at.block());
    d.dirty.clear(at.offset(), here);
    d.outgrown = true;
    done += here;
  }
  free_range(first, pages);
  balance(pages);
}

bool Zone::any_moved(BlockIndex first, std::size_t blocks) {
  const os::LockGuard hold(lock_);
  for (std::size_t k = 0; k < blocks; ++k)
    if (map_->block(first + k).moved != Moved::kNo) return true;
  return false;
}

void Zone::free_moved(BlockIndex first, std::size_t blocks) {
  // Memory has been moved here before and away again: what is left is a mapping of its own.
  const bool renewed =
      any_moved(first, blocks) && vm_->renew(map_->address(first_pfn(first)), blocks << kPageblockShift);
  const Hold hold(*this);
  intent_.declare(first_pfn(first), blocks << kPageblockOrder);
  for (std::size_t k = 0; k < blocks; ++k) {
    map_->block(first + k).dirty = {};
    if (renewed) set_moved(first + k, Moved::kNo);
  }
  free_range(first_pfn(first), blocks << kPageblockOrder);
}

}  // namespace bm::pages
