// test_zeroed.cc: zeroed blocks are zero, also where others have written before, and fresh ones cost no touch.
#include <catch2/catch.hpp>

#include <vector>

#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

namespace {

void* allocate_dirty(std::size_t bytes) {
  void* const p = allocate(bytes);
  if (p != nullptr) std::memset(p, 0xA5, heap::usable_size(p));
  return p;
}

}  // namespace

TEST_CASE("zeroed blocks are zero after any reuse", "[heap][zeroed]") {
  Random random(11);
  std::vector<void*> blocks(60, nullptr);
  std::size_t wrong = 0;
  for (int k = 0; k < 20'000; ++k) {
    void*& p = blocks[random.below(blocks.size())];
    deallocate(p);
    const std::size_t bytes = random_size(random, k % 16 == 0 ? 22 : 14);
    if (k % 2 == 0) {
      p = allocate_dirty(bytes);
      continue;
    }
    p = heap::allocate_zeroed(bytes);
    REQUIRE(p != nullptr);
    wrong += !all_zero(p, bytes);
    std::memset(p, 0x5A, heap::usable_size(p));
  }
  CHECK(wrong == 0);
  for (void* const p : blocks) deallocate(p);
  CHECK(heap::validate() == 0);
}

TEST_CASE("pages that were purged, and pages that were not, give zeroed runs", "[heap][zeroed]") {
  for (const bool purge : {false, true})
    for (const std::size_t bytes : {64ul << 10, kMiB, 3 * kMiB, 40 * kMiB}) {
      CAPTURE(purge, bytes);
      deallocate(allocate_dirty(bytes));
      if (purge) heap::trim(0);
      void* const p = heap::allocate_zeroed(bytes);
      CHECK(all_zero(p, bytes));
      deallocate(p);
    }
}

TEST_CASE("a shrunk run's tail is dirty for the next one", "[heap][zeroed]") {
  void* const p = allocate_dirty(16 * kMiB);
  REQUIRE(heap::reallocate(p, 5 * kMiB) == p);
  void* const q = heap::allocate_zeroed(11 * kMiB);
  CHECK(all_zero(q, 11 * kMiB));
  deallocate(p);
  deallocate(q);
}

TEST_CASE("a zeroed block of 1 GiB or more touches no page", "[heap][zeroed]") {
  for (const std::size_t bytes : {std::size_t{1} << 30, (std::size_t{1} << 30) + (std::size_t{5} << 20)}) {
    heap::trim(0);
    const std::size_t before = rss_bytes();
    auto* const p = static_cast<char*>(heap::allocate_zeroed(bytes));
    REQUIRE(p != nullptr);
    CHECK(rss_bytes() < before + kMiB);
    CHECK((p[0] == 0 && p[bytes / 2] == 0 && p[bytes - 1] == 0));
    deallocate(p);
  }
}
