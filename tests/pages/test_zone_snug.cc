// test_zone_snug.cc: runs of any length among what is in use, and where runs that grow are put.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

// The last n pages of a pageblock.
Pfn end_of(std::uint32_t b, std::uint32_t n) { return {first_pfn({b + 1}).value - n}; }

struct Fixture : ZoneFixture {
  explicit Fixture(std::size_t blocks = 32) : ZoneFixture(FakeVm::table, space_of(blocks)) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  Pfn snug(std::size_t n, Migratetype type = kMovable) { return alloc(n, type, 0, Placement::kSnug).first; }
  Pfn growing(std::size_t n) { return alloc(n, kMovable, 0, Placement::kGrowing).first; }
};

TEST_CASE("snug: from where the free pages begin, over the end of a partly used pageblock of the type", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  const auto snug = [&](std::size_t n, Migratetype type = kMovable) {
    return z.alloc(n, type, 0, Placement::kSnug).first;
  };
  for (std::uint32_t i = 0; i < 20; ++i) CHECK(snug(300) == Pfn{300 * i});
  CHECK(z.zone.counters().opened_pages <= 13 * kBlock);
  CHECK(snug(3 * kBlock) == Pfn{20 * 300});  // whole pageblocks no less
  const std::uint32_t end = 20 * 300 + 3 * kBlock;
  CHECK(snug(70, kUnmovable) == first_pfn(Pfn{end}.block() + 1));  // another type
  CHECK(snug(64) == Pfn{end});
}

TEST_CASE("snug with an alignment asked for is packed, and so is growing", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  z.alloc(1);
  CHECK(z.alloc(5, kMovable, 3, Placement::kSnug).first == Pfn{8});
  CHECK(z.alloc(kBlock + 1, kMovable, 1, Placement::kSnug).first == first_pfn({1}));
  CHECK(z.alloc(5, kMovable, 3, Placement::kGrowing).first == Pfn{16});
  CHECK(z.alloc(8, kMovable, 0, Placement::kSnug).first == Pfn{21});
}

TEST_CASE("snug: a whole-free, hidden or reserved pageblock below stays what it is", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  std::vector<Run> one;
  for (int b = 0; b < 4; ++b) one.push_back(z.alloc(kBlock));
  z.zone.free(one[1].first + 300, kBlock - 300);
  z.free(one[2]);
  const auto snug = [&](std::size_t n) {
    const Run run = z.alloc(n, kMovable, 0, Placement::kSnug);
    z.free(run);
    return run.first;
  };
  CHECK(snug(400) == one[1].first + 300);
  REQUIRE(z.zone.isolate({1}, 1));
  CHECK(snug(400) == one[2].first);
  z.zone.unisolate({1}, 1);
  REQUIRE(z.zone.set_aside({1}));
  CHECK(snug(400) == one[2].first);
  z.zone.put_back({1});
  z.zone.free(one[3].first, 400);
  CHECK(snug(300) == one[3].first);  // not the whole-free one's end
  CHECK(z.block(2).whole_free());
}

TEST_CASE("snug: gaps add up to little, whatever the size", "[zone_snug]") {
  FakeVm vm;
  for (const std::size_t n : {17U, 33U, 65U, 129U, 257U, 400U, 513U, 700U}) {
    ZoneFixture z(FakeVm::table);
    std::size_t asked = 0;
    for (; asked < 8 * kBlock; asked += n) z.alloc(n, kMovable, 0, Placement::kSnug);
    CAPTURE(n);
    CHECK(z.zone.counters().opened_pages <= asked + 2 * kBlock);
  }
}

TEST_CASE("snug: what a run leaves behind serves the next of its length", "[zone_snug]") {
  FakeVm vm;
  for (const std::size_t n :
       {17U, 65U, 70U, 129U, 193U, 257U, 270U, 400U, 511U, 513U, 700U, 733U, 1022U, 1023U, 2075U}) {
    ZoneFixture z(FakeVm::table, space_of(256));
    std::vector<Run> runs;
    for (int i = 0; i < 40; ++i) runs.push_back(z.alloc(n, kMovable, 0, Placement::kSnug));
    const std::size_t opened = z.zone.counters().opened_pages;
    CAPTURE(n);
    for (std::size_t round = 0; round < 3; ++round) {
      for (std::size_t i = round; i < runs.size(); i += 3) z.free(runs[i]);
      for (std::size_t i = round; i < runs.size(); i += 3) runs[i] = z.alloc(n, kMovable, 0, Placement::kSnug);
      CHECK(z.zone.counters().opened_pages == opened);
    }
    CHECK(z.zone.validate(2) == 0);
  }
}

TEST_CASE("snug: the fullest pageblock that has so many pages in a row, in it the lowest of these", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  for (int b = 0; b < 4; ++b) z.alloc(kBlock);
  z.zone.free({100}, 300);                 // has an order 8
  z.zone.free(first_pfn({1}) + 1, 126);    // order 5
  z.zone.free(first_pfn({1}) + 385, 126);  // another
  z.zone.free(first_pfn({3}) + 301, 126);  // order 6
  CHECK(z.snug(126) == first_pfn({1}) + 1);
  CHECK(z.snug(120) == first_pfn({1}) + 385);
  CHECK(z.snug(126) == first_pfn({3}) + 301);
  CHECK(z.snug(126) == Pfn{100});
  CHECK(z.snug(126) == Pfn{226});
}

TEST_CASE("snug: free pages on both sides of the end of a pageblock are one run", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  for (int b = 0; b < 6; ++b) z.alloc(kBlock);
  z.zone.free({kBlock - 250}, 250);
  z.zone.free({kBlock}, 30);
  CHECK(z.snug(280) == Pfn{kBlock - 250});  // the longer part is below
  z.zone.free(end_of(2, 30), 30);
  z.zone.free(first_pfn({3}), 250);
  CHECK(z.snug(280) == end_of(2, 30));  // above
  z.zone.free(end_of(4, 20), 20);
  z.zone.free(first_pfn({5}), 20);
  REQUIRE(z.zone.isolate({4}, 1));
  CHECK(z.snug(40).block() == BlockIndex{6});  // not with what is hidden
  z.zone.unisolate({4}, 1);
  CHECK(z.snug(40) == end_of(4, 20));
}

TEST_CASE("snug: whole-free pageblocks with what is free before and behind them", "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  const Run all = z.alloc(12 * kBlock);
  z.zone.free(all.first + kBlock, kBlock);        // one alone
  z.zone.free(end_of(4, 100), 100 + 2 * kBlock);  // two, and some before
  z.zone.free(first_pfn({7}), 50);                // and behind
  CHECK(z.snug(2 * kBlock + 150) == end_of(4, 100));
  CHECK(z.snug(kBlock + 1) == first_pfn({12}));  // the one alone is not enough
  CHECK(z.snug(kBlock) == first_pfn({1}));
}

TEST_CASE("snug: the search is bounded", "[zone_snug]") {
  FakeVm vm;
  Fixture z(128);
  z.alloc(100 * kBlock);
  for (std::uint32_t b = 0; b < 32; ++b) z.zone.free(first_pfn({b}) + 10, 40);  // too short
  z.zone.free(first_pfn({70}) + 10, 45);
  CHECK(z.snug(44) == first_pfn({100}));    // it was not looked at
  for (int i = 0; i < 2; ++i) z.alloc(16);  // from the first of the 32, which has only smaller blocks now
  CHECK(z.snug(44) == first_pfn({70}) + 10);
}

TEST_CASE("growing: with room to double, else for an eighth more, else where it just fits, else at whole pageblocks",
          "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  for (int b = 0; b < 5; ++b) z.alloc(kBlock);
  z.zone.free(first_pfn({0}) + 1, 101);
  z.zone.free(first_pfn({1}) + 1, 113);
  z.zone.free(first_pfn({2}) + 1, 200);
  z.zone.free(first_pfn({3}) + 1, 100);
  CHECK(z.growing(100) == first_pfn({2}) + 1);
  CHECK(z.growing(100) == first_pfn({1}) + 1);
  CHECK(z.growing(100) == first_pfn({0}) + 1);
  // 100 pages are left in block 2, too, in larger blocks.
  CHECK(z.growing(100) == first_pfn({3}) + 1);
  CHECK(z.growing(100) == first_pfn({2}) + 101);
  const Pfn fresh = z.growing(100);
  CHECK(fresh == first_pfn({5}));
  CHECK(z.zone.extend(fresh, 100, 2 * kBlock));
}

TEST_CASE("growing: from a quarter of a pageblock on, at opened whole ones before it is content with less than double",
          "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  std::vector<Run> one;
  for (int b = 0; b < 6; ++b) one.push_back(z.alloc(kBlock));
  z.zone.free(first_pfn({0}) + 1, 250);  // an eighth more than 212
  z.zone.free(first_pfn({5}) + 1, kBlock - 1);
  z.free(one[3]);
  const Pfn doubles = z.growing(250);
  CHECK(doubles == first_pfn({5}) + 1);
  CHECK(z.zone.extend(doubles, 250, kBlock - 1));
  const Pfn shorter = z.growing(127);
  CHECK(shorter == first_pfn({0}) + 1);
  z.zone.free(shorter, 127);
  const Pfn moved = z.growing(212);
  CHECK(moved == first_pfn({3}));
  CHECK(z.zone.extend(moved, 212, kBlock));
  CHECK(z.growing(212) == first_pfn({0}) + 1);  // none is opened for it
}

TEST_CASE("growing: of whole pageblocks such a run has eight in a row first, and none that are not backed",
          "[zone_snug]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks.high = 32 * kBlock;
  std::vector<Run> one;
  for (int b = 0; b < 16; ++b) one.push_back(z.alloc(kBlock));
  z.zone.free(first_pfn({0}) + 1, 250);
  for (int b = 2; b < 13; ++b)
    if (b < 4 || b >= 5) z.free(one[static_cast<std::size_t>(b)]);
  const Pfn ample = z.growing(212);
  CHECK(ample == first_pfn({5}));
  CHECK(z.zone.extend(ample, 212, 8 * kBlock));
  const Pfn lowest = z.growing(212);
  CHECK(lowest == first_pfn({2}));
  z.zone.free(lowest, 212);
  z.zone.purge(0, false);
  CHECK(z.growing(212) == first_pfn({0}) + 1);
}

}  // namespace
}  // namespace bm::pages
