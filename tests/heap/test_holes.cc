// test_holes.cc: what lies idle inside slabs and pageblocks goes back, and what describes nothing; when it counts as idle.  layer: tests
#include <catch2/catch.hpp>

#include <sys/mman.h>

#include <vector>

#include "heap/heap.h"
#include "heap/holes.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/survivors.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

bool in_memory(const void* at) {
  const auto page = reinterpret_cast<std::uintptr_t>(at) & ~(kPageSize - 1);
  return os::linux_vm.resident(reinterpret_cast<void*>(page), kPageSize) != 0;
}

// Of all slab descriptors so far.
std::size_t descriptor_bytes() {
  auto* const start = reinterpret_cast<char*>(&heap::process.slabs[0]);
  const std::size_t bytes = slab::SlabTable::bytes_for(heap::process.slabs.limit());
  std::size_t n = 0;
  for (std::size_t at = 0; at < bytes; at += kPageSize) n += os::linux_vm.resident(start + at, kPageSize);
  return n;
}

}  // namespace

TEST_CASE("trim leaves of slabs the pages that have something in use", "[heap][holes][native]") {
  for (const std::size_t bytes : {48u, 200u, 1500u}) {
    heap::trim(0);
    const std::size_t before = rss_bytes();
    const Survivors some(bytes, 96 * kMiB, 300);
    flush_own();
    heap::trim(0);
    INFO(bytes << " bytes, " << some.pages() << " pages");
    const std::size_t own = some.blocks.capacity() * sizeof(void*);
    CHECK(rss_bytes() < before + own + (some.pages() << kPageShift) + 12 * kMiB);
    CHECK(some.intact());
    CHECK(heap::validate() == 0);
    for (void* const p : some.blocks)
      if (p != nullptr) REQUIRE(in_memory(p));
    // What went back serves again.
    std::vector<void*> again(20'000);
    for (std::size_t i = 0; i < again.size(); ++i) paint(again[i] = allocate(bytes), bytes, i);
    for (std::size_t i = 0; i < again.size(); ++i) {
      REQUIRE(painted(again[i], bytes, i));
      deallocate(again[i]);
    }
    CHECK(some.intact());
  }
}

TEST_CASE("a hugepage with little idle stays whole, unless all has to go", "[heap][holes]") {
  heap::trim(0);
  constexpr std::size_t kBytes = 2000;
  Survivors most(kBytes, 160 * kMiB, 1);
  // Two pages' worth in each 400 KB, which on hugepages is far less than an eighth.
  for (std::size_t i = 0; i < most.blocks.size(); ++i)
    if (i % 200 < 6) deallocate(std::exchange(most.blocks[i], nullptr));
  flush_own();
  CHECK(heap::purge_holes(heap::kWorthSplitting) * kPageSize < 3 * kMiB / 2);  // of the part on small pages
  CHECK(heap::purge_holes(1) * kPageSize > kMiB);
  CHECK(most.intact());
}

TEST_CASE("a walk in pieces finds what a whole one does", "[heap][holes]") {
  heap::trim(0);
  const Survivors some(1500, 64 * kMiB, 300);
  flush_own();
  heap::HoleWalk walk;
  unsigned pieces = 1;
  while (heap::purge_holes(walk, 5, 1)) ++pieces;
  CHECK(pieces >= 64 * kMiB / kPageblockSize / 5);
  CHECK(walk.purged * kPageSize > 40 * kMiB);
  CHECK(heap::purge_holes(1) == 0);
  CHECK(some.intact());
}

// In MiB and seconds.
TEST_CASE("free objects are idle when nobody has wanted them for one to two periods", "[heap][holes]") {
  heap::IdleObjects idle;
  std::uint64_t now = 1'000'000;
  const auto look = [&](std::size_t free, std::uint64_t ms = 500, std::size_t opened = 400) {
    now += ms;
    return idle.note(now, free * kMiB, opened * kMiB);
  };
  const auto looks = [&](std::size_t free, int n) {  // the first that says so
    for (int i = 1; i <= n; ++i)
      if (look(free)) return i;
    return 0;
  };
  CHECK(looks(49, 10) == 0);  // less than an eighth
  CHECK_FALSE(idle.waiting());
  const int first = looks(60, 10);
  CHECK(first >= 3);
  CHECK(first <= 5);
  CHECK_FALSE(idle.waiting());
  CHECK(looks(60, 20) == 0);   // once
  CHECK(looks(105, 20) == 0);  // not as much again
  CHECK_FALSE(look(120));
  CHECK(idle.waiting());
  CHECK(looks(120, 10) != 0);
  CHECK(looks(120, 60) == 0);
  now += heap::IdleObjects::kAgain;
  CHECK(look(120));  // after a minute
  SECTION("what was wanted meanwhile was not idle") {
    CHECK_FALSE(look(20));
    CHECK(looks(80, 2) == 0);
    CHECK(looks(80, 5) != 0);
  }
  SECTION("that comes and goes is not") {
    for (int i = 0; i < 40; ++i) CHECK_FALSE(look(i % 2 == 0 ? 300 : 10));
  }
  SECTION("of a small heap 32 MiB are little") {
    CHECK_FALSE(look(10, 500, 40));
    CHECK(looks(31, 10) == 0);
  }
}

TEST_CASE("descriptors of slabs that are gone give their memory back, and are used again first", "[heap][holes]") {
  const Ending e = in_child([] {
    { const Survivors none(64, 64 * kMiB, SIZE_MAX); }
    heap::trim(0);
    const std::size_t held = descriptor_bytes();
    {
      const Survivors none(64, 128 * kMiB, SIZE_MAX);
      BM_CHILD_REQUIRE(descriptor_bytes() >= held + 500'000);
      heap::trim(0);
    }
    heap::trim(0);
    BM_CHILD_REQUIRE(descriptor_bytes() < held + 100'000);
    const std::uint32_t limit = heap::process.slabs.limit();
    const Survivors many(64, 64 * kMiB, 2);
    BM_CHILD_REQUIRE(heap::process.slabs.limit() == limit);
    BM_CHILD_REQUIRE(many.intact());
    return heap::validate() == 0;
  });
  INFO(e.text);
  CHECK(e.ok);
}

TEST_CASE("with a second thread about, no descriptor goes back", "[heap][holes][native]") {
  Worker other;
  other.run([] { deallocate(allocate(100)); });
  { const Survivors none(64, 64 * kMiB, SIZE_MAX); }
  const std::size_t held = descriptor_bytes();
  heap::trim(0);
  CHECK(descriptor_bytes() == held);
}

TEST_CASE("trim asks every thread for its caches; each gives them up at its next slow path", "[heap][holes]") {
  Worker other;
  constexpr unsigned kClass = slab::class_of(1000);
  const heap::ThreadHeap* h = nullptr;
  other.run([&] {
    void* p[60];
    for (auto& q : p) q = allocate(1000);
    for (void* const q : p) deallocate(q);
    h = heap::current_heap();
  });
  const auto held = [&h] { return h->cached_objects(kClass); };
  REQUIRE(held() > 10);
  heap::trim(0);
  CHECK(held() > 10);  // its own until then
  other.run([] { deallocate(allocate(200'000)); });
  std::vector<void*> blocks(200);
  other.run([&blocks] {
    for (auto& p : blocks) p = allocate(333);
  });
  CHECK(held() == 0);
  for (void* const p : blocks) deallocate(p);
}
