// page_bitmap.cc: the buddy formulas over a pageblock's free map.  layer: pages
// A "level" k is the map of aligned all-free runs of 2^k pages, a bit at each run's first page: level k+1 is level k
// and-ed with itself shifted by 2^k, on aligned positions. Up to level 5 that stays inside words; level 6 and above
// are kept as one bit per word.
#include "pages/page_bitmap.h"

#include <algorithm>

namespace bm::pages {
namespace {

constexpr unsigned kWordOrder = PageBitmap::kWordOrder;
constexpr unsigned kLevelsInWord = kPageblockOrder < kWordOrder ? kPageblockOrder : kWordOrder;

// Positions that are multiples of 2^k.
constexpr std::array<std::uint64_t, kWordOrder + 1> kAligned = {
    ~std::uint64_t{0},     0x5555555555555555ULL, 0x1111111111111111ULL, 0x0101010101010101ULL,
    0x0001000100010001ULL, 0x0000000100000001ULL, 0x0000000000000001ULL,
};

using Words = std::array<std::uint64_t, PageBitmap::kWords>;

// Level k+1 from level k inside words, k < 6; false when it is empty.
bool next_level(Words& w, unsigned k) {
  std::uint64_t seen = 0;
  for (auto& x : w) {
    x &= (x >> (1U << k)) & kAligned[k + 1];
    seen |= x;
  }
  return seen != 0;
}

// One bit per word: bit 0 of a level-6 word.
std::uint64_t word_level(const Words& w) {
  std::uint64_t m = 0;
  for (std::size_t i = 0; i < w.size(); ++i) m |= (w[i] & 1) << i;
  return m;
}

// Level k+1 from level k in the one-bit-per-word form, k = 6..8.
std::uint64_t next_word_level(std::uint64_t m, unsigned k) {
  if (k < kWordOrder) __builtin_unreachable();  // clang's analyzer does not see it
  const unsigned step = k - kWordOrder;
  return m & (m >> (1U << step)) & kAligned[step + 1] & 0xFF;
}

// Runs of a level whose parent is not free: blocks of exactly that order. `shift` is their length in bits.
std::uint64_t without_parents(std::uint64_t level, std::uint64_t parents, unsigned shift) {
  return level & ~(parents | (parents << shift));
}

}  // namespace

// A bit stays where as many are set as were asked for so far, and the same number of steps further on: the number doubles.
std::size_t PageBitmap::first_run(std::size_t n) const {
  Words w = word;
  for (std::size_t have = 1, step = 1; have < n; have += step) {
    step = std::min(have, n - have);
    const std::size_t words = step / 64;
    const unsigned bits = step % 64;
    for (std::size_t i = 0; i < w.size(); ++i) {
      const std::size_t from = i + words;
      std::uint64_t ahead = from < w.size() ? w[from] >> bits : 0;
      if (bits != 0 && from + 1 < w.size()) ahead |= w[from + 1] << (64 - bits);
      w[i] &= ahead;
    }
  }
  for (std::size_t i = 0; i < w.size(); ++i)
    if (w[i] != 0) return i * 64 + lowest_bit(w[i]);
  return kPagesPerBlock;
}

int PageBitmap::largest_order() const {
  Words w = word;
  std::uint64_t any = 0;
  for (const std::uint64_t x : w) any |= x;
  if (any == 0) return -1;
  for (unsigned k = 0; k < kLevelsInWord; ++k)
    if (!next_level(w, k)) return static_cast<int>(k);
  std::uint64_t m = word_level(w);
  for (unsigned k = kLevelsInWord; k < kPageblockOrder; ++k) {
    m = next_word_level(m, k);
    if (m == 0) return static_cast<int>(k);
  }
  return static_cast<int>(kPageblockOrder);
}

unsigned PageBitmap::merged_order(std::size_t first, unsigned order) const {
  for (; order < kPageblockOrder; ++order) {
    const std::size_t pages = std::size_t{1} << order;
    if (!all(first ^ pages, pages)) break;
    first &= ~pages;
  }
  return order;
}

unsigned PageBitmap::best_blocks(unsigned order, PageBitmap& first_pages) const {
  Words w = word;
  unsigned k = 0;
  for (; k < order && k < kLevelsInWord; ++k) next_level(w, k);
  for (; k < kLevelsInWord; ++k) {
    Words parents = w;
    next_level(parents, k);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < w.size(); ++i) seen |= first_pages.word[i] = without_parents(w[i], parents[i], 1U << k);
    if (seen != 0) return k;
    w = parents;
  }
  std::uint64_t m = word_level(w);
  for (; k < order; ++k) m = next_word_level(m, k);
  for (; k < kPageblockOrder; ++k) {
    const std::uint64_t parents = next_word_level(m, k);
    const std::uint64_t exact = without_parents(m, parents, 1U << (k - kWordOrder));
    if (exact != 0) {
      m = exact;
      break;
    }
    m = parents;
  }
  for (std::size_t i = 0; i < w.size(); ++i) first_pages.word[i] = m >> i & 1;
  return k;
}

std::size_t PageBitmap::best_fit(unsigned order) const {
  PageBitmap best;
  best_blocks(order, best);
  std::size_t i = 0;
  while (best.word[i] == 0) ++i;
  return i * 64 + lowest_bit(best.word[i]);
}

void PageBitmap::count_blocks(std::size_t* counts) const {
  Words w = word;
  for (unsigned k = 0; k < kLevelsInWord; ++k) {
    Words parents = w;
    next_level(parents, k);
    for (std::size_t i = 0; i < w.size(); ++i)
      counts[k] += std::size_t(popcount(without_parents(w[i], parents[i], 1U << k)));
    w = parents;
  }
  std::uint64_t m = word_level(w);
  for (unsigned k = kLevelsInWord; k < kPageblockOrder; ++k) {
    const std::uint64_t parents = next_word_level(m, k);
    counts[k] += std::size_t(popcount(without_parents(m, parents, 1U << (k - kWordOrder))));
    m = parents;
  }
  counts[kPageblockOrder] += static_cast<std::size_t>(m & 1);
}

}  // namespace bm::pages
