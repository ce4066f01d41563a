// test_units.cc: page and pageblock numbers as types.  layer: tests
#include <catch2/catch.hpp>
#include <type_traits>

#include "base/units.h"

namespace bm {
namespace {

// The units must not meet by accident, nor appear from plain integers.
static_assert(!std::is_convertible_v<Pfn, BlockIndex> && !std::is_convertible_v<BlockIndex, Pfn>);
static_assert(!std::is_convertible_v<std::uint32_t, Pfn> && !std::is_convertible_v<Pfn, std::uint32_t>);
static_assert(!std::is_convertible_v<std::uint32_t, BlockIndex> && !std::is_convertible_v<BlockIndex, std::uint32_t>);
template <class A, class B>
concept Comparable = requires(A a, B b) {
  a < b;
};
static_assert(Comparable<Pfn, Pfn> && !Comparable<Pfn, BlockIndex> && !Comparable<Pfn, std::uint32_t>);
template <class A, class B>
concept Addable = requires(A a, B b) {
  a + b;
};
static_assert(Addable<Pfn, std::size_t> && !Addable<Pfn, Pfn> && !Addable<Pfn, BlockIndex>);

TEST_CASE("a page knows its pageblock and its offset there", "[units]") {
  for (const std::uint32_t n : {0U, 1U, 511U, 512U, 513U, 1023U, 1024U, 0xFFFFFFFFU}) {
    CHECK(Pfn{n}.block().value == n / 512);
    CHECK(Pfn{n}.offset() == n % 512);
    CHECK(first_pfn(Pfn{n}.block()) + Pfn{n}.offset() == Pfn{n});
  }
}

TEST_CASE("units are ordered and advance", "[units]") {
  CHECK(Pfn{3} < Pfn{4});
  CHECK(Pfn{3} + 5 == Pfn{8});
  CHECK(BlockIndex{2} + 1 == BlockIndex{3});
  CHECK(BlockIndex{2} != BlockIndex{3});
}

TEST_CASE("pages_for rounds up and does not overflow", "[units]") {
  CHECK(pages_for(0) == 0);
  CHECK(pages_for(1) == 1);
  CHECK(pages_for(4096) == 1);
  CHECK(pages_for(4097) == 2);
  CHECK(pages_for(SIZE_MAX) == std::size_t{1} << 52);
}

TEST_CASE("the geometry: a pageblock is one 2 MiB hugepage of 4 KiB pages", "[units]") {
  CHECK(kPageSize == 4096);
  CHECK(kPagesPerBlock * kPageSize == kPageblockSize);
  CHECK(kPageblockSize == 2 * 1024 * 1024);
}

}  // namespace
}  // namespace bm
