// test_zone_validate.cc: every invariant, broken, is reported by its number.  layer: tests
#include <algorithm>
#include <catch2/catch.hpp>
#include <string>

#include <unistd.h>

#include "support/child.h"
#include "support/fake_vm.h"
#include "support/private_member.h"
#include "support/zone_fixture.h"

namespace bm::test {
struct IntentOf {
  using Owner = pages::Zone;
  friend void* member(IntentOf, pages::Zone&);
};
template struct PrivateMember<IntentOf, &pages::Zone::intent_>;
struct DirtyWholeOf {
  using Owner = pages::Zone;
  friend void* member(DirtyWholeOf, pages::Zone&);
};
template struct PrivateMember<DirtyWholeOf, &pages::Zone::dirty_whole_>;
struct UsedOf {
  using Owner = pages::Zone;
  friend void* member(UsedOf, pages::Zone&);
};
template struct PrivateMember<UsedOf, &pages::Zone::used_>;
struct ReserveBackedOf {
  using Owner = pages::Zone;
  friend void* member(ReserveBackedOf, pages::Zone&);
};
template struct PrivateMember<ReserveBackedOf, &pages::Zone::reserve_backed_>;
struct ChangesOf {
  using Owner = pages::Zone;
  friend void* member(ChangesOf, pages::Zone&);
};
template struct PrivateMember<ChangesOf, &pages::Zone::changes_>;
struct TopOf {
  using Owner = pages::FreeArea;
  friend void* member(TopOf, pages::FreeArea&);
};
template struct PrivateMember<TopOf, &pages::FreeArea::top_>;
}  // namespace bm::test

namespace bm::pages {
namespace {

using namespace test;

// Pageblock 0: 300 pages in use, the rest free and 20 of it dirty. 1: in use. 2: whole-free and dirty. 3: fresh.
struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table) {
    zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1};
    alloc(300);
    free(Run{alloc(20).first, 20});
    alloc(kBlock);
    free(alloc(2 * kBlock));
    REQUIRE(zone.validate(2) == 0);
  }
  // The invariants that validate names, once each.
  std::vector<std::string> broken() {
    int n = 0;
    const Ending e = in_child([&] { return (n = zone.validate(2)) > 0; });
    std::vector<std::string> names;
    for (std::size_t at = 0; (at = e.text.find("invariant ", at)) != std::string::npos; ++at)
      names.push_back(e.text.substr(at + 10, 4));
    CHECK(e.ok == !names.empty());
    CHECK(zone.validate(-1) == static_cast<int>(names.size()));
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }
};
using Names = std::vector<std::string>;

TEST_CASE("a zone that is well is reported so", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  CHECK(z.broken().empty());
}

TEST_CASE("PB-1: the count of free pages", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  ++z.block(0).free_pages;
  --z.block(3).free_pages;  // the sum is right
  CHECK(z.broken() == Names{"FA-2", "PB-1", "ZN-4"});
}

TEST_CASE("PB-2: the largest order", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  --z.block(0).largest_order;
  CHECK(z.broken() == Names{"FA-1", "PB-2"});
}

TEST_CASE("PB-3: a page handed out is dirty", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(0).dirty.clear(7, 1);
  CHECK(z.broken() == Names{"PB-3"});
}

TEST_CASE("PB-6: more pages in a row than a search has found", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(0).most_in_row = 0;
  CHECK(z.broken() == Names{"PB-6"});
}

TEST_CASE("PB-4: an isolated block is in no free set", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(0).isolated = true;
  CHECK(z.broken() == Names{"PB-4"});
  z.block(0).isolated = false;
  z.block(3).isolated = true;  // a whole-free one
  CHECK(z.broken() == Names{"FA-2", "PB-4", "ZN-4"});
}

TEST_CASE("FA-1: missing from its set, in a wrong one, in a second one", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  const unsigned own = FreeArea::set_of(kMovable, static_cast<unsigned>(z.block(0).largest_order));
  z.area.remove(own, {0});
  CHECK(z.broken() == Names{"FA-1"});
  z.area.insert(FreeArea::set_of(kUnmovable, 0), {0});
  CHECK(z.broken() == Names{"FA-1"});
  z.area.insert(own, {0});
  CHECK(z.broken() == Names{"FA-1"});
  z.area.remove(FreeArea::set_of(kUnmovable, 0), {0});
  z.area.insert(FreeArea::set_of(kMovable, 9), {1});  // a full one
  CHECK(z.broken() == Names{"FA-1"});
}

TEST_CASE("FA-2: kAnyWhole and kDirtyWhole", "[zone_validate]") {
  FakeVm vm;
  for (const unsigned set : {FreeArea::kAnyWhole, FreeArea::kDirtyWhole}) {
    Fixture z;
    z.area.remove(set, {2});
    CHECK(z.broken() == Names{"FA-2"});
    z.area.insert(set, {2});
    z.area.insert(set, {0});
    CHECK(z.broken() == Names{"FA-2"});
  }
}

TEST_CASE("FA-3: a summary", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  constexpr std::size_t kRow = (FreeArea::kTopWords - 1) * FreeArea::kSets;  // of the first blocks
  static_cast<std::uint64_t*>(member(TopOf{}, z.area))[kRow + FreeArea::kAnyWhole] ^= 1;
  CHECK(z.broken() == Names{"FA-3"});
}

TEST_CASE("MM-1: the entry of a free page", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.map.set_entry({511}, 1);
  CHECK(z.broken() == Names{"MM-1"});
}

TEST_CASE("ZN-1: the sum of free pages", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(0).free.clear(300, 1);  // a page vanishes, with all that is local to its pageblock
  z.block(0).dirty.set(300, 1);
  --z.block(0).free_pages;
  CHECK(z.broken() == Names{"ZN-1", "ZN-5"});
}

TEST_CASE("ZN-2: the sum of backed free pages", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(0).dirty.set(511, 1);
  CHECK(z.broken() == Names{"ZN-2"});
}

TEST_CASE("ZN-3: an intent that was not taken back", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  static_cast<std::size_t*>(member(IntentOf{}, z.zone))[2] = 5;
  CHECK(z.broken() == Names{"ZN-3"});
}

TEST_CASE("ZN-4: the number of dirty whole-free pageblocks", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  ++*static_cast<std::size_t*>(member(DirtyWholeOf{}, z.zone));
  CHECK(z.broken() == Names{"ZN-4"});
}

TEST_CASE("ZN-5: the number of pages handed out", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  ++*static_cast<std::size_t*>(member(UsedOf{}, z.zone));
  CHECK(z.broken() == Names{"ZN-5"});
}

TEST_CASE("ZN-6: one reserve, and its backed pages are its first", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.zone.keeps_reserve = true;
  while (z.zone.counters().reserved_highatomic == 0) z.alloc(kBlock);
  std::uint32_t b = 0;
  while (z.block(b).migratetype != Migratetype::kHighAtomic) ++b;
  REQUIRE(z.broken().empty());
  Pageblock& d = z.block(b);
  d.dirty.clear(15, 1);
  CHECK(z.broken() == Names{"ZN-2", "ZN-6"});
  d.dirty.set(100, 1);  // as many, elsewhere
  CHECK(z.broken() == Names{"ZN-6"});
  d.dirty.set(15, 1);
  CHECK(z.broken() == Names{"ZN-2", "ZN-6"});
  d.dirty.clear(100, 1);
  auto& backed = *static_cast<std::size_t*>(member(ReserveBackedOf{}, z.zone));
  ++backed;
  CHECK(z.broken() == Names{"ZN-6"});
  --backed;
  const Migratetype was = std::exchange(z.block(1).migratetype, Migratetype::kHighAtomic);  // a full one: in no set
  CHECK(z.broken() == Names{"ZN-6"});
  z.block(1).migratetype = was;
  CHECK(z.broken().empty());
}

TEST_CASE("ZN-7: a number of changes that is odd at rest", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  ++*static_cast<std::atomic<std::uint32_t>*>(member(ChangesOf{}, z.zone));
  CHECK(z.broken() == Names{"ZN-7"});
}

TEST_CASE("AS-1: opened, committed, reserved", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  Section& s = z.map.section(0);
  const Section was = s;
  s.committed = s.opened - 1;
  CHECK(z.broken() == Names{"AS-1"});
  s.committed = s.blocks + 1;
  CHECK(z.broken() == Names{"AS-1"});
  s = was;
  CHECK(z.broken().empty());
}

TEST_CASE("a broken clause is one line, with its number and the pageblock", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.block(2).free_pages = 7;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  CHECK(z.zone.validate(ends[1]) > 0);
  close(ends[1]);
  char text[256] = {};
  CHECK(read(ends[0], text, sizeof text - 1) > 0);
  close(ends[0]);
  CHECK(std::string(text).substr(0, 51) == "buddymalloc: invariant PB-1 broken, pageblock 2\nbud");
}

TEST_CASE("all broken clauses are reported, and none is repaired", "[zone_validate]") {
  FakeVm vm;
  Fixture z;
  z.map.set_entry({511}, 1);
  z.block(0).dirty.clear(7, 1);
  z.block(0).isolated = true;
  CHECK(z.broken() == Names{"MM-1", "PB-3", "PB-4"});
  CHECK(z.broken() == Names{"MM-1", "PB-3", "PB-4"});
}

}  // namespace
}  // namespace bm::pages
