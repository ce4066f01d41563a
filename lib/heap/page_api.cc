// page_api.cc: see page_api.h.  layer: heap
#include "heap/page_api.h"

#include <cstring>

#include "heap/reclaim.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using pages::Migratetype;
using pages::Run;

constexpr const char* kBadFree = "bm_pages_free of pages that are free, of another order or not from bm_pages_alloc";
constexpr const char* kBadSplit = "bm_pages_split of pages that are free, of another order or not from bm_pages_alloc";
constexpr const char* kBadExact =
    "bm_pages_free_exact of pages that are free, of another size or not from bm_pages_alloc_exact";

bool alloc_run_of(std::size_t pages, unsigned align_order, PageRequest request, Run& out) {
  const auto urgency = request.critical ? pages::Request::kCritical : pages::Request::kNormal;
  return process.nodes.alloc(request.place.where(), pages, request.type, out, align_order, pages::Placement::kPacked,
                             urgency);
}

// From the thread's list where there is one. It has pages of the nearest Normal zone, and they may have no memory behind
// them: a critical request passes it by, as does one for a certain place.
bool alloc_order(unsigned order, PageRequest request, Run& out) {
  if (order >= pcp::kListOrders || request.critical || !request.place.anywhere())
    return alloc_run_of(std::size_t{1} << order, order, request, out);
  out = {{}, std::size_t{1} << order, false};
  ThreadHeap* const h = heap_of_thread();
  if (h == nullptr) return false;
  pages::Zone& zone = h->follow_nearest(h->api_pages, h->api_zone);
  while (h->api_pages.alloc(zone, order, request.type, out.first)) {
    const pages::Pageblock& d = process.map.block(out.first.block());
    if (may_list(d) || d.migratetype == Migratetype::kHighAtomic) return true;
    zone.free(out.first, out.pages);  // its pageblock was isolated while it lay on the list
  }
  return !process.nodes.single() && alloc_run_of(out.pages, order, request, out);  // what only other zones have
}

template <class Alloc>
bool alloc_or_reclaim(std::size_t pages, Alloc alloc) {
  if (!process.ensure_ready()) return false;
  process.settle_fork();
  Reclaim reclaim(pages << kPageShift);
  do {
    if (!alloc()) continue;
    upkeep(SlowPath::kAlloc);
    return true;
  } while (reclaim.next());
  return false;
}

void* hand_out(const Run& run, std::uint32_t entry, bool zero) {
  void* const p = process.map.address(run.first);
  process.map.set_entry(run.first, entry);
  if (zero && !run.zeroed) std::memset(p, 0, run.pages << kPageShift);
  return p;
}

// All pages of an aligned part of a run that was split; their entries are cleared.
bool take_split(Pfn first, std::size_t pages) {
  if (first.value % pages != 0) return false;
  for (std::size_t k = 0; k < pages; ++k)
    if (process.map.entry(first + k) != kSplitEntry) return false;
  for (std::size_t k = 0; k < pages; ++k) process.map.set_entry(first + k, 0);
  return true;
}

}  // namespace

// A zone that cannot be made is passed over, or leaves the request without any.
pages::Where Place::where() const {
  pages::Where w = process.local(current_heap());
  if (node != kHere) w.node = node;
  w.highest = highest;
  w.nodes = nodes;
  if (highest != pages::ZoneType::kNormal)
    process.nodes.ensure_zone(highest == pages::ZoneType::kDma32 ? 0 : w.node, highest);
  return w;
}

unsigned node_count() { return process.ensure_ready() ? process.nodes.count() : 1; }

bool zone_of_page(const void* address, unsigned& zone_number) {
  Pfn p;
  if (!process.ready()) return false;
  process.settle_fork();
  if (!process.map.find(address, p)) return false;
  zone_number = process.nodes.zone_of(p).number();
  return true;
}

Pfn page_at(const void* start, const char* message) {
  Pfn p;
  if (process.ready()) process.settle_fork();
  if ((reinterpret_cast<std::uintptr_t>(start) & (kPageSize - 1)) != 0 || !process.map.find(start, p))
    os::fatal(message, start);
  return p;
}

void* alloc_pages(unsigned order, PageRequest request) {
  Run run;
  if (!alloc_or_reclaim(std::size_t{1} << order, [&] { return alloc_order(order, request, run); })) return nullptr;
  return hand_out(run, kOrderEntry + order, request.zero);
}

void free_pages(void* start, unsigned order) {
  if (start == nullptr) return;
  const Pfn p = page_at(start, kBadFree);
  if (order > kMaxApiOrder) os::fatal(kBadFree, start);
  const std::size_t n = std::size_t{1} << order;
  if (process.map.entry(p) == kOrderEntry + order)
    process.map.set_entry(p, 0);
  else if (!take_split(p, n))
    os::fatal(kBadFree, start);
  pages::Zone& zone = process.nodes.zone_of(p);
  const pages::Pageblock& d = process.map.block(p.block());
  if (ThreadHeap* const h = current_heap(); h != nullptr && h->api_zone == zone.number() && !d.isolated)
    h->api_pages.free(zone, order, d.migratetype, p);
  else
    zone.free(p, n);
  upkeep(SlowPath::kFree);
}

// The first page's entry last: until then the run is whole.
void split_pages(void* start, unsigned order) {
  const Pfn p = page_at(start, kBadSplit);
  if (order > kMaxApiOrder || process.map.entry(p) != kOrderEntry + order) os::fatal(kBadSplit, start);
  for (std::size_t k = std::size_t{1} << order; k-- != 0;) process.map.set_entry(p + k, kSplitEntry);
}

void* alloc_exact(std::size_t pages, PageRequest request) {
  Run run;
  if (!alloc_or_reclaim(pages, [&] { return alloc_run_of(pages, 0, request, run); })) return nullptr;
  process.map.set_slab_index(run.first, static_cast<std::uint32_t>(pages));
  return hand_out(run, kExactEntry, request.zero);
}

void free_exact(void* start, std::size_t pages) {
  if (start == nullptr) return;
  const Pfn p = page_at(start, kBadExact);
  if (process.map.entry(p) != kExactEntry || process.map.slab_index(p) != pages) os::fatal(kBadExact, start);
  process.map.set_entry(p, 0);
  process.nodes.zone_of(p).free(p, pages);
  upkeep(SlowPath::kFree);
}

}  // namespace bm::heap
