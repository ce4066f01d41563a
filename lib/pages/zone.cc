// zone.cc: allocation, freeing and growth of page runs.  layer: pages
// Search policy is a chain of early returns: own type, a lent contiguous range (for what can leave it), a whole-free
// pageblock of any pcp type, a fresh pageblock (address space is free), and only where that is refused claim or steal from
// another type (find_in_other_types). What is left then is the reserve (zone_reserve.cc).
#include "pages/zone.h"

#include <algorithm>

#include "os/fatal.h"

namespace bm::pages {
namespace {

// From this order on a request takes a foreign pageblock over, when at least half of it is free; as Linux.
constexpr unsigned kClaimOrder = kPageblockOrder / 2;

}  // namespace

void Zone::init(const os::Vm& vm, MemMap& map, AddressSpace& space, FreeArea& area) {
  vm_ = &vm;
  map_ = &map;
  space_ = &space;
  area_ = &area;
  number_ = space.zone();
  keeps_backing_ = space.backing() == Backing::kExplicitHuge;
  watermarks = kDefaultWatermarks;
}

void Zone::list(BlockIndex b) {
  const Pageblock& d = map_->block(b);
  if (d.hidden() || d.largest_order < 0) return;
  area_->insert(FreeArea::set_of(d.migratetype, static_cast<unsigned>(d.largest_order)), b);
  if (!d.whole_free()) return;
  if (is_pcp_type(d.migratetype)) area_->insert(FreeArea::kAnyWhole, b);
  if (d.migratetype == Migratetype::kHighAtomic || !d.dirty.any(0, kPagesPerBlock)) return;
  area_->insert(FreeArea::kDirtyWhole, b);
  ++dirty_whole_;
  note_slack();
}

void Zone::unlist(BlockIndex b) {
  const Pageblock& d = map_->block(b);
  if (d.hidden() || d.largest_order < 0) return;
  area_->remove(FreeArea::set_of(d.migratetype, static_cast<unsigned>(d.largest_order)), b);
  if (d.largest_order != static_cast<int>(kPageblockOrder)) return;
  if (is_pcp_type(d.migratetype)) area_->remove(FreeArea::kAnyWhole, b);
  if (!area_->contains(FreeArea::kDirtyWhole, b)) return;
  area_->remove(FreeArea::kDirtyWhole, b);
  --dirty_whole_;
  note_slack();
}

void Zone::relist(BlockIndex b) { relist(b, map_->block(b).free.largest_order()); }

void Zone::relist(BlockIndex b, int order) {
  Pageblock& d = map_->block(b);
  if (order == d.largest_order) return;
  unlist(b);
  d.largest_order = static_cast<std::int8_t>(order);
  list(b);
}

void Zone::retype(BlockIndex b, Migratetype type) {
  Pageblock& d = map_->block(b);
  if (d.migratetype == type) return;
  unlist(b);
  d.migratetype = type;
  list(b);
}

// Blocks that the frontier has just passed: their maps say so already.
void Zone::add_fresh(BlockIndex first, std::size_t blocks) {
  free_pages_ += blocks << kPageblockOrder;
  for (std::size_t k = 0; k < blocks; ++k) list(first + k);
}

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

void Zone::take_in_block(BlockIndex b, std::size_t first, std::size_t pages, bool& zeroed) {
  take_pages(b, first, pages, zeroed);
  relist(b);
}

// Leaves the pageblock's largest order as it was.
void Zone::take_pages(BlockIndex b, std::size_t first, std::size_t pages, bool& zeroed) {
  Pageblock& d = map_->block(b);
  const std::size_t dirty = d.dirty.count(first, pages);
  if (dirty != 0) zeroed = false;
  d.dirty.set(first, pages);
  d.free.clear(first, pages);
  note_taken(d, pages, dirty);
}

void Zone::note_taken(Pageblock& d, std::size_t pages, std::size_t dirty) {
  if (d.purged && dirty != pages) note_refault(pages - dirty);
  d.free_pages = static_cast<std::uint16_t>(d.free_pages - pages);
  free_pages_ -= pages;
  backed_free_ -= dirty;
  used_ += pages;
  turnover_ += pages;
  if (used_ > peak_used_) note_peak();
}

// A peak well above the one before is a new phase: what was handed out before it earns nothing.
void Zone::note_peak() {
  peak_used_ = used_;
  if (used_ <= phase_used_ + phase_used_ / 4) return;
  phase_used_ = used_;
  turnover_ = 0;
}

void Zone::free_in_block(BlockIndex b, std::size_t first, std::size_t pages) {
  Pageblock& d = map_->block(b);
  if (d.free.any(first, pages)) os::fatal("pages freed twice", map_->address(first_pfn(b) + first));
  d.free.set(first, pages);
  d.free_pages = static_cast<std::uint16_t>(d.free_pages + pages);
  free_pages_ += pages;
  backed_free_ += d.dirty.count(first, pages);
  // Only a block around the freed pages can be larger than the largest was.
  if ((pages & (pages - 1)) == 0 && first % pages == 0)
    relist(b, std::max<int>(d.largest_order, static_cast<int>(d.free.merged_order(first, ceil_order(pages)))));
  else
    relist(b);
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
// each, as far as these last. One by one it would be the same runs: what is left of a best block is best for the next.
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
        // Runs that leave a tail free are taken one at a time: this transition is of adjacent pages.
        here = exact ? std::min(count - n, room) : 1;
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

bool Zone::alloc(std::size_t pages, Migratetype type, Run& out, unsigned align_order, Placement placement,
                 Request request) {
  const unsigned order = std::max(ceil_order(pages), align_order);
  const Hold hold(*this);
  if (order > kPageblockOrder || placement == Placement::kGrowing) {
    const std::size_t align_blocks =
        align_order <= kPageblockOrder ? 1 : std::size_t{1} << (align_order - kPageblockOrder);
    if (alloc_blocks(pages, type, align_blocks, placement, out)) return true;
    if (order > kPageblockOrder) return false;
  }
  if (request == Request::kCritical && alloc_backed(pages, order, type, out)) return true;
  BlockIndex b;
  if (!find_block(order, type, request, b)) return alloc_reserved(pages, order, request, out);
  take_from(b, order, pages, 1, &out);
  return true;
}

std::size_t Zone::alloc_batch(std::size_t pages, Migratetype type, std::size_t count, Run* out) {
  const unsigned order = ceil_order(pages);
  const Hold hold(*this);
  std::size_t n = 0;
  while (n < count) {
    BlockIndex b;
    if (!find_block(order, type, Request::kNormal, b)) {
      if (n == 0 && alloc_reserved(pages, order, Request::kNormal, out[0])) n = 1;
      break;
    }
    do n += take_from(b, order, pages, count - n, out + n);
    while (n < count && map_->block(b).largest_order >= static_cast<int>(order));
  }
  return n;
}

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

bool Zone::alloc_blocks(std::size_t pages, Migratetype type, std::size_t align_blocks, Placement placement, Run& out) {
  const std::size_t blocks = (pages + kPagesPerBlock - 1) >> kPageblockOrder;
  // A growing run looks for as much room again behind it; addresses it does not use stay free for others.
  const std::size_t room = placement == Placement::kGrowing ? blocks + std::max<std::size_t>(blocks, 1) : blocks;
  BlockIndex first;
  if (!find_whole_run(room, align_blocks, first) && (room == blocks || !find_whole_run(blocks, align_blocks, first)))
    return false;
  out.first = first_pfn(first);
  out.pages = pages;
  out.zeroed = true;
  intent_.declare(out.first, pages);
  for (std::size_t done = 0, k = 0; done < pages; ++k) {
    const std::size_t here = std::min(pages - done, kPagesPerBlock);
    retype(first + k, type);
    take_in_block(first + k, 0, here, out.zeroed);
    done += here;
  }
  intent_.done();
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

void Zone::free_range(Pfn first, std::size_t pages) {
  intent_.declare(first, pages);
  used_ -= pages;
  while (pages != 0) {
    const std::size_t here = std::min(pages, kPagesPerBlock - first.offset());
    free_in_block(first.block(), first.offset(), here);
    first = first + here;
    pages -= here;
  }
  intent_.done();
}

void Zone::free(Pfn first, std::size_t pages) {
  const Hold hold(*this);
  free_range(first, pages);
  balance(pages);
}

void Zone::free_batch(std::size_t pages, const Pfn* first, std::size_t count) {
  const Hold hold(*this);
  for (std::size_t i = 0; i < count; ++i) free_range(first[i], pages);
  balance(pages * count);
}

std::size_t Zone::available_pages() const {
  if (space_->may_grow()) return SIZE_MAX >> 1;
  const std::size_t unopened = space_->reserved_blocks() - space_->opened_blocks();
  return __atomic_load_n(&free_pages_, __ATOMIC_RELAXED) + (unopened << kPageblockOrder);
}

Zone::Counters& Zone::Counters::operator+=(const Counters& other) {
  free_pages += other.free_pages;
  backed_free_pages += other.backed_free_pages;
  opened_pages += other.opened_pages;
  committed_pages += other.committed_pages;
  reserved_pages += other.reserved_pages;
  purged_pages += other.purged_pages;
  reserved_highatomic += other.reserved_highatomic;
  mixing += other.mixing;
  return *this;
}

Zone::Counters Zone::counters() {
  os::LockGuard hold(lock_);
  Counters c;
  c.free_pages = free_pages_;
  c.backed_free_pages = backed_free_;
  c.opened_pages = space_->opened_blocks() << kPageblockOrder;
  c.committed_pages = space_->committed_blocks() << kPageblockOrder;
  c.reserved_pages = space_->reserved_blocks() << kPageblockOrder;
  c.purged_pages = purged_pages_;
  c.mixing = mixing_;
  c.reserved_highatomic = reserve_backed_;
  return c;
}

}  // namespace bm::pages
