// zone_alloc.cc: which free pages a request gets.  layer: pages
// Search policy is a chain of early returns: own type, a lent contiguous range (for what can leave it), a whole-free
// pageblock of any pcp type, a fresh pageblock (address space is free), and only where that is refused claim or steal from
// another type (find_in_other_types). What is left then is the reserve (zone_reserve.cc).
#include <algorithm>

#include "pages/zone.h"

namespace bm::pages {
namespace {

// From this order on a request takes a foreign pageblock over, when at least half of it is free; as Linux.
constexpr unsigned kClaimOrder = kPageblockOrder / 2;

}  // namespace

bool Zone::open_fresh(Migratetype type, BlockIndex& out) {
  if (!space_->open(1, out)) return false;
  add_fresh(out, 1);
  retype(out, type);
  fill_reserve();
  return true;
}

// The lowest pageblock of the type among those with the smallest sufficient largest order.
bool Zone::find_in_type(unsigned order, Migratetype type, BlockIndex& out) const {
  const unsigned orders = area_->orders_present(type) >> order;
  return orders != 0 && area_->first(FreeArea::set_of(type, order + lowest_bit(orders)), BlockIndex{}, out);
}

bool Zone::find_block(unsigned order, Migratetype type, Request request, BlockIndex& out) {
  if (find_in_type(order, type, out)) return true;
  if (request == Request::kRelocatable && find_in_type(order, Migratetype::kCma, out)) return true;
  if (area_->first(FreeArea::kAnyWhole, BlockIndex{}, out)) {
    retype(out, type);
    return true;
  }
  return open_fresh(type, out) || find_in_other_types(order, type, out);
}

bool Zone::find_in_other_types(unsigned order, Migratetype type, BlockIndex& out) {
  for (const Migratetype from : kFallbacks[index(type)]) {
    const unsigned orders = area_->orders_present(from) & ~((1U << order) - 1);
    if (orders == 0) continue;
    const unsigned largest = highest_bit(orders);
    area_->first(FreeArea::set_of(from, largest), BlockIndex{}, out);
    const bool pollutes = type != Migratetype::kMovable;
    if ((order >= kClaimOrder || pollutes) && map_->block(out).free_pages >= kPagesPerBlock / 2) {
      retype(out, type);
      ++mixing_.claimed[index(from)][index(type)];
      note_pollution();
      return true;
    }
    area_->first(FreeArea::set_of(from, lowest_bit(orders)), BlockIndex{}, out);
    ++mixing_.stolen[index(from)][index(type)];
    note_pollution();
    return true;
  }
  return false;
}

// Takes up to `count` runs of 2^order pages, at most a word of the maps, from those of the word's free blocks that `blocks` has
// the first pages of, all blocks of order `found`. One transition for all: scattered pages are as cheap as adjacent ones.
std::size_t Zone::take_in_word(BlockIndex b, std::size_t word, std::uint64_t blocks, unsigned order, unsigned found,
                               std::size_t count, Run* out) {
  Pageblock& d = map_->block(b);
  const std::size_t pages = std::size_t{1} << order;
  const Pfn start = first_pfn(b) + word * 64;
  std::uint64_t mask = 0;
  std::size_t n = 0;
  for (; blocks != 0 && n < count; blocks &= blocks - 1)
    for (std::size_t k = 0; k < std::size_t{1} << (found - order) && n < count; ++k) {
      const std::size_t at = lowest_bit(blocks) + (k << order);
      const std::uint64_t run = bit_span(at, pages);
      out[n++] = {start + at, pages, (d.dirty.word[word] & run) == 0};
      mask |= run;
    }
  intent_.declare_in_word(start, mask);
  const std::size_t dirty = popcount(d.dirty.word[word] & mask);
  d.dirty.word[word] |= mask;
  d.free.word[word] &= ~mask;
  note_taken(d, n << order, dirty);
  intent_.done();
  return n;
}

// Takes up to `count` runs of `pages` pages from the best free blocks of 2^order in b, from the lowest up and side by side in
// each, as far as these last. One by one it would be the same runs: what is left of a best block is best for the next. More than
// one only where `pages` is a power of two.
std::size_t Zone::take_from(BlockIndex b, unsigned order, std::size_t pages, std::size_t count, Run* out) {
  const Pageblock& d = map_->block(b);
  PageBitmap best;
  const unsigned found = d.free.best_blocks(order, best);
  const std::size_t room = std::size_t{1} << (found - order);
  const bool exact = pages == std::size_t{1} << order;
  std::size_t n = 0;
  for (std::size_t i = 0; n < count && i < PageBitmap::kWords; ++i) {
    if (exact && found <= PageBitmap::kWordOrder) {
      if (best.word[i] != 0) n += take_in_word(b, i, best.word[i], order, found, count - n, out + n);
      continue;
    }
    for (std::uint64_t bits = best.word[i]; bits != 0; bits &= bits - 1)
      for (std::size_t taken = 0, here = 0; taken < room && n < count; taken += here, n += here) {
        const std::size_t at = i * 64 + lowest_bit(bits) + (taken << order);
        here = std::min(count - n, room);
        for (std::size_t k = 0; k < here; ++k)
          out[n + k] = {first_pfn(b) + (at + k * pages), pages, !d.dirty.any(at + k * pages, pages)};
        bool zeroed = true;
        intent_.declare(out[n].first, here * pages);
        take_pages(b, at, here * pages, zeroed);
        intent_.done();
      }
  }
  if (static_cast<int>(found) == d.largest_order) relist(b);
  return n;
}

// Up to `count` runs from one pageblock, as far as it lasts; 0: there is none.
std::size_t Zone::take_packed(std::size_t pages, unsigned order, Migratetype type, Request request, std::size_t count,
                              Run* out) {
  BlockIndex b;
  if (!find_block(order, type, request, b)) return 0;
  std::size_t n = 0;
  do n += take_from(b, order, pages, count - n, out + n);
  while (n < count && map_->block(b).largest_order >= static_cast<int>(order));
  return n;
}

bool Zone::alloc(std::size_t pages, Migratetype type, Run& out, unsigned align_order, Placement placement,
                 Request request) {
  const unsigned order = std::max(ceil_order(pages), align_order);
  if (align_order != 0) placement = Placement::kPacked;
  const Hold hold(*this);
  if (limited() && pages > budget->most()) return false;  // no address space is opened for it
  if (order > kPageblockOrder || placement == Placement::kGrowing) {
    const std::size_t align_blocks =
        align_order <= kPageblockOrder ? 1 : std::size_t{1} << (align_order - kPageblockOrder);
    if (alloc_blocks(pages, type, align_blocks, placement, out)) return true;
    if (order > kPageblockOrder) return false;
  }
  if (request == Request::kCritical &&
      (alloc_reserved(pages, order, request, out) || alloc_backed(pages, order, type, out)))
    return true;
  if (!admit(pages)) return alloc_at_limit(pages, order, type, request, out);
  const bool taken = placement == Placement::kSnug ? take_snug(pages, order, type, request, out)
                                                   : take_packed(pages, order, type, request, 1, &out) == 1;
  return taken || alloc_reserved(pages, order, request, out);
}

std::size_t Zone::alloc_batch(std::size_t pages, Migratetype type, std::size_t count, Run* out) {
  const unsigned order = ceil_order(pages);
  const bool snug = pages != std::size_t{1} << order;
  const Hold hold(*this);
  std::size_t n = 0;
  if (!admit(pages * count)) {
    if (!admit(pages)) return alloc_at_limit(pages, order, type, Request::kNormal, out[0]) ? 1 : 0;
    count = 1;
  }
  while (n < count) {
    const std::size_t more = snug ? take_snug(pages, order, type, Request::kNormal, out[n])
                                  : take_packed(pages, order, type, Request::kNormal, count - n, out + n);
    if (more == 0) break;
    n += more;
  }
  return n == 0 && alloc_reserved(pages, order, Request::kNormal, out[0]) ? 1 : n;
}

}  // namespace bm::pages
