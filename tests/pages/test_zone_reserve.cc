// test_zone_reserve.cc: HighAtomic, the backed pages for critical requests when the OS refuses.  layer: tests
#include <catch2/catch.hpp>

#include <sys/mman.h>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  explicit Fixture(std::size_t blocks = 16) : ZoneFixture(FakeVm::table, space_of(blocks, blocks)) {
    zone.keeps_reserve = true;
  }
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  bool request(std::size_t pages, Request r, Run& out) {
    return zone.alloc(pages, kMovable, out, 0, Placement::kPacked, r);
  }
  // Every page of the type HighAtomic that is free and backed is in memory.
  std::size_t reserved() { return zone.counters().reserved_highatomic; }
  // Takes what ordinary requests can have.
  std::size_t exhaust() {
    std::size_t n = 0;
    for (Run run; request(1, Request::kNormal, run); ++n) {
    }
    return n;
  }
};

bool in_memory(const void* at) {
  unsigned char resident = 0;
  const auto page = reinterpret_cast<std::uintptr_t>(at) & ~(kPageSize - 1);
  return mincore(reinterpret_cast<void*>(page), kPageSize, &resident) == 0 && (resident & 1) != 0;
}

TEST_CASE("ZN-6: the reserve comes with the second pageblock: sixteen pages, in memory, untouched by others",
          "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(kBlock);
  CHECK(z.reserved() == 0);
  z.alloc(kBlock);
  z.alloc(1);
  REQUIRE(z.reserved() == 16);
  CHECK(vm.count(VmOp::kPopulate) == 1);
  std::size_t counts[kMigratetypes][kReportOrders] = {};
  z.zone.count_free(counts);
  CHECK(counts[index(Migratetype::kHighAtomic)][kPageblockOrder] == 1);
  for (std::uint32_t b = 0; b < 4; ++b) {
    const Pageblock& d = z.block(b);
    if (d.migratetype != Migratetype::kHighAtomic) continue;
    for (std::size_t k = 0; k < 16; ++k) CHECK(in_memory(z.at(first_pfn({b}) + k)));
    CHECK_FALSE(in_memory(z.at(first_pfn({b}) + 16)));
  }
}

TEST_CASE("what is known of the reserve's pages is in memory as well", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(64);
  // The pageblock whose slab indices begin a page, which opening it does not write to.
  std::uint32_t reserve = 2;
  while (reserve < 64 && reinterpret_cast<std::uintptr_t>(z.block(reserve).slab_index) % kPageSize != 0) ++reserve;
  REQUIRE(reserve < 64);
  z.alloc((reserve - 1) * kBlock);
  z.alloc(kBlock);
  REQUIRE(z.block(reserve).migratetype == Migratetype::kHighAtomic);
  CHECK(in_memory(z.block(reserve).slab_index));
}

TEST_CASE("a heap that keeps no reserve opens nothing for one", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  z.zone.keeps_reserve = false;
  for (int k = 0; k < 4; ++k) z.alloc(kBlock);
  z.alloc(1);
  CHECK(z.zone.counters().opened_pages == 5 * kBlock);
  CHECK(vm.count(VmOp::kPopulate) == 0);
}

TEST_CASE("the reserve follows what is in use, up to a mebibyte", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(128);
  for (int k = 0; k < 10; ++k) z.alloc(kBlock), z.alloc(1);
  const std::size_t used = z.zone.counters().opened_pages - z.zone.counters().free_pages;
  CHECK(z.reserved() > 16);
  CHECK(z.reserved() <= used / 100);
  while (z.zone.counters().opened_pages < 120 * kBlock) z.alloc(kBlock), z.alloc(1);
  CHECK(z.reserved() == 256);
}

TEST_CASE("when the OS refuses, critical requests are served from the reserve, to its last page", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(4);
  z.alloc(kBlock), z.alloc(kBlock);
  CHECK(z.exhaust() == kBlock);  // the third for us, the fourth is the reserve
  Run run;
  REQUIRE_FALSE(z.request(1, Request::kNormal, run));
  std::size_t served = 0;
  for (; z.request(1, Request::kCritical, run); ++served) {
    CHECK(in_memory(z.at(run.first)));
    CHECK(z.block(run.first.block().value).migratetype == Migratetype::kHighAtomic);
  }
  CHECK(served == 16);
  // what comes back serves the next, whole again
  z.zone.free(run.first, 1);
  CHECK_FALSE(z.request(1, Request::kNormal, run));
  CHECK(z.request(1, Request::kCritical, run));
}

TEST_CASE("a critical request has the reserve first, then pages that have been in use, then any", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(kBlock), z.alloc(kBlock);
  const Run used = z.alloc(9, kUnmovable);
  z.free(used);
  const auto type_of = [&](const Run& run) { return z.block(run.first.block().value).migratetype; };
  Run run;
  for (int k = 0; k < 2; ++k) {
    REQUIRE(z.request(8, Request::kCritical, run));
    CHECK(type_of(run) == Migratetype::kHighAtomic);
  }
  REQUIRE(z.request(8, Request::kCritical, run));
  CHECK(run.first == used.first);
  CHECK_FALSE(run.zeroed);
  REQUIRE(z.request(1, Request::kCritical, run));
  CHECK(run.first == used.first + 8);
  REQUIRE(z.request(1, Request::kCritical, run));
  CHECK(run.zeroed);
  CHECK(type_of(run) == kMovable);
}

TEST_CASE("a critical request longer than the reserve is served as any other", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(kBlock), z.alloc(kBlock), z.alloc(1);
  Run run;
  CHECK(z.request(64, Request::kCritical, run));
  CHECK(z.request(3 * kBlock, Request::kCritical, run));
}

TEST_CASE("an ordinary request has what is above the least, before it fails", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(16);
  for (int k = 0; k < 13; ++k) z.alloc(kBlock), z.alloc(1);
  std::size_t from_reserve = 0;
  for (Run run; z.request(1, Request::kNormal, run);)
    from_reserve += z.block(run.first.block().value).migratetype == Migratetype::kHighAtomic ? 1 : 0;
  REQUIRE(z.reserved() > 16);
  CHECK(from_reserve == z.reserved() - 16);
}

TEST_CASE("a batch has at least one from the reserve", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(16);
  for (int k = 0; k < 13; ++k) z.alloc(kBlock), z.alloc(1);
  z.zone.keeps_reserve = false;  // grows no more
  Run runs[8];
  std::size_t n = 8;
  while (n == 8) n = z.zone.alloc_batch(1, kMovable, 8, runs);
  std::size_t from_reserve = 0;
  for (; z.zone.alloc_batch(1, kMovable, 8, runs) == 1; ++from_reserve)
    CHECK(z.block(runs[0].first.block().value).migratetype == Migratetype::kHighAtomic);
  REQUIRE(z.reserved() > 16);
  CHECK(from_reserve + 1 >= z.reserved() - 16);  // the last batch that fell short may have had the first
}

TEST_CASE("the reserve is not given back to the OS", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(kBlock), b = z.alloc(kBlock), c = z.alloc(1);
  z.free(a), z.free(b), z.free(c);
  z.zone.purge(0, true);
  CHECK(z.reserved() == 16);
  CHECK(z.zone.counters().backed_free_pages == 16);
}

TEST_CASE("a reserve that is larger than its share gives the rest back, unless it is in use", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z(64);
  const Run large = z.alloc(50 * kBlock);
  z.alloc(1);
  z.alloc(kBlock);
  z.alloc(1);
  const std::size_t full = z.reserved();
  REQUIRE(full > 200);
  z.zone.shrink_reserve();
  CHECK(z.reserved() == full);  // it is its share
  std::vector<Run> held;
  for (Run run; held.size() < 10 && z.request(8, Request::kCritical, run);) held.push_back(run);
  const BlockIndex b = held[0].first.block();
  REQUIRE(z.block(b.value).migratetype == Migratetype::kHighAtomic);
  z.free(large);
  const std::size_t purged = z.zone.counters().purged_pages;
  z.zone.shrink_reserve();
  CHECK(z.reserved() == 80);
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.zone.counters().purged_pages == purged + full - 80);
  CHECK(in_memory(z.at(first_pfn(b) + 79)));
  CHECK_FALSE(in_memory(z.at(first_pfn(b) + 80)));
  for (const Run& run : held) z.free(run);
  vm.refuse = [](const VmCall& call) { return call.op == VmOp::kPurge; };
  z.zone.shrink_reserve();
  CHECK(z.reserved() == 80);
  vm.refuse = nullptr;
  z.zone.shrink_reserve();
  CHECK(z.reserved() == 16);
  // It grows again with what is in use.
  z.alloc(10 * kBlock);
  z.zone.recover();
  CHECK(z.reserved() == 16);
}

TEST_CASE("a refused populate leaves no reserve, and it is tried again with the next growth", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kPopulate; };
  z.alloc(kBlock), z.alloc(kBlock), z.alloc(1);
  CHECK(z.reserved() == 0);
  Run run;
  CHECK(z.request(1, Request::kCritical, run));  // from ordinary memory
  vm.refuse = nullptr;
  z.alloc(1, kUnmovable);
  CHECK(z.reserved() == 16);
}

TEST_CASE("recover finds the reserve again", "[zone_reserve]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(kBlock), z.alloc(kBlock), z.alloc(1);
  z.zone.recover();
  CHECK(z.reserved() == 16);
  CHECK(z.zone.validate(2) == 0);
}

}  // namespace
}  // namespace bm::pages
