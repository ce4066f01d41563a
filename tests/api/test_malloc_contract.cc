// test_malloc_contract.cc: malloc, free, calloc, realloc and reallocarray as C, POSIX and glibc define them.
// Covers API-1 to API-3 of lib/api/malloc_api.h.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>

#include <set>

#include "api/malloc_api.h"
#include "tests/api/test_support.h"

namespace api = bm::api;
using namespace bm::test;

TEST_CASE("calloc clears what a bin has had, and nothing of the neighbours", "[malloc_contract]") {
  for (std::size_t bytes = 1; bytes <= 300; ++bytes) {
    void* blocks[3];
    for (void*& block : blocks) std::memset(block = api::malloc(bytes), 0xA5, bytes);
    api::free(blocks[1]);
    auto* const fresh = static_cast<unsigned char*>(api::calloc(1, bytes));
    REQUIRE(fresh == blocks[1]);
    REQUIRE(std::all_of(fresh, fresh + bytes, [](unsigned char c) { return c == 0; }));
    for (void* const block : {blocks[0], blocks[2]}) {
      auto* const whole = static_cast<unsigned char*>(block);
      REQUIRE(std::all_of(whole, whole + bytes, [](unsigned char c) { return c == 0xA5; }));
    }
    for (void* const block : blocks) api::free(block);
  }
}

TEST_CASE("API-3: every size, zero included, gives a writable block of its own, aligned to 16", "[api]") {
  std::set<void*> blocks;
  for (std::size_t size = 0; size <= 3000; size += size < 200 ? 1 : 37) {
    void* block = nullptr;
    CHECK(errno_after([&] { block = api::malloc(size); }) == kUntouched);
    REQUIRE(block != nullptr);
    CHECK(aligned(block, 16));
    CHECK(api::malloc_usable_size(block) >= size);
    std::memset(block, 0xa5, size);
    CHECK(blocks.insert(block).second);
  }
  for (void* block : blocks) api::free(block);
}

TEST_CASE("API-1: sizes above PTRDIFF_MAX fail with ENOMEM", "[api]") {
  for (const std::size_t size : {std::size_t{PTRDIFF_MAX} + 1, SIZE_MAX - 4096, SIZE_MAX}) {
    const std::size_t n = hidden(size);
    void* block = &block;
    CHECK(errno_after([&] { block = api::malloc(n); }) == ENOMEM);
    CHECK(block == nullptr);
    CHECK(errno_after([&] { block = api::calloc(1, n); }) == ENOMEM);
    CHECK(block == nullptr);
    CHECK(errno_after([&] { block = api::realloc(nullptr, n); }) == ENOMEM);
    CHECK(block == nullptr);
  }
}

TEST_CASE("API-2: free keeps errno, of a block and of null", "[api]") {
  for (const std::size_t size : {0u, 24u, 5000u, 300000u, 40000000u}) {
    void* block = api::malloc(size);
    REQUIRE(block != nullptr);
    CHECK(errno_after([&] { api::free(block); }) == kUntouched);
  }
  CHECK(errno_after([] { api::free(nullptr); }) == kUntouched);
}

TEST_CASE("calloc clears memory that was used before", "[api]") {
  for (const std::size_t size : {1u, 24u, 1000u, 9000u, 200000u, 5000000u}) {
    void* dirty = api::malloc(size);
    REQUIRE(dirty != nullptr);
    std::memset(dirty, 0xff, size);
    api::free(dirty);
    void* block = nullptr;
    CHECK(errno_after([&] { block = api::calloc(size, 1); }) == kUntouched);
    REQUIRE(block != nullptr);
    CHECK(all_bytes_are(block, 0, size));
    api::free(block);
  }
}

TEST_CASE("calloc and reallocarray see a product that overflows", "[api]") {
  const std::size_t half = hidden(SIZE_MAX / 2);
  void* block = &block;
  CHECK(errno_after([&] { block = api::calloc(half, 3); }) == ENOMEM);
  CHECK(block == nullptr);
  void* old = api::malloc(10);
  std::memset(old, 7, 10);
  CHECK(errno_after([&] { block = api::reallocarray(old, half, 3); }) == ENOMEM);
  CHECK(block == nullptr);
  CHECK(all_bytes_are(old, 7, 10));
  api::free(old);
}

TEST_CASE("calloc of nothing gives a block", "[api]") {
  void* block = api::calloc(0, hidden(SIZE_MAX));
  CHECK(block != nullptr);
  api::free(block);
}

TEST_CASE("realloc of null is malloc, to zero is free", "[api]") {
  void* block = api::realloc(nullptr, 100);
  REQUIRE(block != nullptr);
  CHECK(errno_after([&] { block = api::realloc(block, 0); }) == kUntouched);
  CHECK(block == nullptr);
  block = api::realloc(nullptr, 0);
  CHECK(block != nullptr);
  api::free(block);
}

TEST_CASE("realloc keeps the contents up to the smaller size", "[api]") {
  std::size_t size = 1;
  auto* block = static_cast<unsigned char*>(api::malloc(size));
  REQUIRE(block != nullptr);
  block[0] = 0;
  for (const std::size_t next : {17u, 100u, 5000u, 4999u, 70000u, 3000000u, 9000000u, 80000u, 300u, 8u}) {
    CHECK(errno_after([&] { block = static_cast<unsigned char*>(api::realloc(block, next)); }) == kUntouched);
    REQUIRE(block != nullptr);
    CHECK(aligned(block, 16));
    CHECK(api::malloc_usable_size(block) >= next);
    const std::size_t kept = size < next ? size : next;
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kept; i++) wrong += block[i] != static_cast<unsigned char>(i * 7);
    CHECK(wrong == 0);
    for (std::size_t i = 0; i < next; i++) block[i] = static_cast<unsigned char>(i * 7);
    size = next;
  }
  api::free(block);
}

TEST_CASE("API-1: a realloc that fails leaves the block as it was", "[api]") {
  void* block = api::malloc(1000);
  std::memset(block, 0x5a, 1000);
  void* moved = &moved;
  CHECK(errno_after([&] { moved = api::realloc(block, hidden(PTRDIFF_MAX) - 100); }) == ENOMEM);
  CHECK(moved == nullptr);
  CHECK(all_bytes_are(block, 0x5a, 1000));
  api::free(block);
}

TEST_CASE("all of the usable size may be written and survives realloc", "[api]") {
  for (std::size_t size = 1; size < 40000; size = size * 3 + 1) {
    void* block = api::malloc(size);
    const std::size_t usable = api::malloc_usable_size(block);
    std::memset(block, 0x3c, usable);
    block = api::realloc(block, usable + 1);
    REQUIRE(block != nullptr);
    CHECK(all_bytes_are(block, 0x3c, usable));
    api::free(block);
  }
  CHECK(api::malloc_usable_size(nullptr) == 0);
}
