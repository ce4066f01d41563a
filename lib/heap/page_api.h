// page_api.h: pages by order, exact runs and their parts, for the public page API.  layer: heap
// Thread-safe. Up to order 4 the thread's own lists serve (ThreadHeap::api_pages), as bins do: without a lock, and for
// nobody else to look into. Others never need to: a list keeps at most 256 KiB, the owner drains it at its end, in trim()
// and when memory is short, and pages of a pageblock that has been isolated meanwhile leave it when they come to the top.
// Functions that take something back end the program when it is not what they gave. None sets errno; null: no memory.
//
// [PA-1] the entry of the first page of what is handed out says what it is, by the values below; of a run that was split,
//        the entry of every page. All other entries of a run are 0, and so are those of pages on lists.
// [PA-3] pages on lists are of the zone ThreadHeap::api_zone
#pragma once

#include <cstddef>
#include <cstdint>

#include "heap/thread_heap_slow.h"

namespace bm::heap {

inline constexpr unsigned kMaxApiOrder = 10;
inline constexpr std::uint32_t kOrderEntry = pages::kFirstPageApiEntry;       // + order
inline constexpr std::uint32_t kSplitEntry = kOrderEntry + kMaxApiOrder + 1;  // a page of a run that was split
inline constexpr std::uint32_t kExactEntry = kSplitEntry + 1;                 // its length in pages: MemMap::slab_index
inline constexpr std::uint32_t kCmaEntry = kExactEntry + 1;                   // of a contiguous range; length as above
static_assert(kCmaEntry <= 640);

// Zone and node of a request. Zones other than Normal are made when they are first asked for.
struct Place {
  static constexpr unsigned kHere = ~0U;  // the node that the calling thread runs on
  unsigned node = kHere;
  pages::ZoneType highest = pages::ZoneType::kNormal;
  pages::ZonelistKind nodes = pages::ZonelistKind::kFallback;

  // No wish: the zone of the thread's lists will do.
  bool anywhere() const {
    return node == kHere && highest == pages::ZoneType::kNormal && nodes == pages::ZonelistKind::kFallback;
  }
  pages::Where where() const;
};

struct PageRequest {
  pages::Migratetype type = pages::Migratetype::kUnmovable;
  bool zero = false;
  bool critical = false;
  Place place;
};

// Pages of a pageblock that is being emptied, isolated, lent or reserved lie on no list, and none comes to the top of one.
inline bool may_list(const pages::Pageblock& d) { return pages::is_pcp_type(d.migratetype) && !d.isolated; }

// Null: not served here. order < pcp::kListOrders, type of the pcp types; the page's contents are undefined.
[[gnu::always_inline]] inline void* alloc_pages_fast(unsigned order, pages::Migratetype type) {
  ThreadHeap* const h = current_heap();
  Pfn p;
  if (h == nullptr || !h->api_pages.pop(order, type, p)) [[unlikely]]
    return nullptr;
  if (!may_list(process.map.block(p.block()))) [[unlikely]] {
    process.nodes.zone_of(p).free(p, std::size_t{1} << order);
    return nullptr;
  }
  process.map.set_entry(p, kOrderEntry + order);
  return process.map.address(p);
}

// False: not served here. order < pcp::kListOrders.
[[gnu::always_inline]] inline bool free_pages_fast(void* pages, unsigned order) {
  ThreadHeap* const h = current_heap();
  const std::size_t index = process.map.fast_index(pages);
  if (h == nullptr || index >= process.map.fast_pages() || process.map.entry_at(index) != kOrderEntry + order ||
      (reinterpret_cast<std::uintptr_t>(pages) & (kPageSize - 1)) != 0) [[unlikely]]
    return false;
  const Pfn p{static_cast<std::uint32_t>(index)};
  const pages::Pageblock& d = process.map.block(p.block());
  const pages::Migratetype type = d.migratetype;
  const std::size_t free_pages = d.free_pages_guess();
  if (d.zone != h->api_zone || !may_list(d) || !h->api_pages.takes(order, type, free_pages)) [[unlikely]]
    return false;
  // The entry, then the list: a fork's child must not find a page of a list in use.
  process.map.set_entry(p, 0);
  std::atomic_signal_fence(std::memory_order_release);
  h->api_pages.push(order, type, p);
  return true;
}

void* alloc_pages(unsigned order, PageRequest request);  // order <= kMaxApiOrder
void free_pages(void* pages, unsigned order);            // null is fine
void split_pages(void* pages, unsigned order);
void* alloc_exact(std::size_t pages, PageRequest request);  // pages >= 1
void free_exact(void* start, std::size_t pages);            // null is fine

unsigned node_count();                                          // at least 1
bool zone_of_page(const void* address, unsigned& zone_number);  // false: not of these pages

// What starts at `start`, or fatal: the message tells what is wrong with it.
Pfn page_at(const void* start, const char* message);

}  // namespace bm::heap
