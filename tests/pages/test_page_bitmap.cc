// test_page_bitmap.cc: the buddy formulas on one pageblock against loops over single pages.  layer: tests
#include "pages/page_bitmap.h"

#include <algorithm>
#include <bitset>
#include <catch2/catch.hpp>

#include "support/random.h"

namespace bm::pages {
namespace {

using Naive = std::bitset<kPagesPerBlock>;
using test::Random;

bool free_at(const Naive& n, std::size_t first, unsigned order) {
  for (std::size_t i = 0; i < std::size_t{1} << order; ++i)
    if (!n[first + i]) return false;
  return true;
}

// A free block of exactly this order: free, and its parent is not.
bool block_at(const Naive& n, std::size_t first, unsigned order) {
  if (first % (std::size_t{1} << order) != 0 || !free_at(n, first, order)) return false;
  return order == kPageblockOrder || !free_at(n, first & ~((std::size_t{2} << order) - 1), order + 1);
}

// By density of free pages and by scattered buddy blocks, so that every order occurs.
Naive random_map(Random& random) {
  Naive n;
  const std::size_t rarity = random.between(1, 40);
  if (random.one_in(2)) n.set();
  for (std::size_t i = random.below(kPagesPerBlock); i != 0; --i) {
    const unsigned order = static_cast<unsigned>(random.below(kPageblockOrder + 1));
    const std::size_t at = random.below(kPagesPerBlock) & ~((std::size_t{1} << order) - 1);
    if (!random.one_in(rarity)) continue;
    for (std::size_t k = 0; k < std::size_t{1} << order; ++k) n.flip(at + k);
  }
  return n;
}

PageBitmap from(const Naive& n) {
  PageBitmap b;
  for (std::size_t i = 0; i < kPagesPerBlock; ++i)
    if (n[i]) b.word[i / 64] |= std::uint64_t{1} << (i % 64);
  return b;
}

TEST_CASE("largest_order, best_fit, best_blocks, merged_order and count_blocks on random maps", "[page_bitmap]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random;
  std::size_t seen[kPageblockOrder + 2] = {};
  for (int round = 0; round < 4000; ++round) {
    Naive naive = random_map(random);
    if (round == 0) naive.reset();
    if (round == 1) naive.set();
    const PageBitmap map = from(naive);
    std::size_t counts[kPageblockOrder + 1] = {}, naive_counts[kPageblockOrder + 1] = {};
    std::size_t lowest[kPageblockOrder + 1];
    int largest = -1;
    for (unsigned o = 0; o <= kPageblockOrder; ++o)
      for (std::size_t at = kPagesPerBlock; at-- != 0;)
        if (block_at(naive, at, o)) ++naive_counts[o], lowest[o] = at, largest = static_cast<int>(o);
    ++seen[largest + 1];
    REQUIRE(map.largest_order() == largest);
    map.count_blocks(counts);
    REQUIRE(std::equal(counts, counts + kPageblockOrder + 1, naive_counts));
    for (int o = 0; o <= largest; ++o) {
      auto k = static_cast<unsigned>(o);
      while (naive_counts[k] == 0) ++k;  // the smallest that suffices, then the lowest address
      REQUIRE(map.best_fit(static_cast<unsigned>(o)) == lowest[k]);
      PageBitmap best;
      REQUIRE(map.best_blocks(static_cast<unsigned>(o), best) == k);
      REQUIRE(best.count() == naive_counts[k]);
      for (std::size_t at = 0; at < kPagesPerBlock; ++at) REQUIRE(best.any(at, 1) == block_at(naive, at, k));
    }
    for (unsigned o = 0; o <= kPageblockOrder; ++o) {
      const std::size_t at = random.below(kPagesPerBlock) & ~((std::size_t{1} << o) - 1);
      if (!free_at(naive, at, o)) continue;
      unsigned merged = o;
      while (!block_at(naive, at & ~((std::size_t{1} << merged) - 1), merged)) ++merged;
      REQUIRE(map.merged_order(at, o) == merged);
    }
  }
  for (unsigned o = 0; o <= kPageblockOrder + 1; ++o) CHECK(seen[o] != 0);  // -1..9 all occurred
}

TEST_CASE("count_blocks adds", "[page_bitmap]") {
  PageBitmap map;
  map.set(0, kPagesPerBlock);
  std::size_t counts[kPageblockOrder + 1] = {};
  map.count_blocks(counts);
  map.count_blocks(counts);
  CHECK(counts[kPageblockOrder] == 2);
}

TEST_CASE("set, clear, count, any and all over random ranges", "[page_bitmap]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random(1);
  Naive naive;
  PageBitmap map;
  for (int round = 0; round < 20000; ++round) {
    const std::size_t first = random.below(kPagesPerBlock);
    const std::size_t n = random.between(1, std::min(kPagesPerBlock - first, std::size_t{1} << random.below(10)));
    std::size_t ones = 0;
    for (std::size_t i = first; i < first + n; ++i) ones += naive[i] ? 1 : 0;
    REQUIRE(map.count(first, n) == ones);
    REQUIRE(map.any(first, n) == (ones != 0));
    REQUIRE(map.all(first, n) == (ones == n));
    REQUIRE(map.count() == naive.count());
    const bool value = random.one_in(2);
    for (std::size_t i = first; i < first + n; ++i) naive[i] = value;
    value ? map.set(first, n) : map.clear(first, n);
    REQUIRE(map.word == from(naive).word);
  }
}

TEST_CASE("for_runs: every set bit once, in runs that cannot be longer", "[page_bitmap]") {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    Naive naive;
    for (int k = 0; k < round % 7; ++k) {
      const std::size_t first = random.below(kPagesPerBlock);
      const std::size_t n = random.between(1, kPagesPerBlock - first);
      for (std::size_t i = first; i < first + n; ++i) naive[i] = random.one_in(2) || n > 100;
    }
    const PageBitmap map = from(naive);
    std::size_t behind = 0;  // of what has been seen; one clear bit must follow each run
    map.for_runs([&](std::size_t first, std::size_t n) {
      REQUIRE(n >= 1);
      REQUIRE(first + n <= kPagesPerBlock);
      for (std::size_t i = behind; i < first; ++i) REQUIRE_FALSE(naive[i]);
      for (std::size_t i = first; i < first + n; ++i) REQUIRE(naive[i]);
      REQUIRE((first == 0 || !naive[first - 1]));
      behind = first + n;
    });
    for (std::size_t i = behind; i < kPagesPerBlock; ++i) REQUIRE_FALSE(naive[i]);
  }
}

TEST_CASE("first_run: the lowest of so many set bits in a row", "[page_bitmap]") {
  Random random(4);
  for (int round = 0; round < 300; ++round) {
    const Naive naive = random_map(random);
    const PageBitmap map = from(naive);
    for (std::size_t n = 1; n <= kPagesPerBlock; n += random.between(1, 9)) {
      std::size_t found = kPagesPerBlock;
      for (std::size_t i = 0, row = 0; i < kPagesPerBlock && found == kPagesPerBlock; ++i) {
        row = naive[i] ? row + 1 : 0;
        if (row == n) found = i + 1 - n;
      }
      REQUIRE(map.first_run(n) == found);
    }
  }
  PageBitmap all;
  all.set(0, kPagesPerBlock);
  CHECK(all.first_run(kPagesPerBlock) == 0);
  CHECK(PageBitmap{}.first_run(1) == kPagesPerBlock);
}

TEST_CASE("run_before: where the set bits below a page begin", "[page_bitmap]") {
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    Naive naive;
    const std::size_t clear_in = random.between(1, 200);
    for (std::size_t i = 0; i < kPagesPerBlock; ++i) naive[i] = !random.one_in(clear_in);
    const PageBitmap map = from(naive);
    for (std::size_t end = 0; end <= kPagesPerBlock; ++end) {
      std::size_t first = end;
      while (first != 0 && naive[first - 1]) --first;
      REQUIRE(map.run_before(end) == first);
    }
  }
  PageBitmap all;
  all.set(0, kPagesPerBlock);
  CHECK(all.run_before(kPagesPerBlock) == 0);
}

}  // namespace
}  // namespace bm::pages
