// zone_snug.cc: where a run of any length fits among what is in use.  layer: pages
// A buddy has a power of two of pages and is aligned to it. A free run of n pages holds one of at least a quarter of them, also
// where it begins in one pageblock and ends in the next, as the longer part lies at an edge: so far down the search looks, and at the
// maps themselves. That is bounded, and done for runs alone; without it, what a run of odd length leaves fits no other of its length.
#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr unsigned kTries = 32;                     // pageblocks of each largest order, and stretches of whole ones
constexpr std::size_t kLong = kPagesPerBlock / 4;   // pages of a growing run worth a pageblock
constexpr std::size_t kAmple = 8 * kPagesPerBlock;  // room for such a run
constexpr std::size_t kMostInTwo = 2 * (kPagesPerBlock - 1);  // pages of a free run in two partly used pageblocks

// The least order of the largest free block in such a run, or in the longer of its parts.
unsigned least_order(std::size_t pages) { return highest_bit((pages + 1) / 2); }

}  // namespace

// Whether free pages there may be one run with those of a neighbour: whole pageblocks are worth more whole.
bool Zone::may_join(const Section& s, std::uint32_t k, Migratetype type) const {
  if (k >= s.opened) return false;
  const Pageblock& d = map_->block(s.first + k);
  return !d.hidden() && d.migratetype == type && !d.whole_free();
}

// The first of the free pages that `at`, a free one, ends; at most those of one more pageblock.
Pfn Zone::free_from(Pfn at, Migratetype type) const {
  const BlockIndex b = at.block();
  const std::size_t offset = map_->block(b).free.run_before(at.offset());
  const Pfn first = first_pfn(b) + offset;
  const Section& s = *map_->section_of(b);
  const std::uint32_t k = b.value - s.first.value;
  if (offset != 0 || k == 0 || !is_pcp_type(type) || !may_join(s, k - 1, type)) return first;
  return first_pfn(s.first + (k - 1)) + map_->block(s.first + (k - 1)).free.run_before(kPagesPerBlock);
}

// Behind the last of the free pages that end before `end`; at most one more pageblock's.
Pfn Zone::free_to(Pfn end, Migratetype type) const {
  if (end.offset() != 0) return end;
  const Section& s = *map_->section_of({end.block().value - 1});
  const std::uint32_t k = end.block().value - s.first.value;
  return may_join(s, k, type) ? end + map_->block(end.block()).free.run_from(0) : end;
}

// The lowest free run that is long enough and has pages in that pageblock.
bool Zone::hole_in(BlockIndex b, std::size_t pages, Migratetype type, Pfn& out) const {
  Pageblock& d = map_->block(b);
  const PageBitmap& free = d.free;
  const auto fits = [&](Pfn first, Pfn end) {
    out = first;
    return free_to(end, type).value - first.value >= pages;
  };
  // Only what begins or ends with the pageblock has free pages of others beside it.
  const Pfn start = first_pfn(b);
  const std::size_t lead = free.run_from(0);
  if (lead != 0 && fits(free_from(start, type), start + lead)) return true;
  if (pages <= d.most_in_row) {
    const std::size_t inside = free.first_run(pages);
    if (inside != kPagesPerBlock) return fits(start + inside, start + (inside + pages));
    d.most_in_row = static_cast<std::uint16_t>(pages - 1);
  }
  const std::size_t tail = free.run_before(kPagesPerBlock);
  return tail != kPagesPerBlock && fits(start + tail, start + kPagesPerBlock);
}

// In partly used pageblocks of the type, those with the smallest largest order first.
bool Zone::find_hole(std::size_t pages, Migratetype type, Pfn& out) const {
  if (pages > kMostInTwo) return false;
  const unsigned least = least_order(pages);
  unsigned orders = area_->orders_present(type) & static_cast<unsigned>(bit_span(least, kPageblockOrder - least));
  for (; orders != 0; orders &= orders - 1) {
    const unsigned set = FreeArea::set_of(type, lowest_bit(orders));
    BlockIndex b{};
    for (unsigned n = 0; n < kTries && area_->first(set, b, b); ++n, b = b + 1)
      if (hole_in(b, pages, type, out)) return true;
  }
  return false;
}

// The lowest stretch of whole-free pageblocks that is long enough with what is free before and behind it.
bool Zone::find_among_whole(std::size_t pages, Migratetype type, Pfn& out) const {
  BlockIndex b{};
  for (unsigned n = 0; n < kTries && area_->first(FreeArea::kAnyWhole, b, b); ++n) {
    const Section& s = *map_->section_of(b);
    const BlockIndex start = b;
    const auto more = [&] {
      return first_pfn(b).value - first_pfn(start).value < pages && b.value - s.first.value < s.opened &&
             area_->contains(FreeArea::kAnyWhole, b);
    };
    while (more()) b = b + 1;
    const Pfn first = free_from(first_pfn(start), type);
    if (free_to(first_pfn(b), type).value - first.value < pages) continue;
    out = first;
    return true;
  }
  return false;
}

// Whole-free pageblocks that are opened, if a run there can double without a page more being backed.
bool Zone::find_backed_whole(std::size_t pages, Migratetype type, Pfn& out) const {
  const auto backed = [&](std::size_t room) {
    return find_among_whole(room, type, out) && clean_pages(out, 2 * pages) == 0;
  };
  return backed(kAmple) || backed(2 * pages);
}

// For a run that has grown: with room to double, else with some, else with none. A long one costs more to move again: before it is
// content with less than double it goes to whole pageblocks, if these are backed. (One that fills a pageblock begins with one.)
bool Zone::find_growing(std::size_t pages, Migratetype type, Pfn& out) const {
  const bool is_long = pages >= kLong && pages < kPagesPerBlock;
  return find_hole(2 * pages, type, out) || (is_long && find_backed_whole(pages, type, out)) ||
         find_hole(pages + pages / 8, type, out) || find_hole(pages, type, out);
}

// One run, in such a hole, else from where the free pages begin that the best free block of 2^order pages is part of.
bool Zone::take_snug(std::size_t pages, unsigned order, Migratetype type, Request request, Run& out) {
  Pfn start;
  if (!find_hole(pages, type, start)) {
    BlockIndex b;
    if (!find_block(order, type, request, b)) return false;
    const Pageblock& d = map_->block(b);
    start = free_from(first_pfn(b) + d.free.best_fit(order), d.migratetype);
  }
  take_range(start, pages, out);
  return true;
}

}  // namespace bm::pages
