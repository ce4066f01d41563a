// test_zone_alloc.cc: runs inside one pageblock: split, merge, exact lengths, packing, alignment, batches.  layer: tests
#include <catch2/catch.hpp>
#include <csignal>

#include "support/child.h"
#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  // Free blocks by order in the first pageblock.
  std::vector<std::size_t> orders() {
    std::vector<std::size_t> n(kPageblockOrder + 1);
    block(0).free.count_blocks(n.data());
    return n;
  }
};
using Orders = std::vector<std::size_t>;

TEST_CASE("a page splits a pageblock into one block of each order", "[zone]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(1);
  CHECK(run.first == Pfn{0});
  CHECK(run.zeroed);
  CHECK(z.orders() == Orders{1, 1, 1, 1, 1, 1, 1, 1, 1, 0});
  z.free(run);
  CHECK(z.orders() == Orders{0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
}

TEST_CASE("blocks merge by the three conditions only", "[zone]") {
  FakeVm vm;
  Fixture z;
  z.alloc(kBlock);
  const auto give = [&](std::uint32_t at, std::size_t n) { z.zone.free({at}, n); };
  SECTION("same size, adjacent, same parent: one block") {
    give(8, 4), give(12, 4);
    CHECK(z.orders() == Orders{0, 0, 0, 1, 0, 0, 0, 0, 0, 0});
  }
  SECTION("adjacent but of different parents: two") {
    give(4, 4), give(8, 4);
    CHECK(z.orders() == Orders{0, 0, 2, 0, 0, 0, 0, 0, 0, 0});
  }
  SECTION("same parent but of different size: two") {
    give(8, 4), give(12, 2);
    CHECK(z.orders() == Orders{0, 1, 1, 0, 0, 0, 0, 0, 0, 0});
  }
  SECTION("same size and parent's parent but not adjacent: two") {
    give(0, 2), give(6, 2);
    CHECK(z.orders() == Orders{0, 2, 0, 0, 0, 0, 0, 0, 0, 0});
  }
}

TEST_CASE("lengths that are no power of two: exact, the tail stays free", "[zone]") {
  FakeVm vm;
  Fixture z;
  for (std::size_t n = 1; n <= kBlock; ++n) {
    const Run run = z.alloc(n);
    REQUIRE(run.first.value % (std::size_t{1} << ceil_order(n)) == 0);
    REQUIRE(z.zone.counters().free_pages == z.zone.counters().opened_pages - n);
    z.free(run);
    REQUIRE(z.everything_free());
  }
  const Run five = z.alloc(5), three = z.alloc(3);
  CHECK(five.first == Pfn{0});
  CHECK(three.first == Pfn{8});  // order 2: the tail has room for 3 pages, but not aligned
  CHECK(z.alloc(2).first == Pfn{6});
  CHECK(z.alloc(1).first == Pfn{5});
}

TEST_CASE("any part of a run may be freed", "[zone]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(100);
  z.zone.free(run.first + 10, 1);
  z.zone.free(run.first + 90, 10);
  CHECK(z.alloc(1).first == run.first + 10);
  z.zone.free(run.first, 90);
  CHECK(z.everything_free());
}

TEST_CASE("packed: the smallest sufficient order, then the lowest address, never the last freed", "[zone]") {
  FakeVm vm;
  Fixture z;
  z.alloc(kBlock);
  const auto give = [&](std::uint32_t at, std::size_t n) { z.zone.free({at}, n); };
  give(64, 16), give(32, 4), give(200, 4), give(100, 2);
  CHECK(z.alloc(2).first == Pfn{100});  // exact fit
  CHECK(z.alloc(2).first == Pfn{32});   // lower of two order-2 blocks, although freed before the other
  CHECK(z.alloc(3).first == Pfn{200});
  CHECK(z.alloc(1).first == Pfn{203});
  CHECK(z.alloc(1).first == Pfn{34});
  CHECK(z.alloc(8).first == Pfn{64});
}

TEST_CASE("packed: the pageblock whose largest free order is the smallest sufficient one, then the lowest", "[zone]") {
  FakeVm vm;
  Fixture z;
  for (int b = 0; b < 4; ++b) z.alloc(kBlock);
  z.zone.free(first_pfn({0}), 64);
  z.zone.free(first_pfn({1}), 16);
  z.zone.free(first_pfn({2}), 16);
  z.zone.free(first_pfn({3}), 4);
  CHECK(z.alloc(8).first == first_pfn({1}));
  CHECK(z.alloc(4).first == first_pfn({3}));
  CHECK(z.alloc(16).first == first_pfn({2}));
  CHECK(z.alloc(16).first == first_pfn({0}));
}

TEST_CASE("alignment up to a pageblock", "[zone]") {
  FakeVm vm;
  Fixture z;
  z.alloc(1);
  for (unsigned order = 0; order <= kPageblockOrder; ++order) {
    const Run run = z.alloc(1, kMovable, order);
    CHECK(reinterpret_cast<std::uintptr_t>(z.at(run.first)) % (kPageSize << order) == 0);
    const Run longer = z.alloc(3, kMovable, order);
    CHECK(reinterpret_cast<std::uintptr_t>(z.at(longer.first)) % (kPageSize << std::max(order, 2U)) == 0);
  }
}

TEST_CASE("batches: from one pageblock as far as it lasts, each run told whether it is zero", "[zone]") {
  FakeVm vm;
  Fixture z;
  Run fresh[80], again[80];
  REQUIRE(z.zone.alloc_batch(3, kMovable, 80, fresh) == 80);
  for (unsigned i = 0; i < 80; ++i) {
    CHECK(fresh[i].first == Pfn{3 * i});  // snug: no page is left between them
    CHECK(fresh[i].pages == 3);
    CHECK(fresh[i].zeroed);
  }
  Pfn back[40];
  for (unsigned i = 0; i < 40; ++i) back[i] = fresh[2 * i].first;
  z.zone.free_batch(3, back, 40);
  REQUIRE(z.zone.alloc_batch(3, kMovable, 60, again) == 60);
  for (unsigned i = 0; i < 60; ++i) {
    CHECK(again[i].first == Pfn{i < 40 ? 6 * i : 120 + 3 * i});  // the gaps first
    CHECK(again[i].zeroed == (i >= 40));
  }
  CHECK(z.zone.counters().free_pages == z.zone.counters().opened_pages - 3 * 100);
}

TEST_CASE("a batch ends where memory ends", "[zone]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(2));
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kReserve; };
  Run runs[10];
  CHECK(z.zone.alloc_batch(256, kMovable, 10, runs) == 4);
  CHECK(z.zone.alloc_batch(1, kMovable, 10, runs) == 0);
  Run run;
  CHECK_FALSE(z.zone.alloc(1, kMovable, run));
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("fresh memory is known to be zero, used memory is not", "[zone]") {
  FakeVm vm;
  Fixture z;
  const Run first = z.alloc(8);
  z.free(first);
  CHECK_FALSE(z.alloc(8).zeroed);
  CHECK(z.alloc(8).zeroed);
  z.zone.free({7}, 1);
  CHECK_FALSE(z.alloc(1).zeroed);
}

TEST_CASE("without the lock, how many pages of a pageblock are free", "[zone]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(10);
  CHECK(z.zone.free_pages_guess({0}) == kBlock - 10);
  z.zone.free(run.first, 3);
  CHECK(z.zone.free_pages_guess({0}) == kBlock - 7);
}

TEST_CASE("pages freed twice are fatal: in whole, in part, by batch", "[zone]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.alloc(10);
  z.alloc(600);
  z.zone.free(run.first + 3, 2);
  const auto dies = [&](std::uint32_t at, std::size_t pages) {
    const Ending e = in_child([&] { return z.zone.free({at}, pages), true; });
    return e.signal == SIGABRT && e.text.find("buddymalloc: pages freed twice: 0x") == 0;
  };
  CHECK(dies(3, 2));
  CHECK(dies(0, 10));
  CHECK(dies(4, 3));
  CHECK(dies(kBlock + 599, 2));
  const Ending batch = in_child([&] {
    const Pfn twice[] = {run.first, run.first};
    return z.zone.free_batch(1, twice, 2), true;
  });
  CHECK(batch.signal == SIGABRT);
  CHECK(in_child([&] { return z.zone.free(run.first, 3), true; }).ok);
}

TEST_CASE("count_free by type and order: the sums are exact", "[zone]") {
  FakeVm vm;
  Fixture z;
  z.alloc(1, kUnmovable);
  z.alloc(3 * kBlock, kMovable);
  z.zone.free(first_pfn({1}), 3 * kBlock);
  z.alloc(7, kReclaimable);  // in pageblock 1; 2 and 3 are a pair
  std::size_t n[kMigratetypes][kReportOrders] = {};
  z.zone.count_free(n);
  std::size_t pages = 0;
  for (const auto& row : n)
    for (unsigned o = 0; o < kReportOrders; ++o) pages += row[o] << o;
  CHECK(pages == z.zone.counters().free_pages);
  CHECK(n[index(kMovable)][10] == 1);
  CHECK(n[index(kMovable)][9] == 0);
  for (unsigned o = 0; o < 9; ++o) CHECK(n[index(kUnmovable)][o] == 1);
  CHECK(n[index(kReclaimable)][0] == 1);
  CHECK(n[index(kReclaimable)][8] == 1);
}

}  // namespace
}  // namespace bm::pages
