// zone_runs.cc: runs of whole pageblocks, and runs that grow where they are.  layer: pages
#include <algorithm>

#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kMostLead = 32;  // pageblocks

}  // namespace

// The lowest run of whole-free blocks, extended over the frontier when it ends there.
bool Zone::find_whole_run(std::size_t blocks, std::size_t align_blocks, BlockIndex& out) {
  if (align_blocks > 1) {
    // Alignment is of addresses: over-ask in page space and keep the aligned part.
    BlockIndex wide;
    if (!find_whole_run(blocks + align_blocks - 1, 1, wide)) return false;
    const auto address = reinterpret_cast<std::uintptr_t>(map_->address(first_pfn(wide)));
    const std::size_t bytes = align_up(address, align_blocks << kPageblockShift) - address;
    out = wide + (bytes >> kPageblockShift);
    return true;
  }
  if (area_->first_run(FreeArea::kAnyWhole, blocks, out)) return true;
  // Free blocks just below the frontier of a section need only the rest opened.
  const unsigned n = map_->section_count();
  for (unsigned i = 0; i < n; ++i) {
    const Section& s = map_->section(i);
    if (s.zone != number_) continue;
    std::size_t behind = 0;
    while (behind < s.opened && area_->contains(FreeArea::kAnyWhole, s.first + (s.opened - behind - 1))) ++behind;
    const BlockIndex start = s.first + (s.opened - behind);
    if (behind == 0 || blocks - behind > s.blocks - s.opened) continue;
    const BlockIndex fresh = s.first + s.opened;
    if (!space_->open_at(fresh, blocks - behind)) continue;
    add_fresh(fresh, blocks - behind);
    out = start;
    return true;
  }
  if (!space_->open(blocks, out)) return false;
  add_fresh(out, blocks);
  return true;
}

// As find_whole_run(), for a run that grows, with free pageblocks before it, twice as many as are in use: runs that come while it
// grows go on where the last one ends. Else what is left of the hugepage there is cut off, and what comes next stands in the
// run's way. They are opened only while half of what is opened is in use.
bool Zone::find_after_lead(std::size_t blocks, BlockIndex& out) {
  const std::size_t lead = std::min(2 * used_ >> kPageblockOrder, kMostLead);
  const bool found = free_pages_ <= used_ ? find_whole_run(lead + blocks, 1, out)
                                          : area_->first_run(FreeArea::kAnyWhole, lead + blocks, out);
  if (found) out = out + lead;
  return found;
}

bool Zone::alloc_blocks(std::size_t pages, Migratetype type, std::size_t align_blocks, Placement placement, Run& out) {
  const std::size_t blocks = (pages + kPagesPerBlock - 1) >> kPageblockOrder;
  Pfn hole;
  const bool fits =
      placement == Placement::kGrowing
          ? find_growing(pages, type, hole)
          : placement == Placement::kSnug && (find_hole(pages, type, hole) || find_among_whole(pages, type, hole));
  if (fits) return take_opened(hole, pages, type, out);
  // A growing run looks for as much room again behind it; addresses it does not use stay free for others.
  const bool growing = placement == Placement::kGrowing;
  const std::size_t room = growing ? 2 * blocks : blocks;
  // A growing run of whole pageblocks will move on: it leaves them whole when it begins with one.
  const bool snug = placement == Placement::kSnug || (growing && pages < kPagesPerBlock);
  BlockIndex first;
  if (!(growing && !snug && find_after_lead(room, first)) && !find_whole_run(room, align_blocks, first) &&
      (room == blocks || !find_whole_run(blocks, align_blocks, first)))
    return false;
  const Pfn start = snug ? free_from(first_pfn(first), type) : first_pfn(first);
  return take_opened(start, pages, type, out);
}

// False: the budget has no room.
bool Zone::take_opened(Pfn start, std::size_t pages, Migratetype type, Run& out) {
  if (!admit(clean_pages(start, pages))) return false;
  for (BlockIndex b = start.block(); first_pfn(b) < start + pages; b = b + 1)
    if (map_->block(b).whole_free()) retype(b, type);
  take_range(start, pages, out);
  return true;
}

bool Zone::range_free(Pfn first, std::size_t pages) {
  while (pages != 0) {
    const std::size_t here = std::min(pages, kPagesPerBlock - first.offset());
    const Pageblock& d = map_->block(first.block());
    if (!d.opened || d.hidden() || !is_pcp_type(d.migratetype) || d.free.count(first.offset(), here) != here)
      return false;
    first = first + here;
    pages -= here;
  }
  return true;
}

bool Zone::extend(Pfn first, std::size_t old_pages, std::size_t new_pages) {
  const Hold hold(*this);
  const Pfn from = first + old_pages;
  const std::size_t more = new_pages - old_pages;
  const Section* s = map_->section_of(first.block());
  if (s == nullptr) return false;
  const std::size_t end_page = first.value - first_pfn(s->first).value + new_pages;
  const std::size_t blocks_needed = (end_page + kPagesPerBlock - 1) >> kPageblockOrder;
  if (blocks_needed > s->blocks) return false;
  // What is opened of the range must be free; the rest is opened when all of that holds.
  const std::size_t opened_pages = std::size_t{s->opened} << kPageblockOrder;
  const std::size_t start_page = from.value - first_pfn(s->first).value;
  const std::size_t inside = start_page >= opened_pages ? 0 : std::min(more, opened_pages - start_page);
  if (!range_free(from, inside)) return false;
  if (!admit(inside == 0 ? more : clean_pages(from, inside) + more - inside)) return false;
  if (blocks_needed > s->opened) {
    const BlockIndex fresh = s->first + s->opened;
    const std::size_t count = blocks_needed - s->opened;
    if (!space_->open_at(fresh, count)) return false;
    add_fresh(fresh, count);
  }
  const Migratetype type = map_->block(first.block()).migratetype;
  intent_.declare(from, more);
  bool zeroed = true;
  Pfn at = from;
  for (std::size_t left = more; left != 0;) {
    const std::size_t here = std::min(left, kPagesPerBlock - at.offset());
    // A run that grows out of a pageblock set apart, isolated or lent, leaves its neighbour what it is.
    if (is_pcp_type(type) && map_->block(at.block()).whole_free()) retype(at.block(), type);
    take_in_block(at.block(), at.offset(), here, zeroed);
    at = at + here;
    left -= here;
  }
  intent_.done();
  return true;
}

}  // namespace bm::pages
