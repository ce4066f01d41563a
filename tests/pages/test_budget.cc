// test_budget.cc: a zone under a limit: what it charges, what it refuses, and what it still gives.  layer: tests
#include <catch2/catch.hpp>

#include <cstring>
#include <thread>
#include <vector>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

constexpr std::size_t kMost = 8 * kBlock;

struct Fixture : ZoneFixture {
  Fixture(std::size_t most = kMost, const AddressSpaceConfig& config = space_of(32))
      : ZoneFixture(FakeVm::table, config) {
    zone.budget = &budget;
    zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1};
    budget.limit(most, most);
  }
  ~Fixture() {
    CHECK(zone.validate(2) == 0);
    const Zone::Counters c = zone.counters();
    CHECK(budget.held() == c.opened_pages - c.free_pages + c.backed_free_pages);
    CHECK(budget.held() <= budget.most());
  }
  bool fits(std::size_t pages, Placement placement = Placement::kPacked) {
    Run run;
    if (!zone.alloc(pages, kMovable, run, 0, placement)) return false;
    zone.free(run.first, pages);
    return true;
  }
  Budget budget;
};

TEST_CASE("a charge is all or nothing; what is too much is not held", "[budget]") {
  Budget b;
  CHECK_FALSE(b.limited());
  b.limit(100, 90);
  CHECK(b.charge(60));
  CHECK_FALSE(b.charge(41));
  CHECK_FALSE(b.charge(SIZE_MAX));
  CHECK_FALSE(b.tight());
  CHECK(b.charge(40));
  CHECK(b.tight());
  b.limit(50, 40);
  CHECK(b.charge(0));
  CHECK_FALSE(b.charge(1));
  b.discharge(1000);
  CHECK(b.held() == 0);
  CHECK(b.charge(50));
  b.restart();  // all that is held will be told anew
  CHECK(b.held() == 0);
  CHECK(b.charge(50));
  CHECK_FALSE(b.charge(1));
}

TEST_CASE("BU-1, ZN-8: pages count from when they are handed out until they are purged", "[budget]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(3 * kBlock + 5);
  CHECK(z.budget.held() == 3 * kBlock + 5);
  z.free(run);
  CHECK(z.budget.held() == 3 * kBlock + 5);
  z.zone.purge(0, true);
  CHECK(z.budget.held() == 0);
}

TEST_CASE("a limit that comes later counts what is there", "[budget]") {
  FakeVm vm;
  Fixture z;
  z.budget.limit(0, 0);
  const Run run = z.alloc(kBlock + 3);
  CHECK(z.budget.held() == 0);
  z.budget.limit(kMost, kMost);
  z.zone.recharge();
  CHECK(z.budget.held() == kBlock + 3);
  z.free(run);
}

TEST_CASE("beyond the limit every way to more pages is refused, up to it none", "[budget]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(kMost - 10);
  Run none;
  Run batch[8];
  CHECK_FALSE(z.zone.alloc(11, kMovable, none));
  CHECK_FALSE(z.zone.alloc(kBlock, kMovable, none));
  CHECK_FALSE(z.zone.alloc(kMost, kMovable, none));
  CHECK_FALSE(z.zone.alloc(kMost + 1, kMovable, none));
  CHECK_FALSE(z.zone.extend(run.first, run.pages, run.pages + 11));
  CHECK(z.zone.alloc_batch(11, kUnmovable, 8, batch) == 0);
  CHECK(z.budget.held() == kMost - 10);
  REQUIRE(z.zone.extend(run.first, run.pages, run.pages + 4));
  CHECK(z.zone.alloc_batch(1, kUnmovable, 8, batch) == 1);  // all at once would be too much
  REQUIRE(z.zone.alloc(5, kUnmovable, none));
  CHECK(z.budget.held() == kMost);
  CHECK(z.zone.alloc_batch(1, kUnmovable, 8, batch + 1) == 0);
  z.free(none);
  z.free(batch[0]);
  z.zone.free(run.first, run.pages + 4);
  z.zone.purge(0, true);
}

TEST_CASE("contiguous ranges and what is placed into a pageblock count, too", "[budget]") {
  FakeVm vm;
  Fixture z(2 * kBlock);
  BlockIndex cma;
  REQUIRE(z.zone.make_cma(4, cma));
  CHECK(z.budget.held() == 0);
  Run run;
  Run more;
  REQUIRE(z.zone.take_within(cma, 4, 2 * kBlock - 1, kPageSize, run));
  CHECK_FALSE(z.zone.take_within(cma, 4, 2, kPageSize, more));
  CHECK_FALSE(z.zone.take(first_pfn(cma + 3), 2, more));
  REQUIRE(z.zone.alloc(1, kMovable, more));
  CHECK_FALSE(z.zone.alloc_in(more.first.block(), 1, run));
}

TEST_CASE("at the limit free pages that are backed still serve", "[budget]") {
  FakeVm vm;
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kPurge; };  // as of locked memory
  Fixture z;
  const Run all = z.alloc(kMost);
  z.zone.free(all.first + 3, 7);
  z.zone.free(all.first + 4 * kBlock, kBlock);
  Run run;
  Run batch[4];
  REQUIRE(z.zone.extend(all.first, 3, 10));
  z.zone.free(all.first + 3, 7);
  CHECK(z.fits(7));
  CHECK(z.fits(kBlock));
  CHECK(z.fits(kBlock, Placement::kGrowing));
  CHECK(z.zone.alloc_batch(1, kUnmovable, 4, batch) != 0);
  z.free(batch[0]);
  z.zone.free(all.first + 5 * kBlock, 2 * kBlock);
  CHECK(z.fits(3 * kBlock));
  CHECK_FALSE(z.zone.alloc(3 * kBlock + 1, kMovable, run));
  CHECK(z.budget.held() == kMost);
}

TEST_CASE("holes of hugepages go back when all has to", "[budget]") {
  FakeVm vm;
  AddressSpaceConfig config = space_of(32);
  config.small_page_bytes = 0;
  Fixture z(kMost, config);
  const Run all = z.alloc(kMost);
  std::memset(z.at(all.first), 1, kMost << kPageShift);
  for (std::size_t b = 0; b < 8; ++b) z.zone.free(all.first + (b * kBlock + 1), kBlock - 1);
  CHECK(z.zone.purge(0, true) == 0);
  for (std::uint32_t b = 0; b < 8; ++b) CHECK(z.zone.purge_holes_of(all.first.block() + b) == kBlock - 1);
  CHECK(z.budget.held() == 8);
  for (std::size_t b = 0; b < 8; ++b) {
    CHECK(*z.at(all.first + b * kBlock) == 1);
    CHECK(*z.at(all.first + (b * kBlock + 1)) == 0);
  }
}

TEST_CASE("where it is tight no slack is kept", "[budget]") {
  FakeVm vm;
  Fixture z;
  z.budget.limit(kMost, 4 * kBlock);
  const bool deferred = GENERATE(false, true);
  z.zone.defer(deferred);
  const Run kept = z.alloc(5 * kBlock);
  const Run run = z.alloc(2 * kBlock);
  z.free(run);
  CHECK(z.budget.held() == (deferred ? 7 : 5) * kBlock);
  CHECK((z.zone.attention() & Zone::kSlack) != 0);
  z.zone.age(1000);
  CHECK(z.budget.held() == 5 * kBlock);
  z.free(kept);
}

TEST_CASE("several threads at the limit: never above, and nothing is lost", "[budget][zone_threads]") {
  FakeVm vm;
  Fixture z;
  std::vector<std::thread> threads;
  std::atomic<std::size_t> above{0};
  for (unsigned t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = 0; i < 3000; ++i) {
        Run run;
        if (z.zone.alloc(1 + (i * 131 + t) % (2 * kBlock), kMovable, run)) z.free(run);
        if (i % 16 == 0) z.zone.purge(0, true);
        if (z.budget.held() > kMost) ++above;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(above == 0);
  z.zone.purge(0, true);
  CHECK(z.budget.held() == 0);
}

}  // namespace
}  // namespace bm::pages
