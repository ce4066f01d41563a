// test_aligned.cc: memalign, posix_memalign, valloc, pvalloc and the strict form, as glibc 2.36 has them.
// Covers API-1 and API-2 of lib/api/malloc_api.h for aligned blocks.
#include <catch2/catch.hpp>

#include "api/malloc_api.h"
#include "os/vm.h"
#include "tests/api/test_support.h"

namespace api = bm::api;
using namespace bm::test;

TEST_CASE("every power of two up to 8 MiB is honoured for every size", "[api][aligned]") {
  for (std::size_t alignment = 1; alignment <= (std::size_t{8} << 20); alignment *= 2) {
    for (const std::size_t size : {0u, 1u, 24u, 1000u, 4096u, 100000u}) {
      void* block = nullptr;
      CHECK(errno_after([&] { block = api::memalign(alignment, size); }) == kUntouched);
      REQUIRE(block != nullptr);
      CHECK(aligned(block, alignment));
      CHECK(aligned(block, 16));
      CHECK(api::malloc_usable_size(block) >= size);
      std::memset(block, 0x11, size);
      api::free(block);
    }
  }
}

TEST_CASE("memalign rounds an odd alignment up to a power of two", "[api][aligned]") {
  for (const std::size_t alignment : {0u, 3u, 24u, 48u, 65u, 4097u}) {
    void* block = api::memalign(alignment, 10);
    REQUIRE(block != nullptr);
    std::size_t rounded = 16;
    while (rounded < alignment) rounded *= 2;
    CHECK(aligned(block, rounded));
    api::free(block);
  }
}

TEST_CASE("API-1: memalign fails with EINVAL for no alignment at all, with ENOMEM for no memory", "[api][aligned]") {
  const std::size_t half = hidden(SIZE_MAX / 2);
  CHECK(errno_after([&] { CHECK(api::memalign(half + 2, 8) == nullptr); }) == EINVAL);
  CHECK(errno_after([&] { CHECK(api::memalign(half + 1, 8) == nullptr); }) == ENOMEM);
  CHECK(errno_after([&] { CHECK(api::memalign(4096, half * 2) == nullptr); }) == ENOMEM);
  CHECK(errno_after([&] { CHECK(api::memalign(16, half + 1) == nullptr); }) == ENOMEM);
}

TEST_CASE("the strict form refuses what is no power of two", "[api][aligned]") {
  for (const std::size_t alignment : {0u, 3u, 24u}) {
    CHECK(errno_after([&] { CHECK(api::aligned_alloc_strict(alignment, 8) == nullptr); }) == EINVAL);
  }
  void* block = api::aligned_alloc_strict(128, 8);
  CHECK(aligned(block, 128));
  api::free(block);
}

TEST_CASE("API-2: posix_memalign returns its code, leaves errno and, on failure, the pointer", "[api][aligned]") {
  void* block = &block;
  for (const std::size_t alignment : {0u, 1u, 2u, 4u, 12u, 24u}) {
    CHECK(errno_after([&] { CHECK(api::posix_memalign(&block, alignment, 8) == EINVAL); }) == kUntouched);
  }
  CHECK(errno_after([&] { CHECK(api::posix_memalign(&block, 64, hidden(SIZE_MAX)) == ENOMEM); }) == kUntouched);
  CHECK(block == &block);
  for (std::size_t alignment = sizeof(void*); alignment <= 65536; alignment *= 2) {
    CHECK(errno_after([&] { CHECK(api::posix_memalign(&block, alignment, 0) == 0); }) == kUntouched);
    REQUIRE(block != nullptr);
    CHECK(aligned(block, alignment));
    api::free(block);
  }
}

TEST_CASE("valloc aligns to the system's page, pvalloc rounds up to it too", "[api][aligned]") {
  const std::size_t page = bm::os::granule();
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, page, page + 1}) {
    void* block = api::valloc(size);
    REQUIRE(block != nullptr);
    CHECK(aligned(block, page));
    api::free(block);
    block = api::pvalloc(size);
    REQUIRE(block != nullptr);
    CHECK(aligned(block, page));
    CHECK(api::malloc_usable_size(block) >= (size + page - 1) / page * page);
    api::free(block);
  }
  CHECK(errno_after([] { CHECK(api::valloc(hidden(SIZE_MAX)) == nullptr); }) == ENOMEM);
  CHECK(errno_after([] { CHECK(api::pvalloc(hidden(SIZE_MAX)) == nullptr); }) == ENOMEM);
  CHECK(errno_after([&] { CHECK(api::pvalloc(hidden(SIZE_MAX) - page) == nullptr); }) == ENOMEM);
}

TEST_CASE("realloc of an aligned block keeps its contents", "[api][aligned]") {
  for (const std::size_t alignment : {64u, 4096u, 1u << 21}) {
    void* block = api::memalign(alignment, 1000);
    REQUIRE(block != nullptr);
    std::memset(block, 0x77, 1000);
    block = api::realloc(block, 100000);
    REQUIRE(block != nullptr);
    CHECK(all_bytes_are(block, 0x77, 1000));
    api::free(block);
  }
}
