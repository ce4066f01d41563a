// test_page_lists.cc: refill, drain, high marks, and what is held.  layer: tests
#include "pcp/page_lists.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>

#include "support/fake_vm.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pcp {
namespace {

using namespace test;

using PageLists = SlabPageLists;

template <class Lists>
struct FixtureOf : ZoneFixture {
  FixtureOf() : ZoneFixture(FakeVm::table) {}
  ~FixtureOf() { CHECK(zone.validate(2) == 0); }
  Pfn take(unsigned order, Migratetype type = kMovable) {
    Pfn p;
    REQUIRE(lists.alloc(zone, order, type, p));
    return p;
  }
  std::size_t out_of_zone() {
    const auto c = zone.counters();
    return c.opened_pages - c.free_pages;
  }
  Lists lists{};
};
using Fixture = FixtureOf<PageLists>;

// PL-1, and what the table promises; a batch must leave room on the list it drains.
TEMPLATE_TEST_CASE("the marks: batch below high, lists of at most 256 KiB", "[page_lists]", SlabPageLists,
                   ApiPageLists) {
  for (unsigned o = 0; o < TestType::kOrders; ++o) {
    CHECK(TestType::kBatch[o] > 0);
    CHECK(TestType::kBatch[o] < TestType::kHigh[o]);
    CHECK(TestType::kGathered[o] < TestType::kHigh[o]);  // one more is put there before all go
    CHECK(TestType::kHigh[o] <= TestType::kMaxHigh);
    CHECK((std::size_t{TestType::kHigh[o]} << (o + kPageShift)) <= 256 * 1024);
  }
}

TEMPLATE_TEST_CASE("refill: one batch, handed out from the lowest address up", "[page_lists]", SlabPageLists,
                   ApiPageLists) {
  FakeVm vm;
  FixtureOf<TestType> z;
  for (unsigned o = 0; o < TestType::kOrders; ++o) {
    const std::size_t batch = TestType::kBatch[o], before = z.out_of_zone();
    Pfn last = z.take(o);
    CHECK(z.out_of_zone() == before + (batch << o));
    CHECK(z.lists.held_pages() == (batch - 1) << o);
    for (std::size_t i = 1; i < batch; ++i) {
      const Pfn p = z.take(o);
      CHECK(last < p);
      CHECK(p.value % (1U << o) == 0);
      last = p;
    }
    CHECK(z.lists.held_pages() == 0);
    CHECK(z.out_of_zone() == before + (batch << o));
  }
}

TEST_CASE("the last freed is the next given, without the zone", "[page_lists]") {
  FakeVm vm;
  Fixture z;
  const Pfn a = z.take(2), b = z.take(2);
  const std::size_t before = z.out_of_zone();
  z.lists.free(z.zone, 2, kMovable, a);
  z.lists.free(z.zone, 2, kMovable, b);
  CHECK(z.take(2) == b);
  CHECK(z.take(2) == a);
  CHECK(z.out_of_zone() == before);
}

TEMPLATE_TEST_CASE("PL-1: at the high mark the oldest batch goes back", "[page_lists]", SlabPageLists, ApiPageLists) {
  FakeVm vm;
  for (unsigned o = 0; o < TestType::kOrders; ++o) {
    FixtureOf<TestType> z;
    const std::size_t high = TestType::kHigh[o], batch = TestType::kBatch[o];
    std::vector<Pfn> blocks;
    while (blocks.size() < high + 1 || z.lists.held_pages() != 0) blocks.push_back(z.take(o));
    for (std::size_t i = 0; i < high; ++i) z.lists.free(z.zone, o, kMovable, blocks[i]);
    CHECK(z.lists.held_pages() == high << o);
    CHECK(z.out_of_zone() == blocks.size() << o);
    z.lists.free(z.zone, o, kMovable, blocks[high]);
    CHECK(z.lists.held_pages() == (high - batch + 1) << o);
    CHECK(z.out_of_zone() == (blocks.size() - batch) << o);
    for (std::size_t i = 0; i < batch; ++i) CHECK(z.block(0).free.any(blocks[i].offset(), 1));
    for (std::size_t i = high + 1; i-- > batch;) CHECK(z.take(o) == blocks[i]);
  }
}

TEMPLATE_TEST_CASE("PL-1: a list that only spills is emptied and shut, until the next refill", "[page_lists]",
                   SlabPageLists, ApiPageLists) {
  FakeVm vm;
  for (unsigned o = 0; o < TestType::kOrders; ++o) {
    FixtureOf<TestType> z;
    std::vector<Pfn> blocks;
    for (std::size_t i = 0; i < 4 * TestType::kHigh[o]; ++i) blocks.push_back(z.take(o));
    while (z.lists.held_pages() != 0) blocks.push_back(z.take(o));
    for (const Pfn p : blocks) z.lists.free(z.zone, o, kMovable, p);
    CHECK(z.lists.held_pages() == 0);
    CHECK(z.out_of_zone() == 0);
    CHECK(!z.lists.takes(o, kMovable, kPagesPerBlock));  // for those who push by themselves
    const Pfn p = z.take(o);
    CHECK(z.lists.held_pages() == std::size_t{TestType::kBatch[o] - 1U} << o);
    z.lists.free(z.zone, o, kMovable, p);
    CHECK(z.take(o) == p);
  }
}

TEMPLATE_TEST_CASE("PL-1: on a shut list a few pages wait for one hold of the lock, while others use the pageblock",
                   "[page_lists]", SlabPageLists, ApiPageLists) {
  FakeVm vm;
  for (unsigned o = 0; o < TestType::kOrders; ++o) {
    FixtureOf<TestType> z;
    const std::size_t total = kPagesPerBlock >> o, most = TestType::kGathered[o];
    std::vector<Pfn> blocks;
    while (blocks.size() < total) blocks.push_back(z.take(o));
    z.lists.drain(z.zone);  // what a batch has of the next pageblock
    std::size_t held = 0, largest = 0, times_emptied = 0;
    for (const Pfn p : blocks) {
      z.lists.free(z.zone, o, kMovable, p);
      const std::size_t now = z.lists.held_pages() >> o;
      CHECK(now <= TestType::kHigh[o]);
      if (z.lists.takes(o, kMovable, kPagesPerBlock)) continue;  // not shut yet
      if (now == TestType::kHigh[o]) continue;                   // full, neither
      CHECK(now <= most);
      CHECK(z.lists.takes(o, kMovable, 0) == (now < most));  // as free() decides
      largest = std::max(largest, now);
      times_emptied += now < held ? 1 : 0;
      held = now;
    }
    CHECK(largest == most);
    CHECK(times_emptied > 0);
    CHECK(held == 0);  // the last pages of a pageblock do not wait
    CHECK(z.block(0).whole_free());
  }
}

TEST_CASE("pages of several orders that wait are given back once their pageblock could be whole with them",
          "[page_lists]") {
  FakeVm vm;
  Fixture z;
  constexpr unsigned kTwo[] = {1, 2};
  std::vector<Pfn> last[2];  // of the pageblock; as many as may wait
  for (const unsigned o : kTwo)
    while (last[o - 1].size() < PageLists::kGathered[o]) {
      pages::Run run;
      REQUIRE(z.zone.alloc(std::size_t{1} << o, kMovable, run));
      last[o - 1].push_back(run.first);
    }
  for (const unsigned o : kTwo) {  // shut
    std::vector<Pfn> blocks;
    while (blocks.size() < 4 * PageLists::kHigh[o]) blocks.push_back(z.take(o));
    z.lists.drain(z.zone);
    for (const Pfn p : blocks) z.lists.free(z.zone, o, kMovable, p);
    z.lists.drain(z.zone);
    REQUIRE(!z.lists.takes(o, kMovable, kPagesPerBlock));
  }
  for (const unsigned o : kTwo)
    for (const Pfn p : last[o - 1]) z.lists.free(z.zone, o, kMovable, p);
  CHECK(z.lists.held_pages() == 0);
  CHECK(z.block(0).whole_free());
}

TEST_CASE("larger orders go to the zone one by one", "[page_lists]") {
  FakeVm vm;
  Fixture z;
  for (unsigned o = PageLists::kOrders; o <= kPageblockOrder; ++o) {
    const Pfn p = z.take(o);
    CHECK(z.out_of_zone() == std::size_t{1} << o);
    CHECK(z.lists.held_pages() == 0);
    z.lists.free(z.zone, o, kMovable, p);
    CHECK(z.everything_free());
  }
}

TEST_CASE("lists of different orders and types are apart", "[page_lists]") {
  FakeVm vm;
  Fixture z;
  const Pfn unmovable = z.take(0, kUnmovable), movable = z.take(0, kMovable), larger = z.take(1, kMovable);
  CHECK(z.map.block(unmovable.block()).migratetype == kUnmovable);
  CHECK(z.map.block(movable.block()).migratetype == kMovable);
  z.lists.free(z.zone, 0, kUnmovable, unmovable);
  z.lists.free(z.zone, 1, kMovable, larger);
  CHECK(z.take(0, kMovable) != unmovable);
  CHECK(z.take(0, kUnmovable) == unmovable);
  CHECK(z.take(1, kMovable) == larger);
}

TEST_CASE("drain gives everything back, and the lists work on", "[page_lists]") {
  FakeVm vm;
  Fixture z;
  std::size_t taken = 0;
  for (unsigned o = 0; o < PageLists::kOrders; ++o)
    for (const Migratetype t : {kUnmovable, kMovable, kReclaimable}) {
      z.take(o, t);
      taken += std::size_t{1} << o;
    }
  CHECK(z.lists.held_pages() > 0);
  CHECK(z.out_of_zone() == taken + z.lists.held_pages());
  z.lists.drain(z.zone);
  CHECK(z.lists.held_pages() == 0);
  CHECK(z.out_of_zone() == taken);
  z.lists.drain(z.zone);
  z.take(0);
}

TEST_CASE("memory that runs out: what there is is given, then false", "[page_lists]") {
  FakeVm vm;
  vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kReserve && vm.count(VmOp::kReserve) == 2; };
  ZoneFixture z(FakeVm::table, space_of(1));
  PageLists lists{};
  std::set<std::uint32_t> pages;
  Pfn p;
  while (lists.alloc(z.zone, 0, kMovable, p)) REQUIRE(pages.insert(p.value).second);
  CHECK(pages.size() == kBlock);
  CHECK(lists.held_pages() == 0);
  CHECK_FALSE(lists.alloc(z.zone, 7, kMovable, p));
  lists.free(z.zone, 0, kMovable, p = {*pages.begin()});
  CHECK(lists.alloc(z.zone, 0, kMovable, p));
}

TEMPLATE_TEST_CASE("random use: no page twice, nothing lost, high marks kept", "[page_lists]", SlabPageLists,
                   ApiPageLists) {
  INFO("BUDDYMALLOC_SEED=" << seed());
  FakeVm vm;
  FixtureOf<TestType> z;
  struct Live {
    Pfn first;
    unsigned order;
    Migratetype type;
  };
  std::vector<Live> live;
  std::vector<char> used(64 * kBlock);
  Random random;
  std::size_t live_pages = 0, limit = 0;
  for (unsigned o = 0; o < TestType::kOrders; ++o) limit += 3 * (std::size_t{TestType::kHigh[o]} << o);
  for (int n = 0; n < 20000; ++n) {
    if (live.size() < 50 || (live.size() < 1000 && random.one_in(2))) {
      Live block{{}, static_cast<unsigned>(random.below(7)), static_cast<Migratetype>(random.below(3))};
      block.first = z.take(block.order, block.type);
      for (std::size_t i = 0; i < std::size_t{1} << block.order; ++i) REQUIRE(used.at(block.first.value + i)++ == 0);
      live_pages += std::size_t{1} << block.order;
      live.push_back(block);
    } else {
      const std::size_t at = random.below(live.size());
      const Live block = live[at];
      for (std::size_t i = 0; i < std::size_t{1} << block.order; ++i) used[block.first.value + i] = 0;
      z.lists.free(z.zone, block.order, block.type, block.first);
      live_pages -= std::size_t{1} << block.order;
      live[at] = live.back();
      live.pop_back();
    }
    if (random.one_in(1000)) z.lists.drain(z.zone);
    REQUIRE(z.out_of_zone() == live_pages + z.lists.held_pages());
    REQUIRE(z.lists.held_pages() <= limit);
  }
}

TEST_CASE("pop and push are the part of it that needs no zone", "[page_lists]") {
  FakeVm vm;
  Fixture z;
  Pfn p;
  CHECK_FALSE(z.lists.pop(1, kMovable, p));
  const Pfn first = z.take(1);
  const std::size_t out = z.out_of_zone();
  REQUIRE(z.lists.pop(1, kMovable, p));
  CHECK(p == first + 2);
  z.lists.push(1, kMovable, p);
  while (z.lists.takes(1, kMovable, 0)) z.lists.push(1, kMovable, z.take(1, kUnmovable));
  CHECK(z.out_of_zone() > out);
  CHECK(z.lists.pop(1, kMovable, p));
  CHECK(z.lists.takes(1, kMovable, 0));
}

}  // namespace
}  // namespace bm::pcp
