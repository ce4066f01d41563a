// naive_zone.h: the policy of pages::Zone over one section, done page by page with nothing derived or indexed.  layer: tests
// Placement as zone.h and zone.cc specify it: own type by smallest sufficient largest order, then lowest pageblock, in it
// the smallest sufficient block, then the lowest; a whole-free pageblock of any type; a fresh one; another type's.
#pragma once

#include <optional>
#include <vector>

#include "base/bits.h"
#include "base/units.h"
#include "pages/migratetype.h"

namespace bm::test {

class NaiveZone {
 public:
  using Type = pages::Migratetype;
  NaiveZone(std::size_t limit_blocks, std::size_t base_block) : limit_(limit_blocks), base_(base_block) {}

  std::optional<std::size_t> alloc(std::size_t pages, Type type, unsigned align_order, bool growing);
  // As many single allocations, but staying with a pageblock as far as it lasts.
  std::vector<std::size_t> alloc_batch(std::size_t pages, Type type, std::size_t count);
  void free(std::size_t first, std::size_t pages) { mark(first, pages, true); }
  bool extend(std::size_t first, std::size_t old_pages, std::size_t new_pages);

  std::size_t opened() const { return blocks_.size(); }
  bool is_free(std::size_t page) const { return free_[page]; }
  Type type(std::size_t block) const { return blocks_[block].type; }
  std::size_t free_pages() const;
  std::size_t claimed = 0, stolen = 0;
  // Free blocks of exactly an order inside one pageblock.
  std::size_t count_blocks(std::size_t block, unsigned order) const;

 private:
  struct Block {
    Type type;
    int largest;
    std::size_t free;
  };
  static constexpr std::size_t kPages = kPagesPerBlock;
  bool all_free(std::size_t first, std::size_t pages) const;
  bool whole(std::size_t b) const { return blocks_[b].free == kPages; }
  void mark(std::size_t first, std::size_t pages, bool free);
  void open(std::size_t blocks, Type type);
  std::optional<std::size_t> find_block(unsigned order, Type type);
  std::size_t place(std::size_t block, unsigned order, std::size_t pages);
  std::optional<std::size_t> find_run(std::size_t blocks);
  std::optional<std::size_t> lowest(Type type, int largest) const;
  std::size_t limit_, base_;
  std::vector<char> free_;
  std::vector<Block> blocks_;
};

inline bool NaiveZone::all_free(std::size_t first, std::size_t pages) const {
  for (std::size_t i = first; i < first + pages; ++i)
    if (!free_[i]) return false;
  return true;
}

inline std::size_t NaiveZone::count_blocks(std::size_t block, unsigned order) const {
  std::size_t n = 0;
  const std::size_t size = std::size_t{1} << order;
  for (std::size_t at = block * kPages; at < (block + 1) * kPages; at += size)
    n += all_free(at, size) && (order == kPageblockOrder || !all_free(at & ~(2 * size - 1), 2 * size)) ? 1 : 0;
  return n;
}

inline std::size_t NaiveZone::free_pages() const {
  std::size_t n = 0;
  for (const char f : free_) n += f != 0 ? 1 : 0;
  return n;
}

inline void NaiveZone::mark(std::size_t first, std::size_t pages, bool free) {
  for (std::size_t i = first; i < first + pages; ++i) free_[i] = free;
  for (std::size_t b = first / kPages; b * kPages < first + pages; ++b) {
    Block& d = blocks_[b];
    d.free = 0;
    for (std::size_t i = 0; i < kPages; ++i) d.free += free_[b * kPages + i] != 0 ? 1 : 0;
    for (d.largest = kPageblockOrder; d.largest >= 0; --d.largest) {
      const std::size_t size = std::size_t{1} << d.largest;
      std::size_t at = 0;
      while (at < kPages && !all_free(b * kPages + at, size)) at += size;
      if (at < kPages) break;
    }
  }
}

inline void NaiveZone::open(std::size_t blocks, Type type) {
  const std::size_t first = opened();
  blocks_.resize(first + blocks, {type, -1, 0});
  free_.resize(opened() * kPages, 0);
  mark(first * kPages, blocks * kPages, true);
}

inline std::optional<std::size_t> NaiveZone::lowest(Type type, int largest) const {
  for (std::size_t b = 0; b < opened(); ++b)
    if (blocks_[b].type == type && blocks_[b].largest == largest) return b;
  return std::nullopt;
}

inline std::optional<std::size_t> NaiveZone::find_block(unsigned order, Type type) {
  constexpr int kTop = kPageblockOrder;
  for (int o = static_cast<int>(order); o <= kTop; ++o)
    if (const auto b = lowest(type, o)) return b;
  for (std::size_t b = 0; b < opened(); ++b)
    if (whole(b)) {
      blocks_[b].type = type;
      return b;
    }
  if (opened() < limit_) {
    open(1, type);
    return opened() - 1;
  }
  for (const Type from : pages::kFallbacks[pages::index(type)]) {
    std::optional<std::size_t> b;
    for (int o = kTop; o >= static_cast<int>(order) && !b; --o) b = lowest(from, o);
    if (!b) continue;
    if ((order >= 4 || type != Type::kMovable) && blocks_[*b].free >= kPages / 2) {
      blocks_[*b].type = type;
      ++claimed;
      return b;
    }
    ++stolen;
    for (int o = static_cast<int>(order);; ++o)
      if (const auto smallest = lowest(from, o)) return smallest;
  }
  return std::nullopt;
}

// The smallest sufficient block in a pageblock, then the lowest.
inline std::size_t NaiveZone::place(std::size_t block, unsigned order, std::size_t pages) {
  for (unsigned o = order;; ++o) {
    const std::size_t size = std::size_t{1} << o;
    for (std::size_t at = block * kPages; at < (block + 1) * kPages; at += size)
      if (all_free(at, size) && (o == kPageblockOrder || !all_free(at & ~(2 * size - 1), 2 * size))) {
        mark(at, pages, false);
        return at;
      }
  }
}

// Whole-free pageblocks: the lowest run, else the free end of what is opened and fresh ones behind it.
inline std::optional<std::size_t> NaiveZone::find_run(std::size_t blocks) {
  std::size_t n = 0;
  for (std::size_t b = 0; b < opened(); ++b) {
    n = whole(b) ? n + 1 : 0;
    if (n == blocks) return b + 1 - blocks;
  }
  if (blocks - n > limit_ - opened()) return std::nullopt;
  const std::size_t first = opened() - n;
  open(blocks - n, Type::kMovable);
  return first;
}

inline std::optional<std::size_t> NaiveZone::alloc(std::size_t pages, Type type, unsigned align_order, bool growing) {
  const unsigned order = std::max(ceil_order(pages), align_order);
  if (order > kPageblockOrder || growing) {
    const std::size_t blocks = (pages + kPages - 1) / kPages;
    const std::size_t align = align_order <= kPageblockOrder ? 1 : std::size_t{1} << (align_order - kPageblockOrder);
    auto first = find_run((growing ? 2 * blocks : blocks) + align - 1);
    if (!first && growing) first = find_run(blocks + align - 1);
    if (first) {
      while ((base_ + *first) % align != 0) ++*first;
      for (std::size_t b = *first; b < *first + blocks; ++b) blocks_[b].type = type;
      mark(*first * kPages, pages, false);
      return *first * kPages;
    }
    if (order > kPageblockOrder) return std::nullopt;
  }
  const auto b = find_block(order, type);
  if (!b) return std::nullopt;
  return place(*b, order, pages);
}

inline std::vector<std::size_t> NaiveZone::alloc_batch(std::size_t pages, Type type, std::size_t count) {
  const unsigned order = ceil_order(pages);
  std::vector<std::size_t> got;
  while (got.size() < count) {
    const auto b = find_block(order, type);
    if (!b) break;
    while (got.size() < count && blocks_[*b].largest >= static_cast<int>(order)) got.push_back(place(*b, order, pages));
  }
  return got;
}

inline bool NaiveZone::extend(std::size_t first, std::size_t old_pages, std::size_t new_pages) {
  const std::size_t from = first + old_pages, end = first + new_pages;
  const std::size_t blocks = (end + kPages - 1) / kPages;
  if (blocks > limit_) return false;
  for (std::size_t p = from; p < std::min(end, opened() * kPages); ++p)
    if (!free_[p]) return false;
  if (blocks > opened()) open(blocks - opened(), Type::kMovable);
  for (std::size_t b = from / kPages; b < blocks; ++b)
    if (whole(b)) blocks_[b].type = type(first / kPages);
  mark(from, end - from, false);
  return true;
}

}  // namespace bm::test
