// test_hinted.cc: a hint decides which bin serves a block, and nothing else.  layer: tests
#include <catch2/catch.hpp>

#include <thread>
#include <vector>

#include "tests/heap/check_heap.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;
using heap::Lifetime;

namespace {

bool is_twin(const void* p) {
  Pfn page;
  if (!heap::process.map.find(p, page)) return false;
  const std::uint32_t entry = heap::process.map.entry(page);
  return entry >= pages::kFirstOwnerEntry && (entry & heap::kOffsetMask) >= heap::bin_offset(slab::kTwins);
}
pages::Migratetype type_of(const void* p) {
  Pfn page;
  return heap::process.map.find(p, page) ? heap::process.map.block(page.block()).migratetype
                                         : pages::Migratetype::kIsolate;
}
void* hinted(std::size_t bytes, Lifetime lifetime, std::size_t alignment = kMinAlignment) {
  return heap::allocate_hinted(bytes, alignment, lifetime);
}

}  // namespace

TEST_CASE("the long-lived stay together and unmovable, however many they are; the short-lived drain",
          "[heap][hinted]") {
  const Ending e = in_child([] {
    BM_CHILD_REQUIRE(is_twin(hinted(100, Lifetime::kShort)));  // in a heap of any size
    for (int i = 0; i < 200'000; ++i) hinted(100, Lifetime::kLong);
    for (const std::size_t bytes : {100u, 1000u, 10'000u, 60'000u})
      for (int i = 0; i < 2000; ++i) {
        void* const stays = hinted(bytes, Lifetime::kLong);
        void* const drains = hinted(bytes, Lifetime::kShort);
        BM_CHILD_REQUIRE(!is_twin(stays));
        // Slabs that other tests left may be from when the heap was small, and movable.
        BM_CHILD_REQUIRE(i < 1000 || type_of(stays) == pages::Migratetype::kUnmovable);
        BM_CHILD_REQUIRE(is_twin(drains));
        BM_CHILD_REQUIRE(type_of(drains) == pages::Migratetype::kMovable);
      }
    return heap::validate() == 0;
  });
  INFO(e.text);
  CHECK(e.ok);
}

TEST_CASE("hinted blocks of every size and alignment are blocks like all others", "[heap][hinted]") {
  Random random(11);
  std::vector<void*> blocks;
  for (const Lifetime lifetime : {Lifetime::kLong, Lifetime::kShort})
    for (std::size_t bytes = 0; bytes < 3 * kMiB; bytes += 1 + bytes / 3)
      for (std::size_t alignment = 1; alignment <= 2 * kPageblockSize; alignment *= 4) {
        void* const p = hinted(bytes, lifetime, alignment);
        REQUIRE(p != nullptr);
        CHECK(aligned(p, std::max(alignment, kMinAlignment)));
        CHECK(heap::usable_size(p) >= bytes);
        CHECK(heap::owns(p));
        paint(p, bytes, blocks.size());
        CHECK(painted(p, bytes, blocks.size()));
        blocks.push_back(p);
        if (random.one_in(3)) blocks.back() = heap::reallocate(p, bytes + 100);
        REQUIRE(painted(blocks.back(), bytes, blocks.size() - 1));
        if (!random.one_in(4)) continue;
        deallocate(blocks.back());
        blocks.back() = nullptr;
      }
  std::thread([&] {
    for (void* const p : blocks) heap::deallocate_slow(p);
  }).join();
  CHECK(heap::validate() == 0);
  CHECK(broken_heap(*heap::current_heap()).empty());
}

TEST_CASE("a bin serves hinted requests before a slab does", "[heap][hinted]") {
  for (const Lifetime lifetime : {Lifetime::kLong, Lifetime::kShort}) {
    void* const p = hinted(3000, lifetime);
    deallocate(p);
    CHECK(hinted(3000, lifetime) == p);
    deallocate(p);
  }
}

TEST_CASE("a thread's first block may be a hinted one", "[heap][hinted][threads]") {
  for (const Lifetime lifetime : {Lifetime::kLong, Lifetime::kShort}) {
    bool right = false;
    std::thread([&] {
      void* const p = hinted(40, lifetime);
      right = p != nullptr && is_twin(p) == (lifetime == Lifetime::kShort);
      deallocate(p);
    }).join();
    CHECK(right);
  }
}

TEST_CASE("a hint makes nothing possible that is not", "[heap][hinted]") {
  CHECK(hinted(std::size_t{PTRDIFF_MAX} + 1, Lifetime::kLong) == nullptr);
  CHECK(hinted(std::size_t{1} << 62, Lifetime::kShort) == nullptr);
}
