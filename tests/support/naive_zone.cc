// naive_zone.cc: see naive_zone.h. Compiled with the pageblock order of each suite.  layer: tests
#include "support/naive_zone.h"

#include <algorithm>

#include "base/bits.h"

namespace bm::test {

template <class F>
bool NaiveZone::all(std::size_t first, std::size_t n, F f) const {
  return std::all_of(pages.begin() + std::ptrdiff_t(first), pages.begin() + std::ptrdiff_t(first + n), f);
}
bool NaiveZone::all_free(std::size_t first, std::size_t n) const {
  return all(first, n, [](Page p) { return p != Page::kUsed; });
}

std::size_t NaiveZone::opened() const {
  return std::size_t(std::count_if(blocks.begin(), blocks.end(), [](const Block& b) { return b.opened; }));
}
std::size_t NaiveZone::free_pages() const {
  std::size_t n = 0;
  for (const Block& b : blocks) n += b.opened ? b.free : 0;
  return n;
}
std::size_t NaiveZone::backed_free() const {  // what is not opened is clean
  return std::size_t(std::count(pages.begin(), pages.end(), Page::kDirty));
}

void NaiveZone::update(std::size_t block) {
  Block& d = blocks[block];
  const std::size_t first = block * kPages;
  d.free = 0;
  for (std::size_t i = first; i < first + kPages; ++i) d.free += is_free(i) ? 1 : 0;
  for (d.largest = kPageblockOrder; d.largest >= 0; --d.largest) {
    const std::size_t size = std::size_t{1} << d.largest;
    if (d.free < size) continue;
    std::size_t at = 0;
    while (at < kPages && !all_free(first + at, size)) at += size;
    if (at < kPages) break;
  }
}

NaiveZone::Run NaiveZone::mark(std::size_t first, std::size_t n, Page as) {
  const bool zeroed = all(first, n, [](Page p) { return p == Page::kClean; });
  std::fill_n(pages.begin() + std::ptrdiff_t(first), n, as);
  for (std::size_t b = first / kPages; b * kPages < first + n; ++b) update(b);
  return {first, zeroed};
}

std::size_t NaiveZone::count_blocks(std::size_t block, unsigned order) const {
  std::size_t n = 0;
  const std::size_t size = std::size_t{1} << order;
  for (std::size_t at = block * kPages; at < (block + 1) * kPages; at += size)
    n += all_free(at, size) && (order == kPageblockOrder || !all_free(at & ~(2 * size - 1), 2 * size)) ? 1 : 0;
  return n;
}

void NaiveZone::open_in(Section& s, std::size_t count, Type type) {
  for (; count != 0; --count) {
    const std::size_t b = s.first + s.opened++;
    blocks[b].type = type;
    blocks[b].opened = true;
    update(b);
  }
}

std::optional<std::size_t> NaiveZone::open(std::size_t count, Type type) {
  for (Section& s : sections) {
    const std::size_t first = s.first + s.opened;
    if (!os_opens || s.blocks - s.opened < count) continue;
    open_in(s, count, type);
    return first;
  }
  return std::nullopt;
}

std::optional<std::size_t> NaiveZone::reserve() const {
  for (std::size_t b = 0; b < blocks.size(); ++b)
    if (blocks[b].type == Type::kHighAtomic) return b;
  return std::nullopt;
}

// Its backed pages are those that are not clean.
std::size_t NaiveZone::reserved() const {
  const auto b = reserve();
  if (!b) return 0;
  const auto first = pages.begin() + std::ptrdiff_t(*b * kPages);
  return kPages - std::size_t(std::count(first, first + kPages, Page::kClean));
}

void NaiveZone::fill_reserve() {
  if (!keeps_reserve) return;
  auto b = reserve();
  if (!b && (opened() < 2 || !(b = open(1, Type::kHighAtomic)))) return;
  const std::size_t used = opened() * kPages - free_pages();
  const std::size_t wanted = std::clamp(used / 100, kReserveLeast, kReserveMost);
  if (!os_populates) return;
  for (std::size_t i = reserved(); i < wanted; ++i) pages[*b * kPages + i] = Page::kDirty;
}

std::optional<std::size_t> NaiveZone::lowest(Type type, int largest) const {
  for (std::size_t b = 0; b < blocks.size(); ++b)
    if (blocks[b].opened && blocks[b].type == type && blocks[b].largest == largest) return b;
  return std::nullopt;
}

std::optional<std::size_t> NaiveZone::smallest(Type type, unsigned order) const {
  for (int o = static_cast<int>(order); o <= static_cast<int>(kPageblockOrder); ++o)
    if (const auto b = lowest(type, o)) return b;
  return std::nullopt;
}

std::optional<std::size_t> NaiveZone::find_block(unsigned order, Type type, Request request) {
  if (const auto b = smallest(type, order)) return b;
  if (request == Request::kRelocatable)
    if (const auto b = smallest(Type::kCma, order)) return b;
  for (std::size_t b = 0; b < blocks.size(); ++b)
    if (pcp_whole(b)) {
      blocks[b].type = type;
      return b;
    }
  if (const auto b = open(1, type)) {
    fill_reserve();
    return b;
  }
  for (const Type from : pages::kFallbacks[pages::index(type)]) {
    std::optional<std::size_t> b;
    for (int o = kPageblockOrder; o >= static_cast<int>(order) && !b; --o) b = lowest(from, o);
    if (!b) continue;
    if ((order >= kPageblockOrder / 2 || type != Type::kMovable) && blocks[*b].free >= kPages / 2) {
      blocks[*b].type = type;
      ++mixing.claimed[pages::index(from)][pages::index(type)];
      return b;
    }
    ++mixing.stolen[pages::index(from)][pages::index(type)];
    return smallest(from, order);
  }
  return std::nullopt;
}

// The smallest sufficient block of usable pages in a pageblock, then the lowest.
template <class F>
std::optional<std::size_t> NaiveZone::best_fit(std::size_t block, unsigned order, F usable) const {
  for (unsigned o = order; o <= kPageblockOrder; ++o) {
    const std::size_t size = std::size_t{1} << o;
    for (std::size_t at = block * kPages; at < (block + 1) * kPages; at += size)
      if (all(at, size, usable) && (o == kPageblockOrder || !all(at & ~(2 * size - 1), 2 * size, usable))) return at;
  }
  return std::nullopt;
}

NaiveZone::Run NaiveZone::place(std::size_t block, unsigned order, std::size_t n, bool snug) {
  const std::size_t at = *best_fit(block, order, [](Page p) { return p != Page::kUsed; });
  return mark(snug ? moved_down(at, blocks[block].type) : at, n, Page::kUsed);
}

std::optional<NaiveZone::Run> NaiveZone::from_reserve(std::size_t n, unsigned order, Request request) {
  const auto b = reserve();
  if (!b || order > kPageblockOrder) return std::nullopt;
  const auto first = pages.begin() + std::ptrdiff_t(*b * kPages);
  const auto left = std::size_t(std::count(first, first + kPages, Page::kDirty));
  if (left < n + (request == Request::kCritical ? 0 : kReserveLeast)) return std::nullopt;
  const auto at = best_fit(*b, order, [](Page p) { return p == Page::kDirty; });
  if (!at) return std::nullopt;
  return mark(*at, n, Page::kUsed);
}

// The reserve, then the lowest pageblock with a block of dirty pages that is large enough.
std::optional<NaiveZone::Run> NaiveZone::from_backed(std::size_t n, unsigned order, Type type) {
  if (const auto run = from_reserve(n, order, Request::kCritical)) return run;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    if (!blocks[b].opened || !is_pcp_type(blocks[b].type)) continue;
    const auto at = best_fit(b, order, [](Page p) { return p == Page::kDirty; });
    if (!at) continue;
    if (pcp_whole(b)) blocks[b].type = type;
    return mark(*at, n, Page::kUsed);
  }
  return std::nullopt;
}

// Whole-free pageblocks that are opened: the lowest run.
std::optional<std::size_t> NaiveZone::opened_run(std::size_t count) const {
  std::size_t n = 0;
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    n = pcp_whole(b) ? n + 1 : 0;
    if (n == count) return b + 1 - count;
  }
  return std::nullopt;
}

// The same, else the free end of what is opened in a section and fresh ones behind it.
std::optional<std::size_t> NaiveZone::find_run(std::size_t count) {
  if (const auto first = opened_run(count)) return first;
  for (Section& s : sections) {
    std::size_t behind = 0;
    while (behind < s.opened && pcp_whole(s.first + s.opened - behind - 1)) ++behind;
    if (!os_opens || behind == 0 || count - behind > s.blocks - s.opened) continue;
    const std::size_t first = s.first + s.opened - behind;
    open_in(s, count - behind, Type::kMovable);
    return first;
  }
  return open(count, Type::kMovable);
}

// With twice as many before it as are in use, up to 32; for these nothing is opened when more is free than in use.
std::optional<std::size_t> NaiveZone::find_run_after_lead(std::size_t count) {
  const std::size_t used = opened() * kPages - free_pages();
  const std::size_t lead = std::min<std::size_t>(2 * used / kPages, 32);
  const auto first = used < free_pages() ? opened_run(lead + count) : find_run(lead + count);
  if (!first) return std::nullopt;
  return *first + lead;
}

std::size_t NaiveZone::aligned(std::size_t block, std::size_t blocks_alignment) const {
  for (const Section& s : sections)
    if (block >= s.first && block < s.first + s.blocks)
      while ((s.base + block - s.first) % blocks_alignment != 0) ++block;
  return block;
}

std::optional<NaiveZone::Run> NaiveZone::alloc(std::size_t n, Type type, unsigned align_order,
                                               pages::Placement placement, Request request) {
  const unsigned order = std::max(ceil_order(n), align_order);  // what is aligned is packed
  const bool growing = placement == pages::Placement::kGrowing && align_order == 0;
  const bool snug = placement == pages::Placement::kSnug && align_order == 0;
  if (growing) {
    std::optional<std::size_t> at = hole(2 * n, type);
    const bool is_long = n >= kPages / 4 && n < kPages;
    for (const std::size_t room : {8 * kPages, 2 * n}) {
      if (at || !is_long) break;
      const auto start = among_whole(room, type);
      const auto backed = [](Page p) { return p == Page::kDirty; };
      if (start && std::all_of(&pages[*start], &pages[*start] + 2 * n, backed)) at = start;
    }
    if (!at) at = hole(n + n / 8, type);
    if (!at) at = hole(n, type);
    if (at) {
      for (std::size_t k = *at / kPages; k * kPages < *at + n; ++k)
        if (whole(k)) blocks[k].type = type;
      return mark(*at, n, Page::kUsed);
    }
  }
  if (order > kPageblockOrder || growing) {
    const std::size_t count = (n + kPages - 1) / kPages;
    const std::size_t align = align_order <= kPageblockOrder ? 1 : std::size_t{1} << (align_order - kPageblockOrder);
    std::optional<std::size_t> page;
    if (snug) page = hole(n, type);
    if (snug && !page) page = among_whole(n, type);
    if (!page) {
      auto first = growing && n >= kPages ? find_run_after_lead(2 * count) : std::nullopt;
      if (!first) first = find_run((growing ? 2 * count : count) + align - 1);
      if (!first && growing) first = find_run(count + align - 1);
      if (first) page = aligned(*first, align) * kPages;
      if (first && (snug || (growing && n < kPages))) page = moved_down(*page, type);
    }
    if (page) {
      for (std::size_t k = *page / kPages; k * kPages < *page + n; ++k)
        if (whole(k)) blocks[k].type = type;
      return mark(*page, n, Page::kUsed);
    }
    if (order > kPageblockOrder) return std::nullopt;
  }
  if (request == Request::kCritical)
    if (const auto run = from_backed(n, order, type)) return run;
  if (snug)
    if (const auto at = hole(n, type)) return mark(*at, n, Page::kUsed);
  const auto b = find_block(order, type, request);
  if (!b) return from_reserve(n, order, request);
  return place(*b, order, n, snug);
}

// Whether free pages there may be one run with those of a neighbour.
bool NaiveZone::joins(std::size_t b, Type type) const {
  return b < blocks.size() && is_pcp_type(type) && blocks[b].opened && blocks[b].type == type && !whole(b);
}

// As long as the page before is free too, and in the pageblock or the one below it.
std::size_t NaiveZone::moved_down(std::size_t page, Type type) const {
  const std::size_t b = page / kPages;
  const auto in_reach = [&](std::size_t other) { return other == b || (other + 1 == b && joins(other, type)); };
  while (page != 0 && is_free(page - 1) && in_reach((page - 1) / kPages)) --page;
  return page;
}

// Behind the free pages that begin at `page`, in its pageblock `b` and the one above.
std::size_t NaiveZone::moved_up(std::size_t page, std::size_t b, Type type) const {
  while (page < pages.size() && is_free(page) && (page / kPages == b || (page / kPages == b + 1 && joins(b + 1, type))))
    ++page;
  return page;
}

// The smallest largest order first, then the lowest pageblock, then the lowest free run that is long enough. It is looked for in the
// pageblock that has the longer part of it: 2^k pages, aligned, are in any run of 2^(k+1) - 1, and in one of 2^k at a pageblock's edge.
std::optional<std::size_t> NaiveZone::hole(std::size_t n, Type type) const {
  int least = 0;
  while ((std::size_t{4} << least) - 1 <= n) ++least;
  for (int o = least; o < static_cast<int>(kPageblockOrder); ++o)
    for (std::size_t b = 0, tries = 0; b < blocks.size() && tries < kTries; ++b) {
      if (!blocks[b].opened || blocks[b].type != type || blocks[b].largest != o) continue;
      ++tries;
      for (std::size_t page = b * kPages; page < (b + 1) * kPages; ++page) {
        if (!is_free(page)) continue;
        const std::size_t start = moved_down(page, type);
        page = moved_up(page, b, type);
        if (page - start >= n) return start;
      }
    }
  return std::nullopt;
}

// Whole-free pageblocks side by side, and what is free before and behind them.
std::optional<std::size_t> NaiveZone::among_whole(std::size_t n, Type type) const {
  for (std::size_t b = 0, tries = 0; b < blocks.size() && tries < kTries; ++b) {
    if (!pcp_whole(b)) continue;
    ++tries;
    const std::size_t start = moved_down(b * kPages, type);
    std::size_t end = b;
    while (pcp_whole(end) && (end - b) * kPages < n) ++end;
    if (moved_up(end * kPages, end - 1, type) - start >= n) return start;
    b = end;
  }
  return std::nullopt;
}

std::vector<NaiveZone::Run> NaiveZone::alloc_batch(std::size_t n, Type type, std::size_t count) {
  const unsigned order = ceil_order(n);
  const bool snug = n != std::size_t{1} << order;
  std::vector<Run> got;
  while (got.size() < count) {
    if (snug)
      if (const auto at = hole(n, type)) {
        got.push_back(mark(*at, n, Page::kUsed));
        continue;
      }
    const auto b = find_block(order, type, Request::kNormal);
    if (!b) {
      if (got.empty())
        if (const auto run = from_reserve(n, order, Request::kNormal)) got.push_back(*run);
      break;
    }
    do got.push_back(place(*b, order, n, snug));
    while (!snug && got.size() < count && blocks[*b].largest >= static_cast<int>(order));
  }
  return got;
}

bool NaiveZone::extend(std::size_t first, std::size_t old_pages, std::size_t new_pages) {
  const std::size_t from = first + old_pages, end = first + new_pages;
  Section* s = sections.data();
  while (first / kPages >= s->first + s->blocks) ++s;
  const std::size_t upto = (end + kPages - 1) / kPages;  // pageblock
  if (upto > s->first + s->blocks) return false;
  for (std::size_t p = from; p < end && p / kPages < s->first + s->opened; ++p)
    if (!is_free(p) || !is_pcp_type(blocks[p / kPages].type)) return false;
  if (upto > s->first + s->opened) {
    if (!os_opens) return false;
    open_in(*s, upto - (s->first + s->opened), Type::kMovable);
  }
  const Type type = blocks[first / kPages].type;
  for (std::size_t b = from / kPages; b < upto; ++b)
    if (is_pcp_type(type) && whole(b)) blocks[b].type = type;
  mark(from, end - from, Page::kUsed);
  return true;
}

bool NaiveZone::isolate(std::size_t first, std::size_t count) {
  for (std::size_t b = first; b < first + count; ++b)
    if (b >= blocks.size() || !blocks[b].opened || blocks[b].type == Type::kIsolate ||
        blocks[b].type == Type::kHighAtomic)
      return false;
  for (std::size_t b = first; b < first + count; ++b) blocks[b].before = std::exchange(blocks[b].type, Type::kIsolate);
  return true;
}

void NaiveZone::unisolate(std::size_t first, std::size_t count) {
  for (std::size_t b = first; b < first + count; ++b)
    if (blocks[b].type == Type::kIsolate) blocks[b].type = blocks[b].before;
}

std::optional<std::size_t> NaiveZone::make_cma(std::size_t count) {
  if (count == 0) return std::nullopt;
  const auto wide = find_run(count + 1);
  if (!wide) return std::nullopt;
  const std::size_t first = aligned(*wide, 2);
  for (std::size_t b = first; b < first + count; ++b) blocks[b].type = Type::kCma;
  return first;
}

bool NaiveZone::release_cma(std::size_t first, std::size_t count) {
  for (std::size_t b = first; b < first + count; ++b)
    if (blocks[b].type != Type::kCma || !whole(b)) return false;
  for (std::size_t b = first; b < first + count; ++b) blocks[b].type = Type::kMovable;
  return true;
}

std::optional<NaiveZone::Run> NaiveZone::take(std::size_t first, std::size_t n) {
  for (std::size_t p = first; p < first + n; ++p)
    if ((blocks[p / kPages].type != Type::kCma && blocks[p / kPages].type != Type::kIsolate) || !is_free(p))
      return std::nullopt;
  return mark(first, n, Page::kUsed);
}

bool NaiveZone::purgeable(std::size_t b) const {
  if (b >= blocks.size() || !whole(b) || blocks[b].type == Type::kIsolate || blocks[b].type == Type::kHighAtomic)
    return false;
  return !all(b * kPages, kPages, [](Page p) { return p == Page::kClean; });
}

// The highest pageblocks first, up to 32 adjacent ones at a time.
std::size_t NaiveZone::purge(std::size_t keep_pages, bool holes) {
  const std::size_t before = backed_free();
  const auto clean = [this](std::size_t page) {
    if (pages[page] == Page::kDirty) pages[page] = Page::kClean;
  };
  if (!os_purges) return 0;
  for (std::size_t b = blocks.size(); b-- != 0;)
    if (backed_free() > keep_pages && purgeable(b)) {
      const std::size_t most = std::min<std::size_t>((backed_free() - keep_pages + kPages - 1) / kPages, 32);
      for (std::size_t n = 0; n < most && purgeable(b - n); ++n)
        for (std::size_t i = 0; i < kPages; ++i) clean((b - n) * kPages + i);
    }
  if (holes && backed_free() > keep_pages)
    for (std::size_t b = 0; b < std::min(small_blocks, blocks.size()); ++b)
      if (!whole(b)) purge_holes(b);
  return before - backed_free();
}

void NaiveZone::purge_slack() {
  if (!os_purges) return;
  bool any = false;
  for (std::size_t b = 0; b < blocks.size(); ++b)
    if (purgeable(b)) {
      std::fill_n(pages.begin() + std::ptrdiff_t(b * kPages), kPages, Page::kClean);
      any = true;
    }
  for (std::size_t b = 0; any && b < std::min(small_blocks, blocks.size()); ++b)
    if (!whole(b) && holes(b) >= std::max<std::size_t>(kPages / 8, 1)) purge_holes(b);
}

std::size_t NaiveZone::holes(std::size_t b) const {
  const auto first = pages.begin() + std::ptrdiff_t(b * kPages);
  return std::size_t(std::count(first, first + std::ptrdiff_t(kPages), Page::kDirty));
}

void NaiveZone::purge_holes(std::size_t b) {
  if (blocks[b].type == Type::kIsolate || blocks[b].type == Type::kHighAtomic) return;
  const auto first = pages.begin() + std::ptrdiff_t(b * kPages);
  std::replace(first, first + std::ptrdiff_t(kPages), Page::kDirty, Page::kClean);
}

}  // namespace bm::test
