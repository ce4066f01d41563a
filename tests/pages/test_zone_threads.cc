// test_zone_threads.cc: threads on one zone: no page has two owners, memory called zero is.  layer: tests
#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "support/fake_vm.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

TEST_CASE("two threads churn, a third purges and validates", "[zone_threads]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(16));
  z.zone.watermarks = {kBlock, 3 * kBlock};
  std::atomic<int> damaged = 0, not_zero = 0, running = 2, invalid = 0;
  const auto churn = [&](std::uint64_t id) {
    struct Mine {
      Run run;
      std::uint64_t mark;
    };
    Random random(id);
    std::vector<Mine> mine;
    const auto each_page = [&](const Run& run, auto f) {
      for (std::size_t i = 0; i < run.pages; ++i)
        f(*reinterpret_cast<std::uint64_t*>(z.at(run.first + i) + 8 * (i % 512)));
    };
    for (std::uint64_t n = 1; n <= 30000; ++n) {
      if (mine.size() < 40 || (mine.size() < 120 && random.one_in(2))) {
        Run run;
        const std::size_t pages = random.one_in(50) ? random.between(1, 1200) : random.between(1, 40);
        if (!z.zone.alloc(pages, static_cast<Migratetype>(random.below(3)), run)) continue;
        const std::uint64_t mark = id << 32 | n;
        each_page(run, [&](std::uint64_t& w) {
          not_zero += run.zeroed && w != 0;
          w = mark;
        });
        mine.push_back({run, mark});
      } else {
        const std::size_t at = random.below(mine.size());
        each_page(mine[at].run, [&](std::uint64_t& w) { damaged += w != mine[at].mark; });
        z.free(mine[at].run);
        mine[at] = mine.back();
        mine.pop_back();
      }
    }
    for (const Mine& m : mine) {
      each_page(m.run, [&](std::uint64_t& w) { damaged += w != m.mark; });
      z.free(m.run);
    }
    --running;
  };
  std::thread a(churn, 1), b(churn, 2);
  while (running != 0) {
    z.zone.purge(0, true);
    invalid += z.zone.validate(2) != 0;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  a.join();
  b.join();
  CHECK(damaged == 0);
  CHECK(not_zero == 0);
  CHECK(invalid == 0);
  CHECK(z.everything_free());
  CHECK(z.zone.counters().purged_pages > 0);
}

}  // namespace
}  // namespace bm::pages
