// zone.cc: what is free, by the lists and the counts; pages that stop being free, and that are again.  layer: pages
// Which pages a request gets is decided in zone_alloc.cc.
#include "pages/zone.h"

#include <algorithm>

#include "os/fatal.h"

namespace bm::pages {
namespace {

// free_pages_guess() looks at it without the lock.
void set_free_pages(Pageblock& d, std::size_t n) {
  __atomic_store_n(&d.free_pages, static_cast<std::uint16_t>(n), __ATOMIC_RELAXED);
}

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
  if (d.outgrown && dirty != pages) outgrown_.taken(pages - dirty);
  set_free_pages(d, d.free_pages - pages);
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

// Before pages are handed out, `pages` of which may have no memory behind them yet. False: the budget has no room for them.
bool Zone::admit(std::size_t pages) {
  if (!limited()) return true;
  if (!budget->charge(pages)) return false;
  charged_ += pages;
  return true;
}

// At the end of a Hold: the budget hears what the zone holds now, whatever was admitted.
void Zone::settle() {
  const std::size_t now = used_ + backed_free_;
  if (now > charged_) budget->add(now - charged_);
  if (now < charged_) budget->discharge(charged_ - now);
  charged_ = now;
}

// Pages of an opened range that have never been written, as far as is known.
std::size_t Zone::clean_pages(Pfn first, std::size_t pages) const {
  std::size_t clean = pages;
  for (std::size_t left = pages; left != 0;) {
    const std::size_t here = std::min(left, kPagesPerBlock - first.offset());
    clean -= map_->block(first.block()).dirty.count(first.offset(), here);
    first = first + here;
    left -= here;
  }
  return clean;
}

void Zone::free_in_block(BlockIndex b, std::size_t first, std::size_t pages) {
  Pageblock& d = map_->block(b);
  if (d.free.any(first, pages)) os::fatal("pages freed twice", map_->address(first_pfn(b) + first));
  d.free.set(first, pages);
  d.most_in_row = kPagesPerBlock;
  set_free_pages(d, d.free_pages + pages);
  free_pages_ += pages;
  backed_free_ += d.dirty.count(first, pages);
  // Only a block around the freed pages can be larger than the largest was.
  if ((pages & (pages - 1)) == 0 && first % pages == 0)
    relist(b, std::max<int>(d.largest_order, static_cast<int>(d.free.merged_order(first, ceil_order(pages)))));
  else
    relist(b);
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
