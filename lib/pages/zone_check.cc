// zone_check.cc: rebuilding and validating what is derived from the maps.  layer: pages
#include <algorithm>

#include "base/text.h"
#include "os/fatal.h"
#include "pages/zone.h"

namespace bm::pages {

// The holder of the lock exists no more. What it was doing to the maps is completed as a free: a run being handed out
// had not been handed out, a run being freed had been given up.
void Zone::recover() {
  changes_.store(changes() | 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  if (const std::uint64_t mask = intent_.mask(); intent_.pages() != 0 && mask != 0) {
    Pageblock& d = map_->block(intent_.first().block());
    d.free.word[intent_.first().offset() / 64] |= mask;
    d.dirty.word[intent_.first().offset() / 64] |= mask;
    intent_.done();
  }
  for (std::size_t left = intent_.pages(), at = intent_.first().value; left != 0;) {
    const Pfn p{static_cast<std::uint32_t>(at)};
    const std::size_t here = std::min(left, kPagesPerBlock - p.offset());
    map_->block(p.block()).free.set(p.offset(), here);
    map_->block(p.block()).dirty.set(p.offset(), here);
    at += here;
    left -= here;
  }
  intent_.done();
  for (unsigned i = 0; i < map_->section_count(); ++i)
    if (const Section& s = map_->section(i); s.zone == number_) area_->clear_words(s.first, s.committed);
  area_->clear_summaries();
  free_pages_ = 0;
  backed_free_ = 0;
  dirty_whole_ = 0;
  isolated_ = 0;
  turnover_ = kept_ = 0;
  defers_ = false;
  has_reserve_ = false;
  reserve_backed_ = 0;
  moved_ = 0;
  for_each_opened([this](BlockIndex b, Pageblock& d) {
    d.isolated = false;
    if (d.migratetype == Migratetype::kHighAtomic) {
      has_reserve_ = true;
      reserve_ = b;
      reserve_backed_ = d.dirty.count();
    }
    d.free_pages = static_cast<std::uint16_t>(d.free.count());
    d.most_in_row = kPagesPerBlock;
    d.largest_order = static_cast<std::int8_t>(d.free.largest_order());
    free_pages_ += d.free_pages;
    moved_ += d.moved == Moved::kFirst ? 1 : 0;
    for (std::size_t i = 0; i < PageBitmap::kWords; ++i)
      backed_free_ += std::size_t(popcount(d.free.word[i] & d.dirty.word[i]));
    list(b);
  });
  used_ = peak_used_ = phase_used_ = (space_->opened_blocks() << kPageblockOrder) - free_pages_;
  changes_.store(changes() + 1, std::memory_order_release);
  lock_.reset();
}

int Zone::validate(int fd) {
  os::LockGuard hold(lock_);
  int broken = 0;
  const auto check = [&](bool ok, const char* invariant, BlockIndex b) {
    if (ok) return;
    ++broken;
    if (fd < 0) return;
    char buffer[128];
    Text text(buffer, sizeof buffer);
    text << "buddymalloc: invariant " << invariant << " broken, pageblock " << b.value << "\n";
    os::write_all(fd, buffer, text.size());
  };
  std::size_t free_sum = 0;
  std::size_t backed_sum = 0;
  std::size_t dirty_whole = 0;
  std::size_t moved = 0;
  for_each_opened([&](BlockIndex b, Pageblock& d) {
    check(d.zone == number_, "PB-5", b);
    check(d.free_pages == d.free.count(), "PB-1", b);
    check(d.largest_order == d.free.largest_order(), "PB-2", b);
    for (unsigned t = 0; t < kListedTypes; ++t)
      for (unsigned o = 0; o < FreeArea::kOrders; ++o) {
        const auto type = static_cast<Migratetype>(t);
        const bool wanted = !d.hidden() && type == d.migratetype && d.largest_order == static_cast<int>(o);
        check(area_->contains(FreeArea::set_of(type, o), b) == wanted, wanted || !d.hidden() ? "FA-1" : "PB-4", b);
      }
    check(d.most_in_row == kPagesPerBlock || d.free.first_run(d.most_in_row + 1U) == kPagesPerBlock, "PB-6", b);
    const bool whole = d.whole_free() && !d.hidden();
    check(area_->contains(FreeArea::kAnyWhole, b) == (whole && is_pcp_type(d.migratetype)), "FA-2", b);
    const bool reserve = d.migratetype == Migratetype::kHighAtomic;
    check(reserve == (has_reserve_ && b == reserve_), "ZN-6", b);
    if (reserve)
      check(d.dirty.count() == reserve_backed_ && d.dirty.count(0, reserve_backed_) == reserve_backed_, "ZN-6", b);
    const bool dirty = whole && !reserve && d.dirty.any(0, kPagesPerBlock);
    check(area_->contains(FreeArea::kDirtyWhole, b) == dirty, "FA-2", b);
    dirty_whole += dirty ? 1 : 0;
    moved += d.moved == Moved::kFirst ? 1 : 0;
    std::size_t entries = 0;
    for (std::size_t i = 0; i < PageBitmap::kWords; ++i) {
      backed_sum += std::size_t(popcount(d.free.word[i] & d.dirty.word[i]));
      for (std::uint64_t w = d.free.word[i]; w != 0; w &= w - 1)
        entries += map_->entry(first_pfn(b) + (i * 64 + lowest_bit(w))) != 0 ? 1 : 0;
      check((~d.free.word[i] & ~d.dirty.word[i] & PageBitmap::kWordPages) == 0, "PB-3", b);
    }
    check(entries == 0, "MM-1", b);
    free_sum += d.free_pages;
  });
  check(free_sum == free_pages_, "ZN-1", BlockIndex{});
  check(backed_sum == backed_free_, "ZN-2", BlockIndex{});
  check(intent_.pages() == 0, "ZN-3", BlockIndex{});
  check(changes() % 2 == 0, "ZN-7", BlockIndex{});
  check(dirty_whole == dirty_whole_, "ZN-4", BlockIndex{});
  check(used_ == (space_->opened_blocks() << kPageblockOrder) - free_sum, "ZN-5", BlockIndex{});
  check(!limited() || charged_ == used_ + backed_free_, "ZN-8", BlockIndex{});
  check(moved == moved_, "ZN-9", BlockIndex{});
  check(area_->summaries_consistent(), "FA-3", BlockIndex{});
  for (unsigned i = 0; i < map_->section_count(); ++i) {
    const Section& s = map_->section(i);
    if (s.zone != number_) continue;
    check(area_->words_consistent(s.first, s.opened), "FA-3", s.first);
    check(s.opened <= s.committed && s.committed <= s.blocks, "AS-1", s.first);
  }
  return broken;
}

}  // namespace bm::pages
