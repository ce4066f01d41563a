// contiguous.cc: see contiguous.h.  layer: heap
#include "heap/contiguous.h"

#include "heap/reclaim.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using pages::Migratetype;
using pages::Pageblock;

struct Area {
  BlockIndex first;
  std::size_t blocks = 0;
};

pages::Zone& zone_of(BlockIndex b) { return process.nodes.zone_of(first_pfn(b)); }

void note_length(BlockIndex first, std::size_t blocks, std::size_t pages) {
  process.map.block(first).run_pages = static_cast<std::uint32_t>(pages);
  for (std::size_t k = 1; k < blocks; ++k) process.map.block(first + k).run_pages = 0;
}

Area area_at(const void* area) {
  constexpr const char* kNoArea = "no area of bm_cma_reserve begins at";
  const Pfn p = page_at(area, kNoArea);
  const Pageblock& d = process.map.block(p.block());
  const Migratetype type = d.migratetype == Migratetype::kIsolate ? d.type_before : d.migratetype;
  if (p.offset() != 0 || type != Migratetype::kCma || d.run_pages == 0) os::fatal(kNoArea, area);
  return {p.block(), d.run_pages >> kPageblockOrder};
}

// Whether pages of the area are in use that alloc_in_area() has not handed out.
bool lends(const Area& area) {
  const std::size_t all = area.blocks << kPageblockOrder;
  for (std::size_t k = 0; k < all;) {
    const Pfn p = first_pfn(area.first) + k;
    const bool ours = process.map.entry(p) == kCmaEntry;
    if (!ours && !process.map.block(p.block()).free.any(p.offset(), 1)) return true;
    k += ours ? process.map.slab_index(p) : 1;
  }
  return false;
}

// Moves away what is lent in the lowest pageblocks that will do and hold nothing of alloc_in_area().
bool take_from_lent(const Area& a, std::size_t pages, std::size_t alignment, pages::Run& out) {
  const std::size_t count = ((pages - 1) >> kPageblockOrder) + 1;
  std::size_t seen = 0;      // pages of the area that have been looked at
  std::size_t ours_end = 0;  // of the last run of ours among them
  for (std::size_t k = 0; count <= a.blocks && k <= a.blocks - count; ++k) {
    while (seen < (k + count) << kPageblockOrder) {
      const Pfn p = first_pfn(a.first) + seen;
      const bool ours = process.map.entry(p) == kCmaEntry;
      seen += ours ? process.map.slab_index(p) : 1;
      if (ours) ours_end = seen;
    }
    const BlockIndex b = a.first + k;
    const auto address = reinterpret_cast<std::uintptr_t>(process.map.address(first_pfn(b)));
    if (ours_end > k << kPageblockOrder || (address & (alignment - 1)) != 0) continue;
    if (!process.compaction.evacuate(b, count)) continue;
    const bool taken = zone_of(b).take(first_pfn(b), pages, out);
    zone_of(b).unisolate(b, count);
    if (taken) return true;
  }
  return false;
}

// The pageblocks of a range of addresses, when all of it is opened page space of one zone. First on every slow path.
bool blocks_of(const void* start, std::size_t bytes, BlockIndex& first, std::size_t& count) {
  if (!process.ready()) return false;
  process.settle_fork();
  Pfn p;
  Pfn last;
  const bool aligned = ((reinterpret_cast<std::uintptr_t>(start) | bytes) & (kPageblockSize - 1)) == 0;
  if (!aligned || bytes == 0 || bytes > PTRDIFF_MAX || !process.map.find(start, p) ||
      !process.map.find(static_cast<const char*>(start) + (bytes - 1), last))
    return false;
  first = p.block();
  count = bytes >> kPageblockShift;
  const bool adjacent = last.block() == first + (count - 1);  // not across two reservations
  return adjacent && &process.nodes.zone_of(p) == &process.nodes.zone_of(last);
}

}  // namespace

void* reserve_area(std::size_t bytes, const Place& place) {
  if (bytes > PTRDIFF_MAX || !process.ensure_ready()) return nullptr;
  process.settle_fork();
  const std::size_t blocks = (bytes + kPageblockSize - 1) >> kPageblockShift;
  BlockIndex first;
  Reclaim reclaim(bytes);
  while (!process.nodes.make_cma(place.where(), blocks, first))
    if (!reclaim.next()) return nullptr;
  note_length(first, blocks, blocks << kPageblockOrder);
  return process.map.address(first_pfn(first));
}

Outcome alloc_in_area(const void* area, std::size_t pages, std::size_t alignment, void** out) {
  const Area a = area_at(area);
  pages::Run run;
  if (!zone_of(a.first).take_within(a.first, a.blocks, pages, alignment, run) &&
      !take_from_lent(a, pages, alignment, run))
    return lends(a) ? Outcome::kBusy : Outcome::kNoMemory;
  process.map.set_slab_index(run.first, static_cast<std::uint32_t>(pages));
  process.map.set_entry(run.first, kCmaEntry);
  *out = process.map.address(run.first);
  return Outcome::kDone;
}

void free_in_area(const void* area, void* start, std::size_t pages) {
  constexpr const char* kBadFree =
      "bm_cma_free of pages that are free, of another size or area, or not from bm_cma_alloc";
  if (start == nullptr) return;
  const Area a = area_at(area);
  const Pfn p = page_at(start, kBadFree);
  const bool inside = p.block().value - a.first.value < a.blocks;
  if (!inside || process.map.entry(p) != kCmaEntry || process.map.slab_index(p) != pages) os::fatal(kBadFree, start);
  process.map.set_entry(p, 0);
  zone_of(a.first).free(p, pages);
  upkeep(SlowPath::kFree);
}

Outcome release_area(const void* area) {
  const Area a = area_at(area);
  // First, as the pageblocks are anybody's as soon as they are released.
  note_length(a.first, a.blocks, 0);
  if (zone_of(a.first).release_cma(a.first, a.blocks)) return Outcome::kDone;
  note_length(a.first, a.blocks, a.blocks << kPageblockOrder);
  return Outcome::kBusy;
}

Outcome isolate_pages(const void* start, std::size_t bytes) {
  BlockIndex first;
  std::size_t count = 0;
  if (!blocks_of(start, bytes, first, count)) return Outcome::kInvalid;
  if (!zone_of(first).isolate(first, count)) return Outcome::kBusy;
  // Other threads' pages leave their lists when they come to the top.
  if (ThreadHeap* const h = current_heap(); h != nullptr) h->drain_api_pages();
  return Outcome::kDone;
}

Outcome unisolate_pages(const void* start, std::size_t bytes) {
  BlockIndex first;
  std::size_t count = 0;
  if (!blocks_of(start, bytes, first, count)) return Outcome::kInvalid;
  zone_of(first).unisolate(first, count);
  return Outcome::kDone;
}

}  // namespace bm::heap
