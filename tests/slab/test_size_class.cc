// test_size_class.cc: the class table against the rules, for every size from 1 byte to 1 MiB.
#include <catch2/catch.hpp>

#include "slab/size_class.h"

using namespace bm;
using namespace bm::slab;

namespace {

// What an object of a class takes from its slab: its share of the unusable tail included.
std::size_t taken_by(const SizeClass& c) { return c.slab_bytes() / c.objects; }

}  // namespace

TEST_CASE("SC-1: class sizes are multiples of 16 and ascend strictly", "[slab][size_class]") {
  for (unsigned c = 0; c < kClasses; ++c) {
    CAPTURE(c);
    CHECK(kClass[c].size % 16 == 0);
    if (c != 0) CHECK(kClass[c].size > kClass[c - 1].size);
  }
  CHECK(kClass[0].size == 16);
  CHECK(kClass[kClasses - 1].size == kMaxClassSize);
}

TEST_CASE("every size gets the smallest class that holds it", "[slab][size_class]") {
  unsigned wrong = 0;
  unsigned smallest = 0;
  for (std::size_t n = 1; n <= kMaxClassSize; ++n) {
    while (kClass[smallest].size < n) ++smallest;
    if (class_of(n) != smallest && ++wrong < 5) UNSCOPED_INFO("size " << n << " class " << class_of(n));
  }
  CHECK(wrong == 0);
  CHECK(class_of(0) == 0);
}

TEST_CASE("SC-2: waste is at most 15 bytes up to 128, at most an eighth of what is taken above", "[slab][size_class]") {
  unsigned wrong = 0;
  for (std::size_t n = 1; n <= kMaxClassSize; ++n) {
    const SizeClass& c = kClass[class_of(n)];
    const bool ok = n <= 128 ? c.size - n <= 15 : (taken_by(c) - n) * 8 <= taken_by(c);
    if (!ok && ++wrong < 5) UNSCOPED_INFO("size " << n << " takes " << taken_by(c));
  }
  CHECK(wrong == 0);
}

TEST_CASE("SC-3: objects fit into their slab and every byte of one has its index", "[slab][size_class]") {
  for (unsigned k = 0; k < kSlabClasses; ++k) {
    const SizeClass& c = kClass[k];
    CAPTURE(k, c.size);
    CHECK_FALSE(c.is_run());
    CHECK(c.slab_bytes() == kPageSize << c.order);
    REQUIRE(c.objects >= 1);
    REQUIRE(c.objects <= kMaxObjects);
    REQUIRE(std::size_t{c.objects} * c.size <= c.slab_bytes());
    CHECK(std::size_t{c.objects + 1U} * c.size > c.slab_bytes());
    unsigned wrong = 0;
    for (std::size_t offset = 0; offset < std::size_t{c.objects} * c.size; ++offset)
      wrong += c.index_of(offset) != offset / c.size;
    CHECK(wrong == 0);
    // the tail belongs to no object
    if (c.slab_bytes() % c.size != 0) CHECK(c.index_of(c.slab_bytes() - 1) >= c.objects);
  }
}

// What a thread holds of classes that it seldom uses is mostly a slab of each: 9.1 MiB where large objects were cut from eight times
// their size at least.
TEST_CASE("a slab of each class is little", "[slab][size_class]") {
  std::size_t bytes = 0;
  for (unsigned k = 0; k < kSlabClasses; ++k) bytes += kClass[k].slab_bytes();
  CHECK(bytes <= std::size_t{6400} << 10);
}

TEST_CASE("run classes are whole pages and hold one object", "[slab][size_class]") {
  for (unsigned k = kSlabClasses; k < kClasses; ++k) {
    const SizeClass& c = kClass[k];
    CAPTURE(k, c.size);
    CHECK(c.is_run());
    CHECK(c.objects == 1);
    CHECK(c.slab_bytes() == c.size);
  }
}

TEST_CASE("aligned requests get the smallest class that is a multiple of the alignment", "[slab][size_class]") {
  for (std::size_t alignment = 1; alignment <= kPageSize; alignment *= 2) {
    unsigned wrong = 0;
    for (std::size_t n = 0; n <= kMaxClassSize + 2; n = n < 3000 ? n + 1 : n + 61) {
      unsigned expected = 0;
      while (expected < kClasses && (kClass[expected].size < n || kClass[expected].size % alignment != 0)) ++expected;
      if (class_of(n, alignment) != expected && ++wrong < 5) UNSCOPED_INFO(n << " at " << alignment);
    }
    CAPTURE(alignment);
    CHECK(wrong == 0);
  }
}

TEST_CASE("an aligned request that overflows or is too large has no class", "[slab][size_class]") {
  CHECK(class_of(SIZE_MAX, 4096) == kClasses);
  CHECK(class_of(SIZE_MAX - 14, 16) == kClasses);
  CHECK(class_of(kMaxClassSize + 1, 16) == kClasses);
  CHECK(class_of(kMaxClassSize, 4096) == kClasses - 1);
}
