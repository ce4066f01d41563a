// test_zone_watermarks.cc: what a zone keeps and for how long, by a clock of our own.  layer: tests
#include <catch2/catch.hpp>

#include <cstring>

#include "pages/zone_report.h"
#include "support/fake_clock.h"
#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table, space_of(64)) { zone.watermarks = {2 * kBlock, 4 * kBlock}; }
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  std::size_t slack() { return zone.counters().backed_free_pages; }
  void turn_over(const Run& run, std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      zone.free(run.first + (run.pages - kBlock), kBlock);
      REQUIRE(alloc(kBlock).first == run.first + (run.pages - kBlock));
    }
  }
  // Takes and gives back `blocks`; returns how many of their pages had to be asked of the OS.
  std::size_t ping_pong(std::size_t blocks) {
    const std::size_t before = slack();
    const Run run = alloc(blocks * kBlock);
    const std::size_t reused = before - slack();
    free(run);
    return run.pages - reused;
  }
  void age_for(std::uint64_t ms, std::uint64_t step) {
    for (std::uint64_t t = 0; t < ms; t += step) {
      clock.pass(step);
      zone.age(clock.now());
    }
  }
  FakeClock clock;
};

TEST_CASE("what turnover has earned halves with every half-life, and goes back", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(20 * kBlock);
  z.turn_over(run, 50);
  z.free(run);
  REQUIRE(z.slack() == 20 * kBlock);  // 4 and 16 earned
  CHECK((z.zone.attention() & Zone::kSlack) != 0);
  z.zone.age(z.clock.now());
  CHECK(z.slack() == 20 * kBlock);
  z.clock.pass(kHalfLife);
  z.zone.age(z.clock.now());
  CHECK(z.slack() == 10 * kBlock);  // low and 8
  z.age_for(10 * kHalfLife, kHalfLife / 4);
  CHECK(z.slack() <= 4 * kBlock);
  CHECK((z.zone.attention() & Zone::kSlack) == 0);
}

TEST_CASE("after a long sleep nothing earned is left", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(20 * kBlock);
  z.turn_over(run, 50);
  z.free(run);
  z.clock.pass(100 * kHalfLife);
  z.zone.age(z.clock.now());
  CHECK(z.slack() <= 2 * kBlock);
}

TEST_CASE("turnover fades while slack lies above the mark", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(20 * kBlock);
  z.turn_over(run, 50);
  z.zone.free(run.first + 10 * kBlock, 10 * kBlock);
  REQUIRE(z.slack() == 10 * kBlock);
  z.age_for(20 * kHalfLife, kHalfLife);
  z.zone.free(run.first, 10 * kBlock);
  CHECK(z.slack() == 2 * kBlock);
}

TEST_CASE("ping-pong is asked of the OS three times, then kept", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  CHECK(z.ping_pong(20) == 20 * kBlock);
  CHECK(z.ping_pong(20) == 18 * kBlock);
  CHECK(z.ping_pong(20) == 18 * kBlock);
  for (int i = 0; i < 20; ++i) {
    z.clock.pass(kHalfLife / 2);  // in use it does not fade
    CHECK(z.ping_pong(20) == 0);
  }
  z.age_for(10 * kHalfLife, kHalfLife / 2);  // it does when it is not
  CHECK(z.slack() <= 4 * kBlock);
}

TEST_CASE("an explicit purge ends what was earned", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  for (int i = 0; i < 4; ++i) z.ping_pong(20);
  REQUIRE(z.slack() == 20 * kBlock);
  z.zone.purge(0, false);
  z.ping_pong(20);
  CHECK(z.slack() == 2 * kBlock);
}

TEST_CASE("what comes back late is not kept", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  for (int i = 0; i < 6; ++i) {
    z.ping_pong(20);
    CHECK(z.slack() == 2 * kBlock);
    z.clock.pass(500);
  }
}

TEST_CASE("no more goes than is above the low mark", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.free(z.alloc(20 * kBlock));
  CHECK(z.slack() == 2 * kBlock);
}

TEST_CASE("slack just at the high mark asks for nothing", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.free(z.alloc(4 * kBlock));
  CHECK(z.slack() == 4 * kBlock);
  CHECK((z.zone.attention() & Zone::kSlack) == 0);
}

TEST_CASE("attention lasts as long as slack is above the high mark", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.zone.defer(true);
  z.free(z.alloc(20 * kBlock));
  z.zone.age(z.clock.now());
  CHECK((z.zone.attention() & Zone::kSlack) != 0);
  z.alloc(16 * kBlock);
  REQUIRE(z.slack() == 4 * kBlock);
  z.zone.age(z.clock.now());
  CHECK((z.zone.attention() & Zone::kSlack) == 0);
}

TEST_CASE("what was earned is in use as long as slack falls to the high mark", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  for (int i = 0; i < 4; ++i) z.ping_pong(20);
  for (int i = 0; i < 8; ++i) {
    z.clock.pass(kHalfLife / 2);
    CHECK(z.ping_pong(16) == 0);
    z.zone.age(z.clock.now());
  }
  CHECK(z.slack() == 20 * kBlock);
}

TEST_CASE("with a thread frees do not purge; what has lain idle goes", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.zone.defer(true);
  CHECK(z.zone.defers());
  const Run run = z.alloc(20 * kBlock);
  z.free(run);
  CHECK(z.slack() == 20 * kBlock);
  CHECK((z.zone.attention() & Zone::kSlack) != 0);
  z.zone.age(z.clock.now());
  CHECK(z.slack() == 20 * kBlock);
  for (int i = 0; i < 20; ++i) {  // in use
    z.clock.pass(kIdlePeriod / 2);
    CHECK(z.ping_pong(15) == 0);
    z.zone.age(z.clock.now());
  }
  CHECK(z.slack() == 15 * kBlock);  // five were not
  z.age_for(2 * kIdlePeriod, kIdlePeriod / 2);
  CHECK(z.slack() == 2 * kBlock);
  CHECK((z.zone.attention() & Zone::kSlack) == 0);
  z.free(z.alloc(20 * kBlock));
  z.zone.defer(false);
  z.zone.age(z.clock.now());
  CHECK(z.slack() == 2 * kBlock);
}

TEST_CASE("without demand the high mark falls, with demand it rises again", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.free(z.alloc(3 * kBlock));
  z.zone.age(z.clock.now());
  CHECK(z.zone.marks().high == 4 * kBlock);
  z.age_for(3 * kDemandPeriod, kDemandPeriod / 4);
  CHECK(z.zone.marks().high == kLeastHigh);
  CHECK(z.zone.marks().low == kLeastHigh / 2);
  CHECK(z.slack() == 0);
  z.ping_pong(3);
  z.age_for(kDemandPeriod, kDemandPeriod / 4);
  CHECK(z.zone.marks().high == 3 * kBlock);
  z.zone.watermarks = {0, 0};
  CHECK(z.zone.marks().high == 0);
}

TEST_CASE("pollution boosts both marks up to a limit, and the boost fades", "[zone_watermarks]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(3, 3));
  FakeClock clock;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kReserve; };
  z.alloc(2 * kBlock + 16);
  CHECK(z.zone.marks().boost == 0);
  z.alloc(1, kUnmovable);  // claims the third
  CHECK(z.zone.attention() == Zone::kPolluted);
  Watermarks m = z.zone.marks();
  CHECK(m.boost == kBlock);
  CHECK(m.high == 5 * kBlock);
  CHECK(m.low == 3 * kBlock);
  z.zone.attended(Zone::kPolluted);
  CHECK(z.zone.attention() == 0);
  for (int i = 0; i < 10; ++i) z.alloc(1, kMovable), z.alloc(1, kReclaimable);
  CHECK(z.zone.marks().boost == 6 * kBlock);
  z.zone.age(clock.now());
  CHECK(z.zone.marks().boost == 6 * kBlock);
  clock.pass(kHalfLife);
  z.zone.age(clock.now());
  CHECK(z.zone.marks().boost == 3 * kBlock);
  clock.pass(12 * kHalfLife);
  z.zone.age(clock.now());
  CHECK(z.zone.marks().high == 4 * kBlock);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("min is what only critical requests may have", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  CHECK(z.zone.marks().min == 0);
  z.zone.keeps_reserve = true;
  z.alloc(3 * kBlock);
  z.alloc(1, kUnmovable);
  CHECK(z.zone.marks().min == kReserveLeast);
  vm.refuse = [](const VmCall&) { return true; };
  Run run;
  std::size_t ordinary = 0;
  while (z.zone.alloc(1, kMovable, run)) ++ordinary;
  std::size_t critical = 0;
  while (z.zone.alloc(1, kMovable, run, 0, Placement::kPacked, Request::kCritical)) ++critical;
  CHECK(critical == z.zone.marks().min);
}

TEST_CASE("the report tells the marks as they are", "[zone_watermarks]") {
  FakeVm vm;
  Fixture z;
  z.zone.keeps_reserve = true;
  z.alloc(3 * kBlock);
  z.alloc(1);
  ZoneReport r;
  z.zone.report(r);
  const Watermarks m = z.zone.marks();
  CHECK(r.min == m.min);
  CHECK(r.low == m.low);
  CHECK(r.high == m.high);
  CHECK(r.boost == m.boost);
  CHECK(r.min != 0);
}

}  // namespace
}  // namespace bm::pages
