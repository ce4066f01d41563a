// pages_api.cc: the functions of <buddymalloc/pages.h>: arguments and errno.  layer: api
#include "api/malloc_api.h"
#include "api/with_errno.h"
#include "buddymalloc/pages.h"
#include "heap/contiguous.h"
#include "heap/page_api.h"

namespace bm::api {
namespace {

constexpr unsigned kTypeMask = 3;
constexpr unsigned kNodeShift = 8;
constexpr unsigned kNodeMask = 0xFFU << kNodeShift;
constexpr unsigned kPlaceFlags = BM_PAGES_DMA32 | BM_PAGES_HUGETLB | BM_PAGES_THISNODE | kNodeMask;
constexpr unsigned kAllFlags = kTypeMask | BM_PAGES_ZERO | BM_PAGES_CRITICAL | kPlaceFlags;
static_assert(BM_PAGES_NODE(0) == 1U << kNodeShift);
static_assert(BM_PAGES_MAX_ORDER == heap::kMaxApiOrder && BM_PAGE_SIZE == kPageSize);
static_assert(BM_PAGEBLOCK_SIZE == kPageblockSize);
static_assert(BM_PAGES_UNMOVABLE == pages::index(pages::Migratetype::kUnmovable) &&
              BM_PAGES_MOVABLE == pages::index(pages::Migratetype::kMovable) &&
              BM_PAGES_RECLAIMABLE == pages::index(pages::Migratetype::kReclaimable));

heap::Place place_of(unsigned flags) {
  using pages::ZonelistKind, pages::ZoneType;
  heap::Place place;
  if ((flags & kNodeMask) != 0) place.node = ((flags & kNodeMask) >> kNodeShift) - 1;
  if ((flags & BM_PAGES_DMA32) != 0) place.highest = ZoneType::kDma32;
  if ((flags & BM_PAGES_HUGETLB) != 0) place.highest = ZoneType::kHugetlb;
  if ((flags & BM_PAGES_THISNODE) != 0) place.nodes = ZonelistKind::kThisNode;
  return place;
}

unsigned node_count() {
  const os::ErrnoGuard keep;
  return heap::node_count();
}

bool valid(unsigned flags, unsigned allowed = kAllFlags) {
  constexpr unsigned kBothZones = BM_PAGES_DMA32 | BM_PAGES_HUGETLB;
  if ((flags & ~allowed) != 0 || (flags & kTypeMask) >= pages::kPcpTypes || (flags & kBothZones) == kBothZones)
    return false;
  return (flags & kNodeMask) == 0 || place_of(flags).node < node_count();
}

heap::PageRequest request_of(unsigned flags) {
  return {static_cast<pages::Migratetype>(flags & kTypeMask), (flags & BM_PAGES_ZERO) != 0,
          (flags & BM_PAGES_CRITICAL) != 0, place_of(flags)};
}

template <class Act>
int answer(Act act) {
  heap::Outcome outcome{};
  {
    const os::ErrnoGuard keep;
    outcome = act();
  }
  if (outcome == heap::Outcome::kDone) return 0;
  errno = outcome == heap::Outcome::kInvalid ? EINVAL : outcome == heap::Outcome::kBusy ? EBUSY : ENOMEM;
  return -1;
}

[[gnu::noinline, gnu::cold]] void* pages_alloc_slow(unsigned order, unsigned flags) {
  if (order > BM_PAGES_MAX_ORDER || !valid(flags)) return fail(EINVAL);
  return with_errno([=] { return heap::alloc_pages(order, request_of(flags)); });
}

[[gnu::noinline, gnu::cold]] void pages_free_slow(void* pages, unsigned order) {
  const os::ErrnoGuard keep;
  heap::free_pages(pages, order);
}

void* pages_alloc_exact(std::size_t bytes, unsigned flags) {
  if (bytes == 0 || !valid(flags)) return fail(EINVAL);
  if (bytes > PTRDIFF_MAX) return fail(ENOMEM);
  return with_errno([=] { return heap::alloc_exact(pages_for(bytes), request_of(flags)); });
}

bool zone_of_page(const void* page, unsigned& zone) {
  const os::ErrnoGuard keep;
  return heap::zone_of_page(page, zone);
}

void* cma_alloc(const void* area, std::size_t bytes, std::size_t align) {
  if (bytes == 0 || (align != 0 && !is_power_of_two(align))) return fail(EINVAL);
  const std::size_t alignment = align < kPageSize ? kPageSize : align;
  void* pages = nullptr;
  const int refused = answer([&] { return heap::alloc_in_area(area, pages_for(bytes), alignment, &pages); });
  return refused == 0 ? pages : nullptr;
}

}  // namespace
}  // namespace bm::api

namespace api = bm::api;
namespace heap = bm::heap;

extern "C" {

void* bm_pages_alloc(unsigned order, unsigned flags) {
  if (order < bm::pcp::kListOrders && flags < bm::pages::kPcpTypes) [[likely]] {
    void* const pages = heap::alloc_pages_fast(order, static_cast<bm::pages::Migratetype>(flags));
    if (pages != nullptr) [[likely]]
      return pages;
  }
  return api::pages_alloc_slow(order, flags);
}

void bm_pages_free(void* pages, unsigned order) {
  if (order < bm::pcp::kListOrders && heap::free_pages_fast(pages, order)) [[likely]]
    return;
  api::pages_free_slow(pages, order);
}

void bm_pages_split(void* pages, unsigned order) { heap::split_pages(pages, order); }
void* bm_pages_alloc_exact(size_t bytes, unsigned flags) { return api::pages_alloc_exact(bytes, flags); }
void bm_pages_free_exact(void* pages, size_t bytes) {
  const bm::os::ErrnoGuard keep;
  heap::free_exact(pages, bm::pages_for(bytes));
}

void* bm_cma_reserve(size_t bytes, unsigned flags) {
  if (bytes == 0 || !api::valid(flags, api::kPlaceFlags)) return api::fail(EINVAL);
  return api::with_errno([=] { return heap::reserve_area(bytes, api::place_of(flags)); });
}
void* bm_cma_alloc(void* area, size_t bytes, size_t align) { return api::cma_alloc(area, bytes, align); }
void bm_cma_free(void* area, void* pages, size_t bytes) {
  const bm::os::ErrnoGuard keep;
  heap::free_in_area(area, pages, bm::pages_for(bytes));
}
int bm_cma_release(void* area) {
  return api::answer([=] { return heap::release_area(area); });
}
unsigned bm_pages_nodes(void) { return api::node_count(); }
int bm_pages_node(const void* page) {
  unsigned zone = 0;
  if (api::zone_of_page(page, zone)) return static_cast<int>(heap::process.nodes.node_of(zone));
  errno = EINVAL;
  return -1;
}
const char* bm_pages_zone(const void* page) {
  unsigned zone = 0;
  if (!api::zone_of_page(page, zone)) {
    errno = EINVAL;
    return nullptr;
  }
  const char* const name = bm::pages::kZoneNames[bm::pages::index(heap::process.nodes.type_of(zone))];
  return name;
}

int bm_pages_isolate(void* start, size_t bytes) {
  return api::answer([=] { return heap::isolate_pages(start, bytes); });
}
int bm_pages_unisolate(void* start, size_t bytes) {
  return api::answer([=] { return heap::unisolate_pages(start, bytes); });
}

}  // extern "C"
