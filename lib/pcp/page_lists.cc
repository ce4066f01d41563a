// page_lists.cc: see page_lists.h.  layer: pcp
#include "pcp/page_lists.h"

#include <algorithm>

namespace bm::pcp {
namespace {

constexpr unsigned kSpillsToShut = 3;

}  // namespace

template <class Marks>
bool PageLists<Marks>::alloc(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn& out) {
  if (order >= kOrders) {
    pages::Run run;
    if (!zone.alloc(std::size_t{1} << order, type, run)) return false;
    out = run.first;
    return true;
  }
  if (pop(order, type, out)) return true;
  refill(zone, order, type);
  return pop(order, type, out);
}

template <class Marks>
void PageLists<Marks>::refill(pages::Zone& zone, unsigned order, pages::Migratetype type) {
  List& list = lists_[order][pages::index(type)];
  pages::Run fresh[kMaxHigh];
  const std::size_t n = zone.alloc_batch(std::size_t{1} << order, type, kBatch[order], fresh);
  for (std::size_t i = 0; i < n; ++i) list.block[n - 1 - i] = fresh[i].first;  // lowest address first
  std::atomic_signal_fence(std::memory_order_release);
  list.count = static_cast<std::uint32_t>(n);
  list.spills = 0;
  list.shut = false;
}

template <class Marks>
void PageLists<Marks>::free(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn first) {
  // Pages of a pageblock that is being drained, lent or reserved go straight back.
  if (order >= kOrders || !pages::is_pcp_type(type)) {
    zone.free(first, std::size_t{1} << order);
    return;
  }
  List& list = lists_[order][pages::index(type)];
  if (!list.shut && list.count == kHigh[order]) spill(zone, order, list);
  if (list.shut) return free_shut(zone, order, type, first);
  put(list, first);
}

// The oldest go, the hot ones stay; unless there is no end to it.
template <class Marks>
void PageLists<Marks>::spill(pages::Zone& zone, unsigned order, List& list) {
  if (++list.spills == kSpillsToShut) {
    give_back(zone, order, list);
    list.shut = true;
    return;
  }
  const std::size_t batch = kBatch[order];
  Pfn out[kMaxHigh];
  std::copy_n(list.block.begin(), batch, out);
  list.count = 0;
  std::atomic_signal_fence(std::memory_order_release);
  std::copy(list.block.begin() + static_cast<std::ptrdiff_t>(batch), list.block.begin() + kHigh[order],
            list.block.begin());
  std::atomic_signal_fence(std::memory_order_release);
  list.count = static_cast<std::uint32_t>(kHigh[order] - batch);
  zone.free_batch(std::size_t{1} << order, out, batch);
}

// Pages of all orders wait, perhaps of the same pageblock: once it could be whole with them, none does.
template <class Marks>
void PageLists<Marks>::free_shut(pages::Zone& zone, unsigned order, pages::Migratetype type, Pfn first) {
  List& list = lists_[order][pages::index(type)];
  const std::size_t free_pages = zone.free_pages_guess(first.block());
  put(list, first);
  if (free_pages >= kNearlyFree || free_pages + waiting_pages(type) >= kPagesPerBlock)
    give_back_shut(zone, type);
  else if (list.count > kGathered[order])
    give_back(zone, order, list);
}

template <class Marks>
std::size_t PageLists<Marks>::waiting_pages(pages::Migratetype type) const {
  std::size_t sum = 0;
  for (unsigned order = 0; order < kOrders; ++order)
    if (const List& list = lists_[order][pages::index(type)]; list.shut) sum += std::size_t{list.count} << order;
  return sum;
}

template <class Marks>
void PageLists<Marks>::give_back_shut(pages::Zone& zone, pages::Migratetype type) {
  for (unsigned order = 0; order < kOrders; ++order)
    if (List& list = lists_[order][pages::index(type)]; list.shut) give_back(zone, order, list);
}

template <class Marks>
void PageLists<Marks>::drain(pages::Zone& zone) {
  for (unsigned order = 0; order < kOrders; ++order)
    for (List& list : lists_[order]) give_back(zone, order, list);
}

template <class Marks>
void PageLists<Marks>::give_back(pages::Zone& zone, unsigned order, List& list) {
  const std::uint32_t n = list.count;
  if (n == 0) return;
  list.count = 0;
  zone.free_batch(std::size_t{1} << order, list.block.data(), n);
}

template <class Marks>
std::size_t PageLists<Marks>::held_pages() const {
  std::size_t sum = 0;
  for (unsigned order = 0; order < kOrders; ++order)
    for (const List& list : lists_[order]) sum += std::size_t{list.count} << order;
  return sum;
}

template class PageLists<ForSlabs>;
template class PageLists<ForPageApi>;

}  // namespace bm::pcp
