// test_zone_move.cc: pageblocks that hand their memory to others, and the mappings that makes.  layer: tests
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>

#include "support/child.h"
#include "support/fake_clock.h"
#include "support/fake_vm.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

pages::AddressSpaceConfig on_hugepages() {
  pages::AddressSpaceConfig config = space_of(1024, 1024);
  config.small_page_bytes = 0;
  return config;
}

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table, on_hugepages()) { zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1}; }
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  Run painted(std::size_t blocks, int colour) {
    const Run run = alloc(blocks * kBlock);
    std::memset(at(run.first), colour, run.pages << kPageShift);
    return run;
  }
  bool holds(Pfn first, std::size_t blocks, int colour) {
    const char* p = at(first);
    return p[0] == colour && std::memcmp(p, p + 1, (blocks << kPageblockShift) - 1) == 0;
  }
  bool move(const Run& from, const Run& to) {
    return zone.move(from.first.block(), to.first.block(), from.pages / kBlock);
  }
};

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t n = 0;
  for (std::string line; std::getline(maps, line);) ++n;
  return n;
}

TEST_CASE("memory moves with its contents, and what it leaves is free and clean", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  const Run from = z.painted(3, 7), to = z.painted(4, 9);
  REQUIRE(z.move(from, to));
  CHECK(z.holds(to.first, 3, 7));
  CHECK(z.holds(to.first + 3 * kBlock, 1, 9));
  z.zone.free_moved(from.first.block(), 3);
  CHECK(z.zone.counters().backed_free_pages == 0);
  const Run again = z.alloc(3 * kBlock);
  CHECK(again.first == from.first);
  CHECK(again.zeroed);
  CHECK(z.holds(again.first, 3, 0));
  CHECK(z.holds(to.first, 3, 7));
}

TEST_CASE("a move that is refused leaves everything in use, and the source as it was", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  const Run from = z.painted(2, 7), to = z.painted(2, 9);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kMove; };
  CHECK_FALSE(z.move(from, to));
  CHECK(z.holds(from.first, 2, 7));
  CHECK(z.zone.counters().free_pages + 4 * kBlock == z.zone.counters().opened_pages);
}

// The kernel's mappings are told apart by what a sanitizer maps, too.
TEST_CASE("what has been moved to is one mapping with its neighbours again after a purge", "[zone_move][native]") {
  FakeVm vm;
  Fixture z;
  const Run a = z.painted(2, 1), b = z.painted(2, 2), c = z.painted(2, 3), end = z.painted(1, 4);
  const std::size_t before = mappings();
  REQUIRE(z.move(a, b));
  z.zone.free_moved(a.first.block(), 2);
  CHECK(mappings() == before + 2);
  REQUIRE(z.move(b, c));
  z.zone.free_moved(b.first.block(), 2);  // was moved to, and is renewed
  CHECK(vm.count(VmOp::kRenew) == 1);
  CHECK(mappings() <= before + 2);
  CHECK(z.holds(c.first, 2, 1));
  z.free(c);
  CHECK(z.zone.purge(0, false) == 2 * kBlock);
  CHECK(vm.count(VmOp::kRenew) == 2);
  CHECK(mappings() == before);
  CHECK(z.alloc(6 * kBlock).zeroed);
  CHECK(z.holds(end.first, 1, 4));
}

TEST_CASE("a purge of a part of what moved counts the rest", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  const Run from = z.painted(5, 7), to = z.painted(5, 9);
  REQUIRE(z.move(from, to));
  z.zone.free(to.first + 2 * kBlock, kBlock);  // out of its middle
  CHECK(z.zone.purge(0, false) == kBlock);
  CHECK(z.zone.validate(2) == 0);
  z.zone.free(to.first, kBlock);
  CHECK(z.zone.purge(0, false) == kBlock);
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.holds(to.first + kBlock, 1, 7));
  CHECK(z.holds(to.first + 3 * kBlock, 2, 7));
}

TEST_CASE("there are at most so many mappings more", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  std::vector<Run> kept;
  std::size_t moves = 0;
  for (int i = 0; i < 300; ++i) {
    const Run from = z.alloc(kBlock);
    const Run to = z.alloc(kBlock);
    z.alloc(kBlock);  // apart from the next
    *z.at(from.first) = 1;
    if (!z.move(from, to)) {
      z.free(from);
      continue;
    }
    z.zone.free_moved(from.first.block(), 1);
    kept.push_back(to);
    ++moves;
  }
  CHECK(moves == 256);
  for (const Run& run : kept) z.free(run);
  z.zone.purge(0, false);
  const Run from = z.painted(1, 1), to = z.alloc(kBlock);
  CHECK(z.move(from, to));  // purged, they do not count any more
}

TEST_CASE("a fork's child counts what has been moved", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  const Run from = z.painted(2, 7), to = z.painted(2, 9);
  REQUIRE(z.move(from, to));
  z.zone.recover();
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.holds(to.first, 2, 7));
}

TEST_CASE("any order of moves, frees and purges keeps contents and counts", "[zone_move]") {
  FakeVm vm;
  Fixture z;
  Random random(11);
  struct Block {
    Run run;
    int colour;
  };
  std::vector<Block> blocks;
  int colour = 0;
  for (int step = 0; step < 600; ++step) {
    const std::size_t size = 1 + random.below(4);
    if (blocks.size() < 6) {
      colour = colour % 100 + 1;
      blocks.push_back({z.painted(size, colour), colour});
      continue;
    }
    const std::size_t i = random.below(blocks.size());
    Block& b = blocks[i];
    const std::size_t n = b.run.pages / kBlock;
    REQUIRE(z.holds(b.run.first, n, b.colour));
    switch (random.below(4)) {
      case 0:
        z.free(b.run);
        blocks.erase(blocks.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      case 1: z.zone.purge(0, true); break;
      default: {
        const Run to = z.alloc(b.run.pages);
        REQUIRE(z.zone.move(b.run.first.block(), to.first.block(), n));
        z.zone.free_moved(b.run.first.block(), n);
        b.run = to;
      }
    }
    REQUIRE(z.zone.validate(2) == 0);
  }
  for (const Block& b : blocks) CHECK(z.holds(b.run.first, b.run.pages / kBlock, b.colour));
}

struct OnSmallPages : ZoneFixture {
  OnSmallPages() : ZoneFixture(FakeVm::table) {}
  ~OnSmallPages() { CHECK(zone.validate(2) == 0); }
  Run painted(std::size_t pages) {
    const Run run = alloc(pages, kMovable, 0, Placement::kSnug);
    std::memset(at(run.first), 7, pages << kPageShift);
    return run;
  }
  void free_outgrown(const Run& run) { zone.free_outgrown(run.first, run.pages); }
};

TEST_CASE("what a grown run leaves on small pages goes back at once", "[zone_move]") {
  FakeVm vm;
  OnSmallPages z;
  z.alloc(kBlock - 50);
  const Run run = z.painted(120);  // in two pageblocks
  const Run behind = z.painted(3);
  z.free_outgrown(run);
  CHECK(vm.count(VmOp::kPurge) == 1);
  CHECK(z.zone.counters().backed_free_pages == 0);
  CHECK(z.zone.counters().purged_pages == 120);
  const Run again = z.alloc(120, kMovable, 0, Placement::kSnug);
  CHECK(again.first == run.first);
  CHECK(again.zeroed);
  CHECK(*z.at(again.first) == 0);
  CHECK(*z.at(behind.first) == 7);
}

TEST_CASE("it stays where it is short, or the OS refuses, or on hugepages", "[zone_move]") {
  FakeVm vm;
  OnSmallPages z;
  const Run shorter = z.painted(63), refused = z.painted(64), taken = z.painted(64);
  z.free_outgrown(shorter);
  CHECK(z.zone.counters().backed_free_pages == 63);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kPurge; };
  z.free_outgrown(refused);
  CHECK(z.zone.counters().backed_free_pages == 63 + 64);
  vm.refuse = {};
  z.free_outgrown(taken);
  CHECK(z.zone.counters().backed_free_pages == 63 + 64);
  Fixture huge;
  huge.zone.free_outgrown(huge.painted(2, 7).first, 2 * kBlock);
  CHECK(huge.zone.counters().backed_free_pages == 2 * kBlock);
}

TEST_CASE("it stays when what went back has been wanted again, for a while", "[zone_move]") {
  FakeVm vm;
  FakeClock clock;
  OnSmallPages z;
  z.free_outgrown(z.painted(100));
  CHECK(z.zone.counters().backed_free_pages == 0);
  z.free_outgrown(z.painted(100));  // the same pages
  CHECK(z.zone.counters().backed_free_pages == 100);
  clock.pass(10 * kHalfLife);
  z.free_outgrown(z.painted(100));
  CHECK(z.zone.counters().backed_free_pages == 0);
}

}  // namespace
}  // namespace bm::pages
