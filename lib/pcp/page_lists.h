// page_lists.h: a thread's own stock of free pages, by order and migratetype.  layer: pcp
// The kernel's per-cpu page lists, per thread: hot pages are reused without the zone's lock, which is taken once per
// batch. Not thread-safe: the heap that owns the lists serialises. Pages on a list count as handed out in the zone.
// A thread has two such stocks (heap/thread_heap_slow.h): slabs' pages, under its heap's lock, for helpers release slabs
// too; and the page API's, larger, which only the thread itself ever touches, as it does its bins.
// The count is written last: a thread that vanished in a fork lost pages at worst, it left none on a list twice.
// A list that only spills, batch after batch, belongs to a program that gives up memory: it is emptied and shut until the next
// refill, as each page it kept would keep a pageblock from becoming whole. It then gathers a few pages for one hold of the lock, of
// pageblocks of which enough is in use.
// [PL-1] count <= kHigh[order] for every list; on one that is shut, count <= kGathered[order]
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "pages/migratetype.h"
#include "pages/zone.h"

namespace bm::pcp {

inline constexpr unsigned kListOrders = 5;  // 0..4: up to 64 KiB; larger blocks go to the zone one by one

struct ForSlabs {
  static constexpr std::array<std::uint8_t, kListOrders> kHigh = {16, 16, 16, 8, 4};  // blocks: at most 256 KiB a list
  static constexpr std::array<std::uint8_t, kListOrders> kBatch = {8, 8, 8, 6, 3};    // blocks per refill or drain
  static constexpr std::array<std::uint8_t, kListOrders> kGathered = kBatch;          // blocks on a list that is shut
};
// Users of pages take them in numbers: batches of 32 instead of 8 bring a single page from 16.5 to 9.0 ns in bulk.
struct ForPageApi {
  static constexpr std::array<std::uint8_t, kListOrders> kHigh = {64, 32, 16, 8, 4};
  static constexpr std::array<std::uint8_t, kListOrders> kBatch = {32, 16, 8, 4, 2};
  static constexpr std::array<std::uint8_t, kListOrders> kGathered = {32, 16, 8, 4, 1};
};

template <class Marks>
class PageLists {
 public:
  static constexpr unsigned kOrders = kListOrders;
  static constexpr auto kHigh = Marks::kHigh;
  static constexpr auto kBatch = Marks::kBatch;
  static constexpr auto kGathered = Marks::kGathered;
  static constexpr std::size_t kMaxHigh = kHigh[0];

  // A block of 2^order pages of any order up to a pageblock's. False: out of memory.
  bool alloc(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn& out);
  void free(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn first);
  // The part of these that needs no zone, for orders below kOrders and pcp types. False: the list is empty.
  [[gnu::always_inline]] bool pop(unsigned order, pages::Migratetype type, Pfn& out) {
    List& list = lists_[order][pages::index(type)];
    const std::uint32_t n = list.count;
    if (n == 0) [[unlikely]]
      return false;
    out = list.block[n - 1];
    list.count = n - 1;
    return true;
  }
  // Whether push() may have pages of a pageblock of which so many pages are free.
  bool takes(unsigned order, pages::Migratetype type, std::size_t free_pages) const {
    const List& list = lists_[order][pages::index(type)];
    if (list.shut) [[unlikely]]
      return gathers(order, list, free_pages);
    return list.count < kHigh[order];
  }
  // For what takes() takes.
  [[gnu::always_inline]] void push(unsigned order, pages::Migratetype type, Pfn first) {
    put(lists_[order][pages::index(type)], first);
  }
  // Everything back to the zone. What is shut stays so.
  void drain(pages::Zone& zone);
  std::size_t held_pages() const;
  template <class F>
  void for_each(F f) const {  // f(first page, order)
    for (unsigned order = 0; order < kOrders; ++order)
      for (const List& list : lists_[order])
        for (std::uint32_t k = 0; k < list.count; ++k) f(list.block[k], order);
  }

 private:
  // A pageblock of which more is free may be whole soon: none of its pages waits on a list that is shut.
  static constexpr std::size_t kNearlyFree = kPagesPerBlock - kPagesPerBlock / 16;

  // Statistics look at it without the heap's lock.
  struct Count {
    std::uint32_t value;
    operator std::uint32_t() const { return __atomic_load_n(&value, __ATOMIC_RELAXED); }
    Count& operator=(std::uint32_t n) {
      __atomic_store_n(&value, n, __ATOMIC_RELAXED);
      return *this;
    }
  };
  struct List {
    std::array<Pfn, kMaxHigh> block;
    Count count;
    std::uint8_t spills;  // since the last refill
    bool shut;
  };
  static bool gathers(unsigned order, const List& shut, std::size_t free_pages) {
    return shut.count < kGathered[order] && free_pages < kNearlyFree;
  }
  [[gnu::always_inline]] static void put(List& list, Pfn first) {
    const std::uint32_t n = list.count;
    list.block[n] = first;
    std::atomic_signal_fence(std::memory_order_release);
    list.count = n + 1;
  }
  void refill(pages::Zone& zone, unsigned order, pages::Migratetype type);
  void spill(pages::Zone& zone, unsigned order, List& list);
  void free_shut(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn first);
  std::size_t waiting_pages(pages::Migratetype type) const;  // on lists that are shut
  void give_back_shut(pages::Zone& zone, pages::Migratetype type);
  static void give_back(pages::Zone& zone, unsigned order, List& list);
  List lists_[kOrders][pages::kPcpTypes];
};

extern template class PageLists<ForSlabs>;
extern template class PageLists<ForPageApi>;
using SlabPageLists = PageLists<ForSlabs>;
using ApiPageLists = PageLists<ForPageApi>;

}  // namespace bm::pcp
