// test_zone_fallback.cc: where a type looks: its own, whole-free, fresh, and only when refused another's.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

// A zone of four pageblocks and no more.
struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table, space_of(4)) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
};
std::size_t claimed(Fixture& z) { return Mixing::sum(z.zone.counters().mixing.claimed); }
std::size_t stolen(Fixture& z) { return Mixing::sum(z.zone.counters().mixing.stolen); }

TEST_CASE("types do not share a pageblock while there are fresh ones", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  CHECK(z.alloc(1, kUnmovable).first.block() == BlockIndex{0});
  CHECK(z.alloc(1, kMovable).first.block() == BlockIndex{1});
  CHECK(z.alloc(1, kReclaimable).first.block() == BlockIndex{2});
  CHECK(z.alloc(1, kUnmovable).first == Pfn{1});
  CHECK(z.block(0).migratetype == kUnmovable);
  CHECK(z.block(1).migratetype == kMovable);
  CHECK(z.block(2).migratetype == kReclaimable);
  CHECK(claimed(z) + stolen(z) == 0);
}

TEST_CASE("a whole-free pageblock changes type before a fresh one is opened", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(kBlock, kMovable), b = z.alloc(kBlock, kMovable);
  z.free(b), z.free(a);
  CHECK(z.alloc(1, kUnmovable).first == Pfn{0});
  CHECK(z.zone.counters().opened_pages == 2 * kBlock);
  CHECK(claimed(z) == 0);
  CHECK(z.alloc(512, kReclaimable).first == first_pfn({1}));
}

TEST_CASE("a fresh pageblock before another type's", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(1, kMovable);
  CHECK(z.alloc(1, kUnmovable).first.block() == BlockIndex{1});
  CHECK(z.zone.counters().opened_pages == 2 * kBlock);
}

TEST_CASE("refused, a type that pollutes claims a pageblock that is half free", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  for (int b = 0; b < 4; ++b) z.alloc(b == 2 ? 256 : 300, kMovable);
  const Run run = z.alloc(1, kUnmovable);
  CHECK(run.first == first_pfn({2}) + 256);
  CHECK(z.block(2).migratetype == kUnmovable);
  CHECK(claimed(z) == 1);
  CHECK(stolen(z) == 0);
  CHECK(z.alloc(1, kUnmovable).first == run.first + 1);  // its own now
  CHECK(claimed(z) == 1);
}

TEST_CASE("movable claims for order 4 and above, and steals the smallest below", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(100, kUnmovable);
  for (int b = 0; b < 3; ++b) z.alloc(kBlock, kUnmovable);
  CHECK(z.alloc(2, kMovable).first == Pfn{100});  // order 2 at 100, not the order 8 at 256
  CHECK(z.block(0).migratetype == kUnmovable);
  CHECK(stolen(z) == 1);
  CHECK(claimed(z) == 0);
  CHECK(z.alloc(16, kMovable).first == Pfn{112});
  CHECK(z.block(0).migratetype == kMovable);
  CHECK(claimed(z) == 1);
}

TEST_CASE("a pageblock less than half free is not claimed: the smallest block that suffices is stolen",
          "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(300, kMovable);
  z.alloc(511, kMovable);
  for (int b = 0; b < 2; ++b) z.alloc(kBlock, kMovable);
  CHECK(z.alloc(1, kUnmovable).first == first_pfn({1}) + 511);
  CHECK(z.alloc(1, kUnmovable).first == Pfn{300});
  CHECK(z.alloc(64, kUnmovable).first == Pfn{320});
  CHECK(stolen(z) == 3);
  CHECK(claimed(z) == 0);
  for (std::uint32_t b = 0; b < 4; ++b) CHECK(z.block(b).migratetype == kMovable);
}

TEST_CASE("other types are tried in the order of the table", "[zone_fallback]") {
  for (const Migratetype type : {kUnmovable, kMovable, kReclaimable}) {
    NoMoreSections vm;
    Fixture z;
    const auto [first, second] = kFallbacks[index(type)];
    z.alloc(500, second);
    z.alloc(500, first);
    for (int b = 0; b < 2; ++b) z.alloc(kBlock, type);
    CHECK(z.alloc(4, type).first.block() == BlockIndex{1});
    CHECK(z.alloc(8, type).first.block() == BlockIndex{1});
    CHECK(z.alloc(4, type).first.block() == BlockIndex{0});
    z.alloc(8, type);
    Run run;
    CHECK_FALSE(z.zone.alloc(1, type, run));
    CHECK(stolen(z) == 4);
  }
}

TEST_CASE("long runs take their pageblocks over, and only whole-free ones", "[zone_fallback]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(2 * kBlock, kMovable);
  z.free(a);
  const Run b = z.alloc(2 * kBlock - 100, kUnmovable);
  CHECK(b.first == a.first);
  CHECK((z.block(0).migratetype == kUnmovable && z.block(1).migratetype == kUnmovable));
  z.alloc(1, kMovable);
  Run run;
  CHECK_FALSE(z.zone.alloc(2 * kBlock, kMovable, run));
  CHECK(claimed(z) + stolen(z) == 0);
}

}  // namespace
}  // namespace bm::pages
