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
    if (!opened(first + k)) return false;
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

// False: not all of the range is free; `used` is how far it is, in pages, and one more.
bool Zone::set_apart_and_free(Pfn first, std::size_t pages, std::size_t& used) const {
  for (std::size_t done = 0; done < pages;) {
    const Pfn at = first + done;
    const std::size_t here = std::min(pages - done, kPagesPerBlock - at.offset());
    const Pageblock& d = map_->block(at.block());
    const bool set_apart = d.migratetype == Migratetype::kCma || d.migratetype == Migratetype::kIsolate;
    used = done + 1;
    if (!set_apart || d.isolated) return false;
    if (d.free.count(at.offset(), here) != here) {
      while (d.free.any(at.offset() + (used - 1 - done), 1)) ++used;
      return false;
    }
    done += here;
  }
  return true;
}

void Zone::take_range(Pfn first, std::size_t pages, Run& out) {
  out.first = first;
  out.pages = pages;
  out.zeroed = true;
  intent_.declare(first, pages);
  for (Pfn at = first; pages != 0;) {
    const std::size_t here = std::min(pages, kPagesPerBlock - at.offset());
    take_in_block(at.block(), at.offset(), here, out.zeroed);
    at = at + here;
    pages -= here;
  }
  intent_.done();
}

bool Zone::take(Pfn first, std::size_t pages, Run& out) {
  const Hold hold(*this);
  std::size_t used = 0;
  if (!set_apart_and_free(first, pages, used) || !admit(clean_pages(first, pages))) return false;
  take_range(first, pages, out);
  return true;
}

bool Zone::take_within(BlockIndex first, std::size_t blocks, std::size_t pages, std::size_t alignment, Run& out) {
  const Hold hold(*this);
  const auto start = reinterpret_cast<std::uintptr_t>(map_->address(first_pfn(first)));
  const auto aligned = [&](std::size_t page) {
    return (align_up(start + (page << kPageShift), alignment) - start) >> kPageShift;
  };
  const std::size_t all = blocks << kPageblockOrder;
  for (std::size_t at = aligned(0), used = 0; at <= all && pages <= all - at; at = aligned(at + used))
    if (set_apart_and_free(first_pfn(first) + at, pages, used)) {
      if (!admit(clean_pages(first_pfn(first) + at, pages))) return false;
      take_range(first_pfn(first) + at, pages, out);
      return true;
    }
  return false;
}

}  // namespace bm::pages
