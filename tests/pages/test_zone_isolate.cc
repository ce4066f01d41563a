// test_zone_isolate.cc: pageblocks taken out of allocation, and contiguous ranges that are lent.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  explicit Fixture(std::size_t blocks = 16) : ZoneFixture(FakeVm::table, space_of(blocks, blocks)) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  Run lent(std::size_t pages) {
    Run run;
    REQUIRE(zone.alloc(pages, kMovable, run, 0, Placement::kPacked, Request::kRelocatable));
    return run;
  }
  Migratetype type(BlockIndex b) const { return map.block(b).migratetype; }
  std::size_t free_blocks(Migratetype t, unsigned order) {
    std::size_t counts[kMigratetypes][kReportOrders] = {};
    zone.count_free(counts);
    return counts[index(t)][order];
  }
};

TEST_CASE("nothing is allocated from an isolated pageblock, and what is freed there stays out", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(100), b = z.alloc(100);
  REQUIRE(z.zone.isolate({0}, 1));
  CHECK(z.type({0}) == Migratetype::kIsolate);
  CHECK(z.alloc(1).first.block() == BlockIndex{1});
  z.free(a);
  CHECK(z.alloc(100).first.block() == BlockIndex{1});
  CHECK(z.zone.validate(2) == 0);
  z.free(b);
  CHECK(z.free_blocks(Migratetype::kIsolate, kPageblockOrder) == 1);
  CHECK(z.alloc(kBlock).first.block() == BlockIndex{2});
  z.zone.unisolate({0}, 2);  // the second was not isolated: no harm to it
  CHECK(z.type({0}) == kMovable);
  CHECK(z.type({1}) == kMovable);
  CHECK(z.alloc(kBlock).first.block() == BlockIndex{0});
}

TEST_CASE("isolation is all or nothing: unopened, isolated and reserved pageblocks refuse it", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z;
  z.zone.keeps_reserve = true;
  z.alloc(kBlock), z.alloc(kBlock), z.alloc(1);
  const std::uint32_t opened = static_cast<std::uint32_t>(z.zone.counters().opened_pages / kBlock);
  CHECK_FALSE(z.zone.isolate({0}, opened));  // the reserve is among them
  CHECK_FALSE(z.zone.isolate({opened}, 1));
  CHECK_FALSE(z.zone.isolate({1000}, 1));
  for (std::uint32_t b = 0; b < opened; ++b) CHECK(z.type({b}) != Migratetype::kIsolate);
  REQUIRE(z.zone.isolate({0}, 2));
  CHECK_FALSE(z.zone.isolate({1}, 1));
  z.zone.unisolate({0}, 2);
  z.zone.unisolate({0}, 2);  // no harm
  CHECK(z.zone.isolate({1}, 1));
}

TEST_CASE("an isolated pageblock is not purged, claimed, extended into or counted as whole", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z(3);
  const Run a = z.alloc(kBlock), b = z.alloc(kBlock), c = z.alloc(kBlock);
  z.free(b);
  REQUIRE(z.zone.isolate({1}, 1));
  const std::size_t purges = vm.count(VmOp::kPurge);
  z.zone.purge(0, true);
  CHECK(vm.count(VmOp::kPurge) == purges);
  CHECK_FALSE(z.zone.extend(a.first, kBlock, kBlock + 1));
  Run run;
  CHECK_FALSE(z.zone.alloc(1, kUnmovable, run));
  CHECK_FALSE(z.zone.alloc(kBlock, kMovable, run));
  z.zone.unisolate({1}, 1);
  CHECK(z.zone.extend(a.first, kBlock, kBlock + 1));
  z.free(c);
}

TEST_CASE("take hands out just the range asked for, when all of it is free and set apart", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(10);
  Run run;
  CHECK_FALSE(z.zone.take(first_pfn({0}) + 100, 50, run));  // an ordinary pageblock
  REQUIRE(z.zone.isolate({0}, 1));
  CHECK_FALSE(z.zone.take(first_pfn({0}) + 5, 50, run));  // partly in use
  REQUIRE(z.zone.take(first_pfn({0}) + 100, 50, run));
  CHECK(run.first == first_pfn({0}) + 100);
  CHECK(run.pages == 50);
  CHECK(run.zeroed);
  CHECK_FALSE(z.zone.take(first_pfn({0}) + 149, 1, run));
  z.zone.free(first_pfn({0}) + 100, 50);
  z.zone.unisolate({0}, 1);
  z.free(a);
}

TEST_CASE("a contiguous range is aligned to the largest order and lent to relocatable requests only",
          "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z(12);
  z.alloc(1);
  BlockIndex first;
  REQUIRE(z.zone.make_cma(4, first));
  CHECK(reinterpret_cast<std::uintptr_t>(z.at(first_pfn(first))) % (2 * kPageblockSize) == 0);
  CHECK(z.free_blocks(Migratetype::kCma, kPageblockOrder) + 2 * z.free_blocks(Migratetype::kCma, kPageblockOrder + 1) ==
        4);
  const auto inside = [&](const Run& run) { return run.first.block() >= first && run.first.block() < first + 4; };
  const Run movable = z.alloc(400), large = z.alloc(kBlock);
  CHECK_FALSE(inside(movable));
  CHECK_FALSE(inside(large));
  // its own type first, the range when that has no room, before a whole-free pageblock
  CHECK_FALSE(inside(z.lent(100)));
  const Run lent = z.lent(300);
  CHECK(inside(lent));
  CHECK(z.type(lent.first.block()) == Migratetype::kCma);
  CHECK_FALSE(z.zone.release_cma(first, 4));
  z.free(lent);
  CHECK(z.type(lent.first.block()) == Migratetype::kCma);
  Run run;
  REQUIRE(z.zone.take(first_pfn(first), 4 * kBlock, run));
  CHECK(z.type(first) == Migratetype::kCma);
  z.free(run);
  REQUIRE(z.zone.release_cma(first, 4));
  CHECK(z.type(first) == kMovable);
  CHECK_FALSE(z.zone.release_cma(first, 4));
}

TEST_CASE("a contiguous range never changes type, not even at the limit, and its whole pageblocks may be purged",
          "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z(5);
  BlockIndex first;
  REQUIRE(z.zone.make_cma(2, first));
  for (int k = 0; k < 2; ++k) z.alloc(kBlock);
  Run run;
  std::size_t n = 0;
  while (z.zone.alloc(1, n % 2 == 0 ? kUnmovable : kReclaimable, run)) ++n;
  CHECK(z.type(first) == Migratetype::kCma);
  CHECK(z.type(first + 1) == Migratetype::kCma);
  const Run lent = z.lent(kBlock);
  z.at(lent.first)[0] = 1;
  z.free(lent);
  CHECK(z.zone.purge(0, false) == kBlock);
}

TEST_CASE("a contiguous range is aligned wherever the free pageblocks begin", "[zone_isolate]") {
  for (const int used : {1, 2}) {
    NoMoreSections vm;
    Fixture z;
    for (int k = 0; k < used; ++k) z.alloc(kBlock);
    BlockIndex first;
    REQUIRE(z.zone.make_cma(2, first));
    CHECK(reinterpret_cast<std::uintptr_t>(z.at(first_pfn(first))) % (2 * kPageblockSize) == 0);
  }
}

TEST_CASE("a run does not grow into a contiguous range", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z;
  BlockIndex first;
  REQUIRE(z.zone.make_cma(2, first));
  for (Run run; first.value != 0 && z.zone.alloc(kBlock, kMovable, run);)
    if (run.first.block() + 1 == first) break;
  if (first.value == 0) {  // nothing lies before it: let it end, and begin one pageblock later
    REQUIRE(z.zone.release_cma(first, 2));
    z.alloc(kBlock);
    REQUIRE(z.zone.make_cma(2, first));
    while (z.alloc(kBlock).first.block() + 1 != first) {
    }
  }
  CHECK_FALSE(z.zone.extend(first_pfn({first.value - 1}), kBlock, kBlock + 1));
}

TEST_CASE("a run that grows out of a pageblock set apart does not make its neighbour so", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z(8);
  const Run run = z.alloc(kBlock);
  z.free(z.alloc(kBlock));
  REQUIRE(z.zone.isolate({0}, 1));
  CHECK(z.zone.extend(run.first, kBlock, kBlock + 1));
  CHECK(z.type({1}) == kMovable);
  z.zone.free(run.first + kBlock, 1);
  z.zone.unisolate({0}, 1);

  BlockIndex first;
  REQUIRE(z.zone.make_cma(2, first));
  Run behind = z.alloc(kBlock, kUnmovable);
  while (behind.first.block() != first + 2) behind = z.alloc(kBlock, kUnmovable);
  z.free(behind);
  z.lent(kBlock);
  const Run lent = z.lent(kBlock);
  REQUIRE(lent.first.block() == first + 1);
  CHECK(z.zone.extend(lent.first, kBlock, kBlock + 1));
  CHECK(z.type(first + 2) == kUnmovable);
}

TEST_CASE("no room: a range that is refused changes nothing", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z(4);
  z.alloc(1);
  BlockIndex first;
  CHECK_FALSE(z.zone.make_cma(0, first));
  CHECK_FALSE(z.zone.make_cma(4, first));
  CHECK(z.free_blocks(Migratetype::kCma, kPageblockOrder) == 0);
}

TEST_CASE("take_within: the lowest free range at a multiple of the alignment, across pageblocks", "[zone_isolate]") {
  NoMoreSections vm;
  Fixture z;
  BlockIndex area;
  REQUIRE(z.zone.make_cma(3, area));
  const Pfn start = first_pfn(area);
  const auto take = [&](std::size_t pages, std::size_t alignment) {
    Run run;
    REQUIRE(z.zone.take_within(area, 3, pages, alignment, run));
    CHECK(run.pages == pages);
    CHECK(run.zeroed);
    CHECK(reinterpret_cast<std::uintptr_t>(z.at(run.first)) % alignment == 0);
    return run.first.value - start.value;
  };
  CHECK(take(3, kPageSize) == 0);
  CHECK(take(8, 16 * kPageSize) == 16);
  CHECK(take(1, kPageSize) == 3);
  CHECK(take(13, kPageSize) == 24);  // 4..15 is one short
  CHECK(take(12, kPageSize) == 4);
  CHECK(take(kBlock, kPageSize) == 37);
  CHECK(take(100, kPageblockSize) == 2 * kBlock);
  Run run;
  CHECK_FALSE(z.zone.take_within(area, 3, kBlock, kPageSize, run));
  CHECK_FALSE(z.zone.take_within(area, 3, 1, std::size_t{1} << 63, run));
  CHECK_FALSE(z.zone.take_within(area, 3, SIZE_MAX >> kPageShift, kPageSize, run));
  CHECK(take(2 * kBlock + 100 - 2 * kBlock + 12, kPageSize) == 37 + kBlock);
  const Run ordinary = z.alloc(1);  // not of the area
  CHECK_FALSE(z.zone.take_within(ordinary.first.block(), 1, 1, kPageSize, run));
}

}  // namespace
}  // namespace bm::pages
