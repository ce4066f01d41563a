// test_zone_model.cc: 10^5 random steps: every answer of the zone is the naive one's, contents stay whole.  layer: tests
#include <catch2/catch.hpp>
#include <cstring>

#include "support/fake_vm.h"
#include "support/naive_zone.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

constexpr std::size_t kLimit = 24;  // pageblocks: small enough that fallback and refusal are daily business
constexpr int kSteps = 100000;

class Model {
 public:
  explicit Model(std::uint64_t stream) : random_(stream) {
    vm_.refuse = [this](const VmCall& c) { return c.op == VmOp::kReserve && vm_.count(VmOp::kReserve) == 2; };
    zone_.watermarks = {3 * kBlock, 6 * kBlock};
  }

  void step(int n) {
    packed_ = n / 2000 % 3 != 0;
    const bool growing = n / 3000 % 2 == 0;  // fills up, drains, fills up...
    const std::size_t dice = random_.below(100);
    if (live_.empty() || dice < (growing ? 52U : 40U)) return alloc();
    if (dice < 90) return free_one();
    if (dice < 96) return extend();
    if (dice < 98) return batch();
    zone_.purge(random_.below(8) * kBlock, random_.one_in(2));
  }

  void compare() {
    REQUIRE(zone_.validate(2) == 0);
    const auto c = zone_.counters();
    REQUIRE(c.opened_pages == naive_.opened() * kBlock);
    REQUIRE(c.free_pages == naive_.free_pages());
    REQUIRE(std::memcmp(&c.mixing, &naive_.mixing, sizeof c.mixing) == 0);
    std::size_t counts[kMigratetypes][kReportOrders] = {}, expected[kMigratetypes][kReportOrders] = {};
    zone_.count_free(counts);
    for (std::size_t b = 0; b < naive_.opened(); ++b) {
      REQUIRE(z_.block(static_cast<std::uint32_t>(b)).migratetype == naive_.blocks[b].type);
      for (unsigned o = 0; o <= kPageblockOrder; ++o)
        expected[index(naive_.blocks[b].type)][o] += naive_.count_blocks(b, o);
      for (std::size_t i = 0; i < kBlock; ++i)
        REQUIRE(z_.block(static_cast<std::uint32_t>(b)).free.any(i, 1) == naive_.is_free(b * kBlock + i));
    }
    for (unsigned t = 0; t < kMigratetypes; ++t) {
      counts[t][9] += 2 * counts[t][10];
      for (unsigned o = 0; o <= kPageblockOrder; ++o) REQUIRE(counts[t][o] == expected[t][o]);
    }
  }

  void free_all() {
    while (!live_.empty()) take_live(live_.size() - 1);
    REQUIRE(z_.everything_free());
  }

  std::size_t claimed() const { return Mixing::sum(naive_.mixing.claimed); }
  std::size_t stolen() const { return Mixing::sum(naive_.mixing.stolen); }
  std::size_t purged() { return zone_.counters().purged_pages; }
  std::size_t refused = 0, extended = 0;

 private:
  struct Live {
    std::size_t first, pages, mark;
  };

  std::size_t size() {
    if (random_.one_in(40)) return random_.between(1, 4 * kBlock);
    if (random_.one_in(6)) return random_.between(1, kBlock);
    return random_.between(1, 24);
  }
  Migratetype type() { return static_cast<Migratetype>(random_.below(kPcpTypes)); }

  // Every page carries its run's mark at both ends.
  std::uint64_t* word(std::size_t page, bool end) {
    return reinterpret_cast<std::uint64_t*>(z_.at({static_cast<std::uint32_t>(page)}) + (end ? kPageSize - 8 : 0));
  }
  void own(std::size_t first, std::size_t pages, bool zeroed) {
    const Live run{first, pages, ++mark_};
    for (std::size_t p = first; p < first + pages; ++p)
      for (const bool end : {false, true}) {
        if (zeroed && *word(p, end) != 0) FAIL("page " << p << " called zero holds " << *word(p, end));
        *word(p, end) = run.mark;
      }
    live_.push_back(run);
  }
  void check_contents(const Live& run) {
    for (std::size_t p = run.first; p < run.first + run.pages; ++p)
      if (*word(p, false) != run.mark || *word(p, true) != run.mark) FAIL("page " << p << " was overwritten");
  }

  void alloc() {
    const std::size_t pages = size();
    const Migratetype t = type();
    const unsigned align = random_.one_in(8) ? static_cast<unsigned>(random_.below(kPageblockOrder + 3)) : 0;
    // Now and then for a while without snug runs, which find room where a packed one claims a foreign pageblock.
    const Placement placement = packed_ ? Placement::kPacked : any_placement(random_);
    Run run;
    const bool got = zone_.alloc(pages, t, run, align, placement);
    const auto expected = naive_.alloc(pages, t, align, placement);
    CAPTURE(pages, index(t), align, static_cast<int>(placement));
    REQUIRE(got == expected.has_value());
    refused += !got;
    if (!got) return;
    REQUIRE(run.first.value == expected->first);
    REQUIRE(run.pages == pages);
    REQUIRE(reinterpret_cast<std::uintptr_t>(z_.at(run.first)) % (kPageSize << align) == 0);
    own(expected->first, pages, run.zeroed);
  }

  void batch() {
    const std::size_t pages = random_.between(1, 40), count = random_.between(1, 8);
    const Migratetype t = type();
    Run runs[8];
    const std::size_t n = zone_.alloc_batch(pages, t, count, runs);
    const auto expected = naive_.alloc_batch(pages, t, count);
    REQUIRE(n == expected.size());
    for (std::size_t i = 0; i < n; ++i) {
      REQUIRE(runs[i].first.value == expected[i].first);
      own(expected[i].first, pages, runs[i].zeroed);
    }
  }

  void free_one() { take_live(random_.below(live_.size())); }
  void take_live(std::size_t at) {
    const Live run = live_[at];
    check_contents(run);
    std::size_t from = 0, pages = run.pages;
    if (run.pages > 1 && random_.one_in(5)) {  // a part of it only
      from = random_.below(run.pages);
      pages = random_.between(1, run.pages - from);
    }
    live_[at] = live_.back();
    live_.pop_back();
    zone_.free({static_cast<std::uint32_t>(run.first + from)}, pages);
    naive_.free(run.first + from, pages);
    if (from != 0) live_.push_back({run.first, from, run.mark});
    if (from + pages != run.pages) live_.push_back({run.first + from + pages, run.pages - from - pages, run.mark});
  }

  void extend() {
    Live& run = live_[random_.below(live_.size())];
    const std::size_t pages = run.pages + size();
    const bool got = zone_.extend({static_cast<std::uint32_t>(run.first)}, run.pages, pages);
    CAPTURE(run.first, run.pages, pages);
    REQUIRE(got == naive_.extend(run.first, run.pages, pages));
    if (!got) return;
    ++extended;
    check_contents(run);
    for (std::size_t p = run.first + run.pages; p < run.first + pages; ++p) *word(p, false) = *word(p, true) = run.mark;
    run.pages = pages;
  }

  Random random_;
  FakeVm vm_;
  ZoneFixture z_{FakeVm::table, space_of(kLimit)};
  Zone& zone_ = z_.zone;
  NaiveZone naive_{kLimit, z_.map.section(0).base >> kPageblockShift};
  std::vector<Live> live_;
  std::uint64_t mark_ = 0;
  bool packed_ = false;
};

TEST_CASE("random steps against the naive zone", "[zone_model]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  Model model(0);
  for (int n = 0; n < kSteps; ++n) {
    INFO("step " << n);
    model.step(n);
    if (n % 16 == 0) model.compare();
  }
  model.free_all();
  model.compare();
  // The walk has been everywhere.
  CHECK(model.refused > 100);
  CHECK(model.claimed() > 100);
  CHECK(model.stolen() > 100);
  CHECK(model.purged() > 100 * kBlock);
  CHECK(model.extended > 100);
}

}  // namespace
}  // namespace bm::pages
