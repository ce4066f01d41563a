// test_zone_compact.cc: pageblocks set aside, placed into, and collapsed.  layer: tests
#include <catch2/catch.hpp>
#include <cstring>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  explicit Fixture(const AddressSpaceConfig& config = space_of(16, 16)) : ZoneFixture(FakeVm::table, config) {}
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  BlockView view(BlockIndex b) {
    BlockView v;
    REQUIRE(zone.look(b, v));
    return v;
  }
};

TEST_CASE("a look tells type and free pages, of opened pageblocks only", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  const Run run = z.alloc(100);
  BlockView v;
  REQUIRE(z.zone.look({0}, v));
  CHECK(v.type == kMovable);
  CHECK(v.free_pages == kBlock - 100);
  CHECK(v.free.count() == kBlock - 100);
  CHECK_FALSE(v.free.any(run.first.offset(), 100));
  CHECK_FALSE(z.zone.look({1}, v));
  CHECK_FALSE(z.zone.look({1000}, v));
  REQUIRE(z.zone.isolate({0}, 1));
  CHECK(z.view({0}).type == Migratetype::kIsolate);
  z.zone.unisolate({0}, 1);
}

TEST_CASE("PB-4: nothing lands in a pageblock that is set aside; put back, it is used again", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(100), b = z.alloc(28);
  REQUIRE(z.zone.set_aside({0}));
  CHECK(z.view({0}).type == Migratetype::kIsolate);
  CHECK(z.zone.interrupted());
  CHECK(z.zone.hides_blocks());
  CHECK(z.alloc(1).first.block() == BlockIndex{1});
  Run run;
  CHECK_FALSE(z.zone.alloc_in({0}, 1, run));
  z.free(a);
  CHECK(z.alloc(100).first.block() == BlockIndex{1});
  CHECK(z.zone.validate(2) == 0);
  CHECK_FALSE(z.zone.set_aside({0}));
  CHECK_FALSE(z.zone.put_back({0}));  // not empty
  CHECK_FALSE(z.zone.interrupted());
  CHECK_FALSE(z.zone.hides_blocks());
  REQUIRE(z.zone.set_aside({0}));
  z.free(b);
  CHECK(z.zone.put_back({0}));
  CHECK_FALSE(z.zone.put_back({0}));  // no harm
  CHECK(z.alloc(kBlock).first.block() == BlockIndex{0});
}

TEST_CASE("unopened, isolated and reserved pageblocks are not set aside", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  z.zone.keeps_reserve = true;
  z.alloc(kBlock), z.alloc(kBlock), z.alloc(1);
  const auto opened = static_cast<std::uint32_t>(z.zone.counters().opened_pages / kBlock);
  unsigned refused = 0;
  for (std::uint32_t b = 0; b < opened; ++b) {
    const bool done = z.zone.set_aside({b});
    CHECK(done == (z.block(b).migratetype != Migratetype::kHighAtomic));
    refused += done ? 0 : 1;
    z.zone.put_back({b});
  }
  CHECK(refused == 1);
  CHECK_FALSE(z.zone.set_aside({opened}));
  CHECK_FALSE(z.zone.set_aside({1000}));
  REQUIRE(z.zone.isolate({0}, 1));
  CHECK_FALSE(z.zone.set_aside({0}));
  z.zone.unisolate({0}, 1);
}

TEST_CASE("a fork's child puts back what was set aside", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  z.alloc(100);
  REQUIRE(z.zone.set_aside({0}));
  REQUIRE(z.zone.interrupted());
  z.zone.recover();
  CHECK_FALSE(z.zone.interrupted());
  CHECK(z.zone.validate(2) == 0);
  CHECK_FALSE(z.zone.put_back({0}));  // by the caller that goes on
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.alloc(1).first.block() == BlockIndex{0});
}

TEST_CASE("what becomes whole follows the watermarks", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  z.zone.watermarks = {0, 0};
  const Run run = z.alloc(100);
  z.at(run.first)[0] = 1;
  REQUIRE(z.zone.set_aside({0}));
  z.free(run);
  CHECK(vm.count(VmOp::kPurge) == 0);
  CHECK(z.zone.put_back({0}));
  CHECK(vm.count(VmOp::kPurge) == 1);
}

TEST_CASE("alloc_in takes from just this pageblock, when it is Movable and partly used", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  const Run a = z.alloc(kBlock - 32), b = z.alloc(kBlock);
  const Run u = z.alloc(1, kUnmovable);
  Run run;
  REQUIRE(z.zone.alloc_in(a.first.block(), 16, run));
  CHECK(run.first.block() == a.first.block());
  CHECK(run.pages == 16);
  CHECK(run.zeroed);
  CHECK_FALSE(z.zone.alloc_in(a.first.block(), 17, run));
  CHECK_FALSE(z.zone.alloc_in(b.first.block(), 1, run));  // full
  CHECK_FALSE(z.zone.alloc_in(u.first.block(), 1, run));  // of another type
  z.free(b);
  CHECK_FALSE(z.zone.alloc_in(b.first.block(), 1, run));  // whole-free
  CHECK_FALSE(z.zone.alloc_in({1000}, 1, run));
  BlockIndex cma;
  REQUIRE(z.zone.make_cma(2, cma));
  REQUIRE(z.zone.take(first_pfn(cma), 1, run));
  CHECK_FALSE(z.zone.alloc_in(cma, 1, run));
  const std::size_t opened = z.zone.counters().opened_pages;
  REQUIRE(z.zone.alloc_in(a.first.block(), 16, run));
  CHECK_FALSE(z.zone.alloc_in(a.first.block(), 1, run));
  CHECK(z.zone.counters().opened_pages == opened);
}

TEST_CASE("who moves blocks earns nothing by it: memory goes back as before", "[zone_compact]") {
  NoMoreSections vm;
  Fixture z;
  z.zone.watermarks = {0, 0};
  const Run run = z.alloc(kBlock / 2);
  z.at(run.first)[0] = 1;
  for (int k = 0; k < 10; ++k) {
    Run moved;
    REQUIRE(z.zone.alloc_in({0}, kBlock / 2, moved));
    z.free(moved);
  }
  z.free(run);
  CHECK(vm.count(VmOp::kPurge) == 1);
}

// Beyond its small pages, 4 KiB by 4 KiB.
struct Dense : Fixture {
  static constexpr std::size_t kSmall = 2;  // pageblocks
  static AddressSpaceConfig config() {
    AddressSpaceConfig c = space_of(16, 16);
    c.small_page_bytes = kSmall << kPageblockShift;
    return c;
  }
  explicit Dense(std::size_t touched = kBlock) : Fixture(config()) {
    runs[0] = alloc(kBlock), runs[1] = alloc(kBlock);  // the small pages
    for (std::size_t k = 2; k < 6; ++k) {
      runs[k] = alloc(kBlock);
      os::linux_vm.advise_huge(at(runs[k].first), kPageblockSize, false);
      std::memset(at(runs[k].first), static_cast<int>(k), touched << kPageShift);
      os::linux_vm.advise_huge(at(runs[k].first), kPageblockSize, true);
    }
    std::memset(at(runs[0].first), 1, kPageblockSize);
  }
  bool intact(std::size_t k) const {
    const char* p = at(runs[k].first);
    return p[0] == static_cast<char>(k) && std::memcmp(p, p + 1, kPageblockSize - 1) == 0;
  }
  Run runs[6];
};

TEST_CASE("dense pageblocks on small pages are collapsed once, neighbours in one call, contents kept",
          "[zone_compact][native]") {
  NoMoreSections vm;
  Dense z;
  const std::size_t granted = z.zone.collapse({0}, 6, 1);
  if (granted == 0) {
    WARN("the kernel cannot collapse: Linux before 6.1, or no memory for hugepages");
    return;
  }
  CHECK(granted == 4);
  CHECK(vm.count(VmOp::kCollapse) == 1);
  for (std::size_t k = 2; k < 6; ++k) CHECK(z.intact(k));
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.zone.collapse({0}, 6, 1) == 0);  // it is known
  CHECK(vm.count(VmOp::kCollapse) == 1);
  CHECK(z.zone.collapse({0}, 6, 2) == 4);  // a child of a fork asks again
  z.free(z.runs[3]);
  z.zone.purge(0, false);
  z.runs[3] = z.alloc(kBlock);
  std::memset(z.at(z.runs[3].first), 3, kPageblockSize);
  CHECK(z.zone.collapse({0}, 6, 2) == 1);  // purged in between
}

TEST_CASE("a pageblock is not collapsed when it is on the small pages, little used, set aside, or not touched",
          "[zone_compact]") {
  NoMoreSections vm;
  Dense z;
  const std::size_t before = vm.asked();
  CHECK(z.zone.collapse({0}, Dense::kSmall, 1) == 0);
  CHECK(vm.asked() == before);
  z.zone.free(z.runs[3].first, kBlock / 4 + 1);
  REQUIRE(z.zone.set_aside(z.runs[4].first.block()));
  os::linux_vm.purge(z.at(z.runs[5].first), kPageblockSize);
  const std::size_t asked = vm.asked();
  z.zone.collapse({3}, 3, 1);
  CHECK(vm.asked() == asked);
  z.zone.put_back(z.runs[4].first.block());
  z.zone.collapse({2}, 1, 1);
  CHECK(vm.asked() == asked + 1);  // but the dense one is
}

TEST_CASE("PB-3: a collapsed pageblock has memory behind all its pages", "[zone_compact][native]") {
  NoMoreSections vm;
  Dense z(kBlock / 4 * 3);
  for (const std::size_t at : {std::size_t{0}, kBlock / 8 * 7}) {
    z.zone.free(z.runs[2].first + at, kBlock / 8);
    z.block(2).dirty.clear(at, kBlock / 8);  // as if never handed out
  }
  z.zone.recover();
  const std::size_t backed = z.zone.counters().backed_free_pages;
  if (z.zone.collapse({2}, 1, 1) == 0) return;
  CHECK(z.zone.counters().backed_free_pages == backed + kBlock / 4);
  CHECK(z.block(2).dirty.count() == kBlock);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("neighbours that are refused together are tried one by one; refusals change nothing",
          "[zone_compact][native]") {
  NoMoreSections vm;
  Dense z;
  const auto refuse_before = vm.refuse;
  const char* const never = z.at(z.runs[3].first);
  vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kCollapse && never >= c.start && never < c.start + c.bytes; };
  const bool can = z.zone.collapse({5}, 1, 1) == 1;
  CHECK(z.zone.collapse({2}, 3, 1) == (can ? 2 : 0));
  CHECK(z.block(3).huge_in == 0);
  for (std::size_t k = 2; k < 6; ++k) CHECK(z.intact(k));
  CHECK(z.zone.validate(2) == 0);
  vm.refuse = refuse_before;
}

TEST_CASE("while the OS collapses, the pageblock is set aside and no lock is held", "[zone_compact]") {
  NoMoreSections vm;
  Dense z;
  bool looked = false;
  vm.refuse = [&](const VmCall& c) {
    if (c.op != VmOp::kCollapse) return false;
    looked = true;
    CHECK(z.view({2}).type == Migratetype::kIsolate);
    z.zone.free(z.runs[2].first, 8);
    return false;
  };
  z.zone.collapse({2}, 1, 1);
  CHECK(looked);
  CHECK(z.view({2}).type == kMovable);
  CHECK(z.alloc(8).first == z.runs[2].first);
}

}  // namespace
}  // namespace bm::pages
