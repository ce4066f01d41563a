// test_zone_blocks.cc: runs over several pageblocks: placement, alignment beyond a pageblock, growth in place.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  explicit Fixture(std::size_t blocks = 32) : ZoneFixture(FakeVm::table, space_of(blocks)) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
};

TEST_CASE("a long run is exact: the rest of its last pageblock serves others", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(3 * kBlock + 100);
  CHECK(run.first.offset() == 0);
  CHECK(run.zeroed);
  CHECK(z.zone.counters().free_pages == z.zone.counters().opened_pages - run.pages);
  CHECK(z.alloc(128).first == run.first + 3 * kBlock + 128);
  CHECK(z.alloc(16).first == run.first + 3 * kBlock + 112);
  z.free(run);
  CHECK(z.alloc(4 * kBlock).first.block() == BlockIndex{4});
}

TEST_CASE("the lowest run of whole-free pageblocks, else what is free at the frontier", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {8 * kBlock, 16 * kBlock};
  std::vector<Run> one;
  for (int i = 0; i < 10; ++i) one.push_back(z.alloc(kBlock));
  for (const int i : {1, 3, 4, 6, 7, 8}) z.free(one[static_cast<std::size_t>(i)]);
  const Run two = z.alloc(2 * kBlock);
  CHECK(two.first.block() == BlockIndex{3});
  CHECK_FALSE(two.zeroed);
  CHECK(z.alloc(3 * kBlock).first.block() == BlockIndex{6});
  z.free(one[9]);
  const Run over = z.alloc(4 * kBlock);
  CHECK(over.first.block() == BlockIndex{9});
  CHECK(z.zone.counters().opened_pages == 13 * kBlock);
}

TEST_CASE("no run crosses sections", "[zone_blocks]") {
  FakeVm vm;
  Fixture z(8);
  z.alloc(5 * kBlock);
  const Run run = z.alloc(6 * kBlock);  // three are left in the first section
  CHECK(run.first.block() == BlockIndex{9});
  for (std::size_t i = 1; i < 6; ++i) CHECK(z.at(run.first + i * kBlock) == z.at(run.first) + i * kPageblockSize);
  CHECK(z.alloc(3 * kBlock).first.block() == BlockIndex{5});
  z.free(run);
  CHECK(z.alloc(20 * kBlock).first.block() == BlockIndex{18});
}

TEST_CASE("alignment beyond a pageblock is of addresses, and wastes nothing", "[zone_blocks]") {
  FakeVm vm;
  Fixture z(64);
  for (unsigned order = 10; order <= 13; ++order)
    for (const std::size_t pages : {std::size_t{1}, std::size_t{100}, kBlock, 2 * kBlock + 5}) {
      const std::size_t used = z.zone.counters().opened_pages - z.zone.counters().free_pages;
      const Run run = z.alloc(pages, kMovable, order);
      CHECK(reinterpret_cast<std::uintptr_t>(z.at(run.first)) % (kPageSize << order) == 0);
      CHECK(z.zone.counters().opened_pages - z.zone.counters().free_pages == used + pages);
      z.at(run.first + (pages - 1))[kPageSize - 1] = 1;
    }
}

TEST_CASE("what cannot be had is refused", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  Run run;
  CHECK_FALSE(z.zone.alloc(SIZE_MAX >> kPageShift, kMovable, run));
  CHECK_FALSE(z.zone.alloc(std::size_t{1} << 32, kMovable, run));
  CHECK_FALSE(z.zone.alloc(1, kMovable, run, 40));
  CHECK_FALSE(z.zone.alloc(SIZE_MAX >> kPageShift, kMovable, run, 0, Placement::kGrowing));
  CHECK(z.zone.alloc(1, kMovable, run));
}

TEST_CASE("extend takes free pages behind a run, over pageblocks and the frontier", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(100);
  CHECK(z.zone.extend(run.first, 100, 101));
  CHECK(z.zone.extend(run.first, 101, kBlock));
  CHECK(z.zone.counters().opened_pages == kBlock);
  CHECK(z.zone.extend(run.first, kBlock, 3 * kBlock + 7));
  CHECK(z.zone.counters().opened_pages == 4 * kBlock);
  CHECK(z.zone.counters().free_pages == kBlock - 7);
  z.zone.free(run.first, 3 * kBlock + 7);  // shrinking is freeing the end
  CHECK(z.everything_free());
}

TEST_CASE("extend takes whole-free pageblocks over, and only those", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(kBlock, kUnmovable), whole = z.alloc(kBlock, kMovable), part = z.alloc(kBlock, kMovable);
  z.free(whole);
  z.zone.free(part.first, 100);
  CHECK(z.zone.extend(run.first, kBlock, 2 * kBlock + 100));
  CHECK(z.block(1).migratetype == kUnmovable);
  CHECK(z.block(2).migratetype == kMovable);
}

TEST_CASE("extend is refused when a page behind is in use, and takes nothing then", "[zone_blocks]") {
  FakeVm vm;
  Fixture z(4);
  const Run a = z.alloc(kBlock), b = z.alloc(kBlock), c = z.alloc(1);
  CHECK_FALSE(z.zone.extend(a.first, kBlock, kBlock + 1));
  z.free(b);
  CHECK_FALSE(z.zone.extend(a.first, kBlock, 2 * kBlock + 1));
  CHECK(z.zone.counters().free_pages == 2 * kBlock - 1);
  CHECK(z.zone.extend(a.first, kBlock, 2 * kBlock));
  CHECK_FALSE(z.zone.extend(c.first, 1, 2 * kBlock + 1));  // beyond the section
  CHECK(z.zone.counters().opened_pages == 3 * kBlock);
  CHECK(z.zone.extend(c.first, 1, 2 * kBlock));
}

TEST_CASE("extend that the OS refuses changes nothing", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(kBlock);
  vm.refuse = [](const VmCall&) { return true; };
  const std::size_t committed = z.zone.counters().committed_pages;
  CHECK_FALSE(z.zone.extend(run.first, kBlock, committed + 1));
  CHECK(z.zone.counters().opened_pages == kBlock);
  CHECK(z.zone.extend(run.first, kBlock, committed));
}

TEST_CASE("a growing run is put where as much again is free behind it", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  std::vector<Run> one;
  for (int i = 0; i < 6; ++i) one.push_back(z.alloc(kBlock));
  for (const int i : {0, 2, 3}) z.free(one[static_cast<std::size_t>(i)]);
  const Run growing = z.alloc(100, kMovable, 0, Placement::kGrowing);
  CHECK(growing.first.block() == BlockIndex{2});
  CHECK(z.zone.extend(growing.first, 100, 2 * kBlock));
  CHECK(z.alloc(100).first.block() == BlockIndex{0});
}

TEST_CASE("before a run that grows is room for what comes, which goes on where the last run ends", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  const Run one = z.alloc(2 * kBlock + 100);
  const Run growing = z.alloc(kBlock + 1, kMovable, 0, Placement::kGrowing);
  CHECK(growing.first == first_pfn({3 + 4}));  // twice the two and a bit that were in use
  CHECK(z.alloc(4 * kBlock, kMovable, 0, Placement::kSnug).first == one.first + one.pages);
  CHECK(z.zone.extend(growing.first, kBlock + 1, 4 * kBlock));
}

TEST_CASE("there are 32 pageblocks before it, if more is in use", "[zone_blocks]") {
  FakeVm vm;
  Fixture z(64);
  z.alloc(20 * kBlock);
  CHECK(z.alloc(kBlock, kMovable, 0, Placement::kGrowing).first == first_pfn({20 + 32}));
}

TEST_CASE("none are opened for it when more is free than in use", "[zone_blocks]") {
  FakeVm vm;
  Fixture z;
  z.alloc(kBlock);
  z.free(z.alloc(6 * kBlock));
  // With a pageblock before each of those in use there would have to be an eighth.
  const Run growing = z.alloc(2 * kBlock + 1, kMovable, 0, Placement::kGrowing);
  CHECK(growing.first == first_pfn({1}));
  CHECK(z.zone.counters().opened_pages == 7 * kBlock);
  z.free(growing);
  CHECK(z.alloc(2 * kBlock, kMovable, 0, Placement::kGrowing).first == first_pfn({1 + 2}));  // there are six
}

TEST_CASE("without such room it is packed like others", "[zone_blocks]") {
  FakeVm vm;
  Fixture z(4);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kReserve; };
  z.alloc(3 * kBlock);
  CHECK(z.alloc(100, kMovable, 0, Placement::kGrowing).first.block() == BlockIndex{3});
  CHECK(z.alloc(100, kMovable, 0, Placement::kGrowing).first == first_pfn({3}) + 100);
}

}  // namespace
}  // namespace bm::pages
