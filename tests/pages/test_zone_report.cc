// test_zone_report.cc: the report of a living zone, and the number that tells a reader outside of changes.  layer: tests
#include <catch2/catch.hpp>

#include <vector>

#include "pages/zone_report.h"
#include "support/child.h"
#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

constexpr unsigned kIsolateRow = index(Migratetype::kIsolate);

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(FakeVm::table) { zone.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1}; }
  ~Fixture() { CHECK(zone.validate(2) == 0); }
  ZoneReport report() {
    ZoneReport r;
    zone.report(r);
    return r;
  }
  void check_agreement() {
    const ZoneReport r = report();
    const Zone::Counters c = zone.counters();
    CHECK(r.free_pages == c.free_pages);
    CHECK(r.backed_free_pages == c.backed_free_pages);
    CHECK(r.present_pages == c.opened_pages);
    CHECK(r.spanned_pages == c.reserved_pages);
    CHECK(r.reserved_highatomic == c.reserved_highatomic);
    CHECK(r.low == zone.watermarks.low);
    CHECK(r.high == zone.watermarks.high);
    std::size_t counts[kMigratetypes][kReportOrders] = {};
    zone.count_free(counts);
    std::size_t pages = 0;
    std::size_t blocks = 0;
    for (unsigned t = 0; t < kMigratetypes; ++t) {
      blocks += r.pageblocks[t];
      for (unsigned o = 0; o < kReportOrders; ++o) {
        CHECK(r.free_blocks[t][o] == counts[t][o]);
        pages += r.free_blocks[t][o] << o;
      }
    }
    CHECK(pages == c.free_pages);
    CHECK(blocks << kPageblockOrder == c.opened_pages);
  }
};

TEST_CASE("the report agrees with the counters and with itself", "[zone_report]") {
  FakeVm vm;
  Fixture z;
  z.check_agreement();
  z.zone.keeps_reserve = true;
  z.alloc(5, kUnmovable);
  const Run run = z.alloc(6 * kBlock + 3);
  z.alloc(7, kReclaimable);
  z.zone.free(run.first + 3, 5 * kBlock);
  z.check_agreement();
  BlockIndex cma;
  REQUIRE(z.zone.make_cma(2, cma));
  REQUIRE(z.zone.isolate(run.first.block(), 1));
  z.check_agreement();
  const ZoneReport r = z.report();
  CHECK(r.pageblocks[index(Migratetype::kCma)] == 2);
  const auto& lent = r.free_blocks[index(Migratetype::kCma)];
  CHECK(lent[9] + 2 * lent[10] == 2);
  CHECK(r.pageblocks[kIsolateRow] == 1);
  CHECK(r.pageblocks[index(Migratetype::kHighAtomic)] == 1);
  CHECK(r.reserved_highatomic >= 16);
}

TEST_CASE("counters of zones add up, each by itself", "[zone_report]") {
  Zone::Counters a;
  a.free_pages = 1, a.backed_free_pages = 2, a.opened_pages = 3, a.committed_pages = 4, a.reserved_pages = 5;
  a.purged_pages = 6, a.reserved_highatomic = 7;
  a.mixing.stolen[1][2] = 8;
  Zone::Counters sum;
  sum += a;
  sum += a;
  CHECK(sum.free_pages == 2);
  CHECK(sum.backed_free_pages == 4);
  CHECK(sum.opened_pages == 6);
  CHECK(sum.committed_pages == 8);
  CHECK(sum.reserved_pages == 10);
  CHECK(sum.purged_pages == 12);
  CHECK(sum.reserved_highatomic == 14);
  CHECK(sum.mixing.stolen[1][2] == 16);
}

TEST_CASE("pageblocks that are being purged are reported as isolated, and only meanwhile", "[zone_report]") {
  FakeVm vm;
  Fixture z;
  z.free(z.alloc(4 * kBlock));
  ZoneReport meanwhile;
  vm.refuse = [&](const VmCall& c) {
    if (c.op == VmOp::kPurge) meanwhile = z.report();
    return false;
  };
  CHECK(z.zone.purge(0, false) == 4 * kBlock);
  CHECK(meanwhile.pageblocks[kIsolateRow] == 4);
  CHECK(meanwhile.free_blocks[kIsolateRow][10] == 2);
  CHECK(meanwhile.free_pages == 4 * kBlock);
  CHECK(z.report().pageblocks[kIsolateRow] == 0);
  CHECK(z.report().backed_free_pages == 0);
}

TEST_CASE("ZN-7: changes() is even at rest and while pageblocks are purged, odd inside, and grows", "[zone_report]") {
  FakeVm vm;
  Fixture z;
  std::vector<std::uint32_t> commits;
  std::vector<std::uint32_t> purges;
  vm.refuse = [&](const VmCall& c) {
    if (c.op == VmOp::kCommit) commits.push_back(z.zone.changes());
    if (c.op == VmOp::kPurge) purges.push_back(z.zone.changes());
    return false;
  };
  std::uint32_t last = z.zone.changes();
  const auto changed = [&] {
    const std::uint32_t now = z.zone.changes();
    const bool good = now % 2 == 0 && now > last;
    last = now;
    return good;
  };
  const Run run = z.alloc(20 * kBlock);
  CHECK(changed());
  REQUIRE_FALSE(commits.empty());
  for (const std::uint32_t n : commits) CHECK(n % 2 == 1);
  z.zone.free(run.first, 2 * kBlock + 5);
  CHECK(changed());
  z.zone.purge(0, false);
  CHECK(changed());
  REQUIRE(purges.size() == 1);
  CHECK(purges[0] % 2 == 0);
  z.zone.purge(0, true);  // holes: the lock is held while the OS works
  CHECK(changed());
  REQUIRE(purges.size() == 2);
  CHECK(purges[1] % 2 == 1);
  REQUIRE(z.zone.isolate(run.first.block() + 5, 1));
  CHECK(changed());
  z.zone.unisolate(run.first.block() + 5, 1);
  CHECK(changed());
  BlockIndex cma;
  REQUIRE(z.zone.make_cma(2, cma));
  CHECK(changed());
  REQUIRE(z.zone.release_cma(cma, 2));
  CHECK(changed());
  z.report();
  CHECK(z.zone.changes() == last);  // reading changes nothing
}

TEST_CASE("ZN-7: in the child of a fork that came amid a change it is even again", "[zone_report]") {
  FakeVm vm;
  Fixture z;
  int children = 0;
  vm.refuse = [&](const VmCall& c) {
    if (c.op != VmOp::kCommit) return false;
    ++children;
    const std::uint32_t before = z.zone.changes();
    const Ending child = in_child([&] {
      z.zone.recover();
      return z.zone.changes() % 2 == 0 && z.zone.changes() > before && z.zone.validate(2) == 0;
    });
    CHECK(child.ok);
    return false;
  };
  z.alloc(20 * kBlock);
  CHECK(children > 0);
}

}  // namespace
}  // namespace bm::pages
