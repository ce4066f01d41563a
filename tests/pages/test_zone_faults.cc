// test_zone_faults.cc: every call to the OS fails once: reported cleanly, all invariants hold, nothing leaks.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

// A fixed life of a zone: growth through sections, long and aligned runs, extension, purges. Returns requests refused.
std::size_t scenario(ZoneFixture& z) {
  std::vector<Run> live;
  std::size_t refused = 0;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  const auto alloc = [&](std::size_t pages, Migratetype type, unsigned align = 0, Placement p = Placement::kPacked) {
    Run run;
    if (!z.zone.alloc(pages, type, run, align, p)) {
      ++refused;
      return;
    }
    for (std::size_t i = 0; i < pages; ++i) {
      if (run.zeroed) REQUIRE(*z.at(run.first + i) == 0);
      *z.at(run.first + i) = 1;
    }
    live.push_back(run);
  };
  Random random(7);
  for (int round = 0; round < 60; ++round) {
    alloc(random.between(1, 30), static_cast<Migratetype>(round % 3));
    alloc(random.between(1, 300), static_cast<Migratetype>(random.below(3)));
    if (round % 4 == 0) alloc(random.between(kBlock, 5 * kBlock), kMovable);
    if (round % 10 == 0) alloc(10, kMovable, 10);
    if (round % 7 == 0) alloc(100, kMovable, 0, Placement::kGrowing);
    if (!live.empty()) {
      Run& run = live[random.below(live.size())];
      if (z.zone.extend(run.first, run.pages, run.pages + 200)) run.pages += 200;
    }
    Run batch[6];
    const std::size_t n = z.zone.alloc_batch(3, kUnmovable, 6, batch);
    refused += n < 6 ? 1 : 0;
    live.insert(live.end(), batch, batch + n);
    for (int k = 0; k < 5 && !live.empty(); ++k) {
      const std::size_t at = random.below(live.size());
      z.free(live[at]);
      live[at] = live.back();
      live.pop_back();
    }
    if (round % 16 == 15) z.zone.purge(kBlock, true);
    REQUIRE(z.zone.validate(2) == 0);
  }
  for (const Run& run : live) z.free(run);
  z.zone.purge(0, true);
  return refused;
}

void sweep(FaultVm::Kind kind) {
  std::size_t k = 0;
  for (bool failed = true; failed;) {
    FaultVm vm(++k, kind);
    CAPTURE(k);
    ZoneFixture z(FakeVm::table, space_of(16, 160));
    if (z.ready) {
      const std::size_t refused = scenario(z);
      failed = vm.asked() >= k;
      if (!failed) CHECK(refused == 0);
      REQUIRE(z.zone.validate(2) == 0);
      REQUIRE(z.everything_free());
      if (kind == FaultVm::kOnce && vm.asked() > k) z.alloc(3 * kBlock + 1);  // it has recovered
    } else {
      REQUIRE(k <= 2);
    }
    const auto broken = vm.take_broken();
    CHECK(broken.empty());
  }
  CHECK(k > 20);  // the scenario asks the OS for something
}

TEST_CASE("the k-th call fails, for every k", "[zone_faults]") { sweep(FaultVm::kOnce); }

TEST_CASE("all calls from the k-th on fail, for every k", "[zone_faults]") { sweep(FaultVm::kFromThenOn); }

}  // namespace
}  // namespace bm::pages
