// test_hints_api.cc: <buddymalloc/hints.h>: which hint leads where, and errno.  layer: tests
#include <catch2/catch.hpp>

#include <cstdint>
#include <new>
#include <vector>

#include "buddymalloc/hints.hpp"
#include "heap/thread_heap.h"
#include "test_support.h"

using namespace bm::test;

namespace {

bool is_twin(const void* p) {
  bm::Pfn page;
  REQUIRE(bm::heap::process.map.find(p, page));
  const std::size_t offset = bm::heap::process.map.entry(page) & bm::heap::kOffsetMask;
  return offset >= bm::heap::bin_offset(bm::slab::kTwins);
}

}  // namespace

TEST_CASE("each hint leads to its bin, aligned or not", "[api][hints]") {
  for (const bm_hint_t hint : {bm_hint_long_lived, bm_hint_short_lived}) {
    void *p = nullptr, *q = nullptr;
    CHECK(errno_after([&] { p = bm_malloc_hinted(100, hint); }) == kUntouched);
    CHECK(errno_after([&] { q = bm_aligned_alloc_hinted(256, 100, hint); }) == kUntouched);
    CHECK(is_twin(p) == (hint == bm_hint_short_lived));
    CHECK(is_twin(q) == (hint == bm_hint_short_lived));
    CHECK(reinterpret_cast<std::uintptr_t>(q) % 256 == 0);
    bm_free(p);
    bm_free(q);
  }
}

TEST_CASE("without a hint it is bm_malloc and bm_aligned_alloc", "[api][hints]") {
  void* const p = bm_malloc_hinted(0, bm_hint_none);
  void* const q = bm_aligned_alloc_hinted(64, 1, bm_hint_none);
  CHECK(bm_owns(p) == 1);
  CHECK(reinterpret_cast<std::uintptr_t>(q) % 64 == 0);
  bm_free(p);
  bm_free(q);
}

TEST_CASE("hints: errors are those of bm_malloc, and EINVAL for a hint that is none", "[api][hints]") {
  const std::size_t over = hidden(std::size_t{PTRDIFF_MAX} + 1), much = hidden(std::size_t{1} << 62);
  for (const bm_hint_t hint : {bm_hint_none, bm_hint_long_lived, bm_hint_short_lived}) {
    for (const std::size_t bytes : {over, much}) {
      CHECK(errno_after([&] { CHECK(bm_malloc_hinted(bytes, hint) == nullptr); }) == ENOMEM);
      CHECK(errno_after([&] { CHECK(bm_aligned_alloc_hinted(64, bytes, hint) == nullptr); }) == ENOMEM);
    }
    for (const std::size_t alignment : {std::size_t{0}, std::size_t{48}})
      CHECK(errno_after([&] { CHECK(bm_aligned_alloc_hinted(alignment, 1, hint) == nullptr); }) == EINVAL);
  }
  volatile int number = 3;
  const auto none_of_them = static_cast<bm_hint_t>(number);
  CHECK(errno_after([&] { CHECK(bm_malloc_hinted(1, none_of_them) == nullptr); }) == EINVAL);
  CHECK(errno_after([&] { CHECK(bm_aligned_alloc_hinted(16, 1, none_of_them) == nullptr); }) == EINVAL);
}

TEST_CASE("a container with a hint", "[api][hints]") {
  std::vector<int, buddymalloc::HintedAllocator<int, bm_hint_short_lived>> numbers;
  for (int i = 0; i < 1000; ++i) numbers.push_back(i);
  CHECK(numbers[999] == 999);
  CHECK(is_twin(numbers.data()));
  buddymalloc::HintedAllocator<long, bm_hint_long_lived> longs;
  CHECK_THROWS_AS(longs.allocate(hidden(SIZE_MAX / 8 + 2)), std::bad_alloc);  // the product is 8
  CHECK_THROWS_AS(longs.allocate(hidden(SIZE_MAX / 64)), std::bad_alloc);
}
