// test_zone_copy.cc: copies of a zone that threads change meanwhile, as an outside reader makes them.  layer: tests
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include <unistd.h>

#include "support/fake_vm.h"
#include "support/private_member.h"
#include "support/random.h"
#include "support/zone_fixture.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/live_process.h"
#include "tools/inspect/zone_copy.h"

namespace bm::test {
struct ChangesOf {
  using Owner = pages::Zone;
  friend void* member(ChangesOf, pages::Zone&);
};
template struct PrivateMember<ChangesOf, &pages::Zone::changes_>;
}  // namespace bm::test

namespace bm::inspect {
namespace {

using namespace test;

pages::ZoneReport copied(const Memory& memory, ZoneFixture& z, bool* consistent = nullptr) {
  pages::ZoneReport r;
  const bool rest = ZoneCopy(memory, &z.zone, &z.map).evaluate(r);
  if (consistent != nullptr) *consistent = rest;
  return r;
}

TEST_CASE("a copy of a zone at rest tells what the zone itself tells", "[zone_copy]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(4));
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const Run run = z.alloc(random.between(1, 900), static_cast<Migratetype>(random.below(pages::kPcpTypes)));
    if (i % 3 != 0) z.free(run);
  }
  pages::ZoneReport inside;
  z.zone.report(inside);
  bool consistent = false;
  const pages::ZoneReport outside = copied(LiveProcess(getpid()), z, &consistent);
  CHECK(consistent);
  CHECK(z.map.section_count() > 1);
  CHECK(outside.free_pages == inside.free_pages);
  CHECK(outside.backed_free_pages == inside.backed_free_pages);
  CHECK(outside.spanned_pages == inside.spanned_pages);
  CHECK(outside.present_pages == inside.present_pages);
  CHECK(outside.high == inside.high);
  for (unsigned t = 0; t < pages::kMigratetypes; ++t) {
    CHECK(outside.pageblocks[t] == inside.pageblocks[t]);
    for (unsigned o = 0; o < kReportOrders; ++o) CHECK(outside.free_blocks[t][o] == inside.free_blocks[t][o]);
  }
}

// What is taken and given back under one hold of the lock is never seen in part.
TEST_CASE("a copy of a busy zone is a state that it was in", "[zone_copy]") {
  constexpr std::size_t kPages = 3, kRuns = 64, kAtOnce = kPages * kRuns, kHeld = 100 * kBlock;
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(128));
  z.zone.watermarks = {kBlock, 2 * kBlock};
  z.alloc(kHeld);
  std::atomic<bool> stop = false;
  std::atomic<int> refused = 0;
  const auto churn = [&](std::uint64_t id) {
    Random random(id);
    std::vector<std::array<Pfn, kRuns>> held;
    Run runs[kRuns];
    while (!stop) {
      if (held.size() < 10 || (held.size() < 30 && random.one_in(2))) {
        refused += z.zone.alloc_batch(kPages, kMovable, kRuns, runs) != kRuns;
        std::array<Pfn, kRuns> first;
        for (std::size_t i = 0; i < kRuns; ++i) first[i] = runs[i].first;
        held.push_back(first);
      } else {
        z.zone.free_batch(kPages, held.back().data(), kRuns);
        held.pop_back();
      }
      if (random.one_in(8)) usleep(static_cast<useconds_t>(random.below(100)));
    }
    for (const auto& first : held) z.zone.free_batch(kPages, first.data(), kRuns);
  };
  std::thread a(churn, 1), b(churn, 2);
  const LiveProcess self(getpid());
  int torn = 0, different = 0, failed = 0;
  std::size_t last = 0;
  const auto last_moment = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (different < 1000 && std::chrono::steady_clock::now() < last_moment) try {
      const pages::ZoneReport r = copied(self, z);
      const std::size_t used = r.present_pages - r.free_pages;
      torn += used % kAtOnce != kHeld % kAtOnce;
      different += used != last;
      last = used;
    } catch (const Failure&) {
      ++failed;
    }
  stop = true;
  a.join();
  b.join();
  CHECK(torn == 0);
  CHECK(refused == 0);
  CHECK(failed == 0);
  CHECK(different == 1000);
}

TEST_CASE("a zone that is never at rest is given up, a core file's is told as it is", "[zone_copy]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table);
  z.alloc(5);
  auto& changes = *static_cast<std::atomic<std::uint32_t>*>(member(ChangesOf{}, z.zone));
  ++changes;
  CHECK_THROWS_WITH(copied(LiveProcess(getpid()), z), Catch::Contains("no consistent copy"));
  class Dead : public LiveProcess {
   public:
    Dead() : LiveProcess(getpid()) {}
    bool runs() const override { return false; }
  };
  bool consistent = true;
  CHECK(copied(Dead(), z, &consistent).free_pages == kBlock - 5);
  CHECK_FALSE(consistent);
  ++changes;
  copied(Dead(), z, &consistent);
  CHECK(consistent);
}

}  // namespace
}  // namespace bm::inspect
