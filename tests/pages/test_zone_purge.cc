// test_zone_purge.cc: memory going back: what is called zero is zero, watermarks, holes, purges that fail.  layer: tests
#include <catch2/catch.hpp>
#include <cstring>

#include "support/child.h"
#include "support/fake_vm.h"
#include "support/private_member.h"
#include "support/zone_fixture.h"

namespace bm::test {

struct EntriesOf {
  using Owner = pages::MemMap;
  friend void* member(EntriesOf, pages::MemMap&);
};
template struct PrivateMember<EntriesOf, &pages::MemMap::entries_>;

}  // namespace bm::test

namespace bm::pages {
namespace {

using namespace test;

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table) { zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1}; }
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  Run used(std::size_t pages) {
    const Run run = alloc(pages);
    std::memset(at(run.first), 0xA5, pages << kPageShift);
    return run;
  }
  bool reads_zero(const Run& run) {
    const char* p = at(run.first);
    return p[0] == 0 && std::memcmp(p, p + 1, (run.pages << kPageShift) - 1) == 0;
  }
};

TEST_CASE("purged pageblocks are called zero, and are", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(2 * kBlock + 10));
  CHECK(z.zone.counters().backed_free_pages == 2 * kBlock + 10);
  CHECK(z.zone.purge(0, false) == 2 * kBlock + 10);
  CHECK(z.zone.counters().backed_free_pages == 0);
  CHECK(z.zone.counters().purged_pages == 2 * kBlock + 10);
  const Run run = z.alloc(2 * kBlock + 10);
  CHECK(run.zeroed);
  CHECK(z.reads_zero(run));
}

TEST_CASE("the highest pageblocks go first, and no more than asked for", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  std::vector<Run> runs;
  for (int i = 0; i < 6; ++i) runs.push_back(z.used(kBlock));
  for (const int i : {0, 2, 4}) z.free(runs[static_cast<std::size_t>(i)]);
  CHECK(z.zone.purge(2 * kBlock, false) == kBlock);
  CHECK(vm.calls().back().start == z.at(runs[4].first));
  CHECK(z.zone.purge(2 * kBlock, false) == 0);
  CHECK_FALSE(z.alloc(kBlock).zeroed);
  CHECK_FALSE(z.alloc(kBlock).zeroed);
  CHECK(z.alloc(kBlock).zeroed);
}

TEST_CASE("adjacent pageblocks go in one call", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(10 * kBlock));
  z.zone.purge(0, false);
  CHECK(vm.count(VmOp::kPurge) == 1);
}

TEST_CASE("at most 32 pageblocks are isolated at a time", "[zone_purge]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(70));
  z.zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1};
  z.free(z.alloc(70 * kBlock));
  z.zone.purge(0, false);
  std::vector<std::size_t> blocks;
  for (const VmCall& c : vm.calls())
    if (c.op == VmOp::kPurge) blocks.push_back(c.bytes >> kPageblockShift);
  CHECK(blocks == std::vector<std::size_t>{32, 32, 6});
}

TEST_CASE("a purge that fails changes nothing and is not tried for ever", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(3 * kBlock));
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kPurge; };
  CHECK(z.zone.purge(0, true) == 0);
  CHECK(z.zone.counters().backed_free_pages == 3 * kBlock);
  CHECK(z.zone.counters().purged_pages == 0);
  CHECK_FALSE(z.alloc(kBlock).zeroed);
}

TEST_CASE("holes: free dirty pages of partly used pageblocks", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  const Run run = z.used(100);
  z.zone.free(run.first + 10, 5);
  z.zone.free(run.first + 50, 50);
  CHECK(z.zone.purge(0, false) == 0);
  CHECK(z.zone.purge(0, true) == 55);
  CHECK(z.zone.counters().backed_free_pages == 0);
  CHECK(z.at(run.first)[0] == '\xA5');
  CHECK(z.at(run.first + 49)[kPageSize - 1] == '\xA5');
  const Run hole = z.alloc(4);
  CHECK(hole.first == run.first + 52);
  CHECK(hole.zeroed);
  CHECK(z.reads_zero(hole));
}

TEST_CASE("holes of pageblocks on hugepages are left alone", "[zone_purge]") {
  FakeVm vm;
  pages::AddressSpaceConfig config = space_of(8);
  config.small_page_bytes = kPageblockSize;
  ZoneFixture z(FakeVm::table, config);
  const Run low = z.alloc(kBlock), high = z.alloc(kBlock);
  z.zone.free(low.first, 10);
  z.zone.free(high.first, 20);
  CHECK(z.zone.purge(0, true) == 10);
  CHECK(z.zone.counters().backed_free_pages == 20);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("a whole-free pageblock whose purge was refused stays as it was", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(kBlock));
  bool first = true;
  vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kPurge && std::exchange(first, false); };
  z.zone.purge(0, true);
  CHECK(z.zone.validate(2) == 0);  // FA-2: a pageblock without a dirty page is not in kDirtyWhole
}

TEST_CASE("watermarks: 2 and 6 MiB to begin with", "[zone_purge]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table);
  CHECK(z.zone.watermarks.low == kBlock);
  CHECK(z.zone.watermarks.high == 3 * kBlock);
}

TEST_CASE("watermarks: above high, free memory goes back until low", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  std::vector<Run> runs;
  for (int i = 0; i < 16; ++i) runs.push_back(z.used(kBlock));
  for (std::size_t i = 0; i < 8; i += 2) z.free(runs[i]);  // four, apart
  CHECK(vm.count(VmOp::kPurge) == 0);
  CHECK(z.zone.counters().backed_free_pages == 4 * kBlock);
  z.free(runs[8]);
  CHECK(z.zone.counters().backed_free_pages == 2 * kBlock);
  CHECK(vm.count(VmOp::kPurge) == 3);
  const Pfn batch[] = {runs[10].first, runs[12].first, runs[14].first};
  z.zone.free_batch(kBlock, batch, 3);
  CHECK(z.zone.counters().backed_free_pages == 2 * kBlock);
}

TEST_CASE("with slack go the holes of pageblocks on small pages, where there are enough of them", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {0, kBlock};
  const Run few = z.used(kBlock), many = z.used(kBlock), large = z.used(40 * kBlock);
  z.zone.free(few.first + 1, kBlock / 8 - 1);
  z.zone.free(many.first + 1, kBlock / 16);
  z.zone.free(many.first + 100, kBlock / 16);
  const Pfn beyond = large.first + 39 * kBlock;  // on hugepages: half of one gives back nothing
  z.zone.free(beyond, kBlock / 2);
  CHECK(vm.count(VmOp::kPurge) == 0);
  z.zone.free(large.first, 2 * kBlock);
  CHECK(z.zone.counters().backed_free_pages == kBlock / 8 - 1 + kBlock / 2);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("who has taken the same memory several times over keeps it once", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  const Run run = z.used(6 * kBlock);
  for (int i = 0; i < 15; ++i) {
    z.zone.free(run.first + 5 * kBlock, kBlock);
    REQUIRE(z.used(kBlock).first == run.first + 5 * kBlock);
  }
  z.free(run);
  CHECK(z.zone.counters().backed_free_pages == 6 * kBlock);
  CHECK(vm.count(VmOp::kPurge) == 0);
  z.free(z.used(6 * kBlock));  // that was spent
  CHECK(z.zone.counters().backed_free_pages <= 2 * kBlock);
}

TEST_CASE("turnover that the layer above reports counts as much", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  const Run run = z.used(6 * kBlock);
  z.zone.note_turnover(15 * kBlock);
  z.free(run);
  CHECK(z.zone.counters().backed_free_pages == 6 * kBlock);
  CHECK(vm.count(VmOp::kPurge) == 0);
}

TEST_CASE("a new peak well above the last earns nothing by what came before", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {2 * kBlock, 4 * kBlock};
  for (int i = 0; i < 30; ++i) z.free(z.used(kBlock));
  z.free(z.used(6 * kBlock));
  CHECK(z.zone.counters().backed_free_pages <= 2 * kBlock);
}

TEST_CASE("watermarks and a failing purge: free succeeds all the same", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.zone.watermarks = {0, 0};
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kPurge; };
  z.free(z.used(3 * kBlock));
  CHECK(z.everything_free());
  CHECK(z.zone.counters().backed_free_pages == 3 * kBlock);
}

TEST_CASE("PB-4: while the OS works, the pageblock is isolated and the zone unlocked and valid", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(3 * kBlock));
  bool looked = false;
  Run meanwhile;
  vm.refuse = [&](const VmCall& c) {
    if (c.op != VmOp::kPurge || std::exchange(looked, true)) return false;
    for (std::uint32_t b = 0; b < 3; ++b) CHECK(z.block(b).isolated);
    CHECK(z.zone.validate(2) == 0);
    CHECK(z.zone.alloc(1, kMovable, meanwhile));
    return false;
  };
  z.zone.purge(0, false);
  CHECK(looked);
  CHECK(meanwhile.first.block() == BlockIndex{3});
  CHECK(z.alloc(3 * kBlock).first == Pfn{0});
}

TEST_CASE("a child forked while the OS purges has all its memory", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  z.free(z.used(3 * kBlock));
  bool forked = false, whole = false;
  vm.refuse = [&](const VmCall& c) {
    if (c.op != VmOp::kPurge || std::exchange(forked, true)) return false;
    whole = in_child([&] {
              if (z.zone.interrupted()) z.zone.recover();  // as the heap does
              Run run;
              return z.zone.validate(2) == 0 && z.zone.alloc(3 * kBlock, kMovable, run) && run.first == Pfn{0};
            }).ok;
    return false;
  };
  z.zone.purge(0, false);
  CHECK(forked);
  CHECK(whole);
}

TEST_CASE("the holes of a pageblock on hugepages go when they are asked for, and the hugepage is split first",
          "[zone_purge]") {
  FakeVm vm;
  AddressSpaceConfig config = space_of(32);
  config.small_page_bytes = 2 * kPageblockSize;
  ZoneFixture z(FakeVm::table, config);
  z.zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1};
  std::vector<Run> runs;
  for (int i = 0; i < 12; ++i) {
    runs.push_back(z.alloc(kBlock / 4));
    std::memset(z.at(runs.back().first), 1, kBlock / 4 << kPageShift);
  }
  for (const std::size_t i : {1u, 3u, 9u, 11u}) z.free(runs[i]);
  const BlockIndex small = runs[0].first.block(), huge = runs[8].first.block(), full = runs[4].first.block();
  REQUIRE(huge.value >= 2);
  CHECK(z.zone.on_small_pages(small));
  CHECK_FALSE(z.zone.on_small_pages(huge));
  CHECK(z.zone.purge(0, true) == kBlock / 2);  // those on small pages
  CHECK(z.zone.holes_of(small) == 0);
  CHECK(z.zone.holes_of(huge) == kBlock / 2);
  CHECK(z.zone.holes_of(full) == 0);
  CHECK(vm.count(VmOp::kSplit) == 0);
  CHECK(z.zone.purge_holes_of(huge) == kBlock / 2);
  CHECK(vm.count(VmOp::kSplit) == 1);
  CHECK(vm.count(VmOp::kPurge) == 4);
  CHECK(z.zone.holes_of(huge) == 0);
  CHECK(z.at(runs[8].first)[0] == 1);
  CHECK(z.at(runs[9].first)[0] == 0);
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.zone.purge_holes_of({20}) == 0);  // not opened
  // Refused: nothing is called zero.
  z.free(runs[10]);
  vm.refuse = [](const VmCall& call) { return call.op == VmOp::kPurge || call.op == VmOp::kSplit; };
  CHECK(z.zone.purge_holes_of(huge) == 0);
  CHECK(z.zone.holes_of(huge) == kBlock / 4);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("entries of whole-free clean pageblocks need no memory", "[zone_purge]") {
  FakeVm vm;
  Fixture z;
  const Run first = z.used(3), run = z.used(8 * kBlock), last = z.used(kBlock);
  const auto& entries = *static_cast<MetaArray<std::uint32_t>*>(member(EntriesOf{}, z.map));
  const auto resident = [&](Pfn p) {
    return os::linux_vm.resident(entries.origin() + align_down(p.value * sizeof(std::uint32_t), kPageSize), kPageSize);
  };
  for (std::size_t k = 0; k < run.pages; ++k) z.map.set_entry(run.first + k, 0);
  REQUIRE(last.first.value % (2 * kBlock) == kBlock);  // its entries share a page with the run's last
  z.map.set_entry(last.first, 3);
  z.zone.purge_entries();
  CHECK(resident(run.first + 4 * kBlock) == kPageSize);
  z.free(run);
  z.zone.purge_entries();  // free, but with memory behind it
  CHECK(resident(run.first + 4 * kBlock) == kPageSize);
  z.zone.purge(0, false);
  z.zone.purge_entries();
  CHECK(resident(run.first + 4 * kBlock) == 0);
  CHECK(z.map.entry(last.first) == 3);
  CHECK(z.map.entry(run.first) == 0);
  CHECK(z.zone.validate(2) == 0);
  z.free(first);
  z.map.set_entry(last.first, 0);
  z.free(last);
}

}  // namespace
}  // namespace bm::pages
