// test_bits.cc: the bit formulas against naive ones.  layer: tests
#include <catch2/catch.hpp>

#include "base/bits.h"
#include "support/random.h"

namespace bm {
namespace {

using test::Random;

TEST_CASE("align_up and align_down are the nearest multiples", "[bits]") {
  for (std::size_t power = 1; power <= 64; power *= 2)
    for (std::size_t n = 0; n <= 200; ++n) {
      std::size_t up = n;
      while (up % power != 0) ++up;
      REQUIRE(align_up(n, power) == up);
      REQUIRE(align_down(n, power) == n - n % power);
    }
}

TEST_CASE("is_power_of_two", "[bits]") {
  CHECK_FALSE(is_power_of_two(0));
  CHECK(is_power_of_two(1));
  CHECK(is_power_of_two(std::size_t{1} << 63));
  for (const std::size_t n : {3U, 5U, 6U, 7U, 9U, 4095U, 4097U}) CHECK_FALSE(is_power_of_two(n));
}

TEST_CASE("ceil_order is the smallest sufficient order", "[bits]") {
  CHECK(ceil_order(0) == 0);
  for (std::size_t n = 1; n <= 5000; ++n) {
    unsigned naive = 0;
    while ((std::size_t{1} << naive) < n) ++naive;
    REQUIRE(ceil_order(n) == naive);
  }
  CHECK(ceil_order(std::size_t{1} << 63) == 63);
  CHECK(ceil_order((std::size_t{1} << 62) + 1) == 63);
}

TEST_CASE("popcount, lowest_bit and highest_bit agree with a loop over the bits", "[bits]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random;
  for (int round = 0; round < 2000; ++round) {
    std::uint64_t w = random.bits() >> random.below(64);
    if (round < 64) w = std::uint64_t{1} << round;
    if (round == 64) w = ~std::uint64_t{0};
    unsigned ones = 0, lowest = 64, highest = 0;
    for (unsigned i = 0; i < 64; ++i)
      if ((w >> i & 1) != 0) {
        ++ones;
        if (lowest == 64) lowest = i;
        highest = i;
      }
    REQUIRE(popcount(w) == ones);
    if (w == 0) continue;
    REQUIRE(lowest_bit(w) == lowest);
    REQUIRE(highest_bit(w) == highest);
  }
  CHECK(popcount(0) == 0);
}

TEST_CASE("bit_span: n ones from bit first on, and no others", "[bits]") {
  for (unsigned first = 0; first < 64; ++first)
    for (unsigned n = 1; first + n <= 64; ++n) {
      std::uint64_t naive = 0;
      for (unsigned i = first; i < first + n; ++i) naive |= std::uint64_t{1} << i;
      REQUIRE(bit_span(first, n) == naive);
    }
}

}  // namespace
}  // namespace bm
