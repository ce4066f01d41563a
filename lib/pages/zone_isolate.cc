// zone_isolate.cc: pageblocks taken out of allocation, and contiguous ranges.  layer: pages
// A pageblock of type Isolate is in no free set; what is in use in it stays in use and stays out when freed. A pageblock of
// type CMA keeps that type until release_cma(): nothing changes it implicitly.
#include <algorithm>

#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kCmaAlignment = 2;  // pageblocks: order 10, the largest that reports know

}  // namespace

bool Zone::isolate(BlockIndex first, std::size_t count) {
  const Hold hold(*this);
  for (std::size_t k = 0; k < count; ++k) {
    const Section* const s = map_->section_of(first + k);
    if (s == nullptr || s->zone != number_ || (first + k).value - s->first.value >= s->opened) return false;
    const Pageblock& d = map_->block(first + k);
    if (d.hidden() || d.migratetype == Migratetype::kHighAtomic) return false;
  }
  for (std::size_t k = 0; k < count; ++k) {
    Pageblock& d = map_->block(first + k);
    unlist(first + k);
    d.type_before = d.migratetype;
    d.migratetype = Migratetype::kIsolate;
  }
  return true;
}

void Zone::unisolate(BlockIndex first, std::size_t count) {
  const Hold hold(*this);
  for (std::size_t k = 0; k < count; ++k) {
    Pageblock& d = map_->block(first + k);
    if (d.migratetype != Migratetype::kIsolate) continue;
    d.migratetype = d.type_before;
    list(first + k);
  }
}

bool Zone::make_cma(std::size_t blocks, BlockIndex& first) {
  const Hold hold(*this);
  if (blocks == 0 || !find_whole_run(blocks, kCmaAlignment, first)) return false;
  for (std::size_t k = 0; k < blocks; ++k) retype(first + k, Migratetype::kCma);
  return true;
}

bool Zone::release_cma(BlockIndex first, std::size_t blocks) {
  const Hold hold(*this);
  for (std::size_t k = 0; k < blocks; ++k) {
    const Pageblock& d = map_->block(first + k);
    if (d.migratetype != Migratetype::kCma || d.isolated || !d.whole_free()) return false;
  }
  for (std::size_t k = 0; k < blocks; ++k) retype(first + k, Migratetype::kMovable);
  return true;
}

bool Zone::take(Pfn first, std::size_t pages, Run& out) {
  const Hold hold(*this);
  Pfn at = first;
  for (std::size_t left = pages; left != 0;) {
    const std::size_t here = std::min(left, kPagesPerBlock - at.offset());
    const Pageblock& d = map_->block(at.block());
    const bool set_apart = d.migratetype == Migratetype::kCma || d.migratetype == Migratetype::kIsolate;
    if (!set_apart || d.isolated || d.free.count(at.offset(), here) != here) return false;
    at = at + here;
    left -= here;
  }
  out.first = first;
  out.pages = pages;
  out.zeroed = true;
  intent_.declare(first, pages);
  at = first;
  for (std::size_t left = pages; left != 0;) {
    const std::size_t here = std::min(left, kPagesPerBlock - at.offset());
    take_in_block(at.block(), at.offset(), here, out.zeroed);
    at = at + here;
    left -= here;
  }
  intent_.done();
  return true;
}

}  // namespace bm::pages
