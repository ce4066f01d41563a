// page_bitmap.h: one bit per page of a pageblock, and the buddy system that is implicit in it.  layer: pages
// Buddies are implicit in alignment: a free block of order o is an aligned run of 2^o set bits, and two set buddies ARE
// their merged parent; there is nothing to split or merge but bits.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "base/config.h"

namespace bm::pages {

struct alignas(kCacheLine) PageBitmap {
  static constexpr std::size_t kWords = (kPagesPerBlock + 63) / 64;
  static constexpr unsigned kWordOrder = 6;  // 64 pages per word
  // The bits of a word that stand for pages.
  static constexpr std::uint64_t kWordPages = bit_span(0, kPagesPerBlock < 64 ? kPagesPerBlock : 64);
  std::array<std::uint64_t, kWords> word{};

  // The five below take a range inside the block: first + n <= kPagesPerBlock, n >= 1.
  void set(std::size_t first, std::size_t n) {
    for_words(first, n, [this](std::size_t i, std::uint64_t m) { word[i] |= m; });
  }
  void clear(std::size_t first, std::size_t n) {
    for_words(first, n, [this](std::size_t i, std::uint64_t m) { word[i] &= ~m; });
  }
  std::size_t count(std::size_t first, std::size_t n) const {
    std::size_t sum = 0;
    for_words(first, n, [&](std::size_t i, std::uint64_t m) { sum += std::size_t(popcount(word[i] & m)); });
    return sum;
  }
  bool any(std::size_t first, std::size_t n) const {
    std::uint64_t seen = 0;
    for_words(first, n, [&](std::size_t i, std::uint64_t m) { seen |= word[i] & m; });
    return seen != 0;
  }
  bool all(std::size_t first, std::size_t n) const {
    std::uint64_t missing = 0;
    for_words(first, n, [&](std::size_t i, std::uint64_t m) { missing |= m & ~word[i]; });
    return missing == 0;
  }
  std::size_t count() const {
    std::size_t sum = 0;
    for (const std::uint64_t w : word) sum += std::size_t(popcount(w));
    return sum;
  }

  // Calls f(first, n) for each run of set bits that no longer one contains, in ascending order.
  template <class F>
  void for_runs(F f) const {
    for (std::size_t at = next(0, 0), end; at < kPagesPerBlock; at = next(end, 0)) {
      end = next(at, ~std::uint64_t{0});
      f(at, end - at);
    }
  }

  // The lowest page from which on n bits are set, 1 <= n <= kPagesPerBlock; kPagesPerBlock: there is none.
  std::size_t first_run(std::size_t n) const;

  // First of the set bits that end just below page `end`; `end` when there is none. 0 <= end <= kPagesPerBlock.
  std::size_t run_before(std::size_t end) const {
    for (std::size_t at = end; at != 0;) {
      const std::size_t below = (at - 1) % 64;
      const std::uint64_t clear = ~word[(at - 1) / 64] & bit_span(0, below + 1);
      if (clear != 0) return (at - 1) / 64 * 64 + highest_bit(clear) + 1;
      at -= below + 1;
    }
    return 0;
  }

  // Set bits from page `first` on, up to the first clear one. 0 <= first < kPagesPerBlock.
  std::size_t run_from(std::size_t first) const { return next(first, ~std::uint64_t{0}) - first; }

  // Order of the largest free block, -1 when no page is free.
  int largest_order() const;

  // Of the free block that holds the free, aligned block of 2^order pages at `first`.
  unsigned merged_order(std::size_t first, unsigned order) const;

  // The best free blocks for 2^order pages are the smallest that suffice. Returns their order; `first_pages` gets a bit for
  // the first page of each. Precondition: largest_order() >= order.
  unsigned best_blocks(unsigned order, PageBitmap& first_pages) const;
  // First page of the lowest of these.
  std::size_t best_fit(unsigned order) const;

  // Adds to counts[o] the free blocks of exactly order o (no free buddy), o = 0..kPageblockOrder.
  void count_blocks(std::size_t* counts) const;

 private:
  // The first page from `at` on whose bit is set, or clear when `flip` is all ones; kPagesPerBlock: none.
  std::size_t next(std::size_t at, std::uint64_t flip) const {
    for (std::size_t skip = at % 64; at < kPagesPerBlock; at += 64 - skip, skip = 0)
      if (const std::uint64_t w = (word[at / 64] ^ flip) >> skip; w != 0) {
        const std::size_t found = at + lowest_bit(w);
        return found < kPagesPerBlock ? found : kPagesPerBlock;
      }
    return kPagesPerBlock;
  }
  template <class F>
  static void for_words(std::size_t first, std::size_t n, F f) {
    std::size_t i = first / 64;
    std::size_t bit = first % 64;
    while (n != 0) {
      const std::size_t here = n < 64 - bit ? n : 64 - bit;
      f(i++, bit_span(bit, here));
      n -= here;
      bit = 0;
    }
  }
};

}  // namespace bm::pages
