// test_zone_walk.cc: random walks through everything a zone can do, each answer the naive zone's, all invariants after each
// step.  layer: tests
// Over the ArenaVm, which keeps what the OS would know as marks: a step costs no system call, so that validate() and a look
// at the pageblocks that the step was about can follow each, and the whole of both zones every kWhole steps. The marks of
// purges are out of reach, for what balance() remembers of the past is not the naive zone's; purge() is among the steps.
#include <catch2/catch.hpp>
#include <cstring>

#include "support/arena_vm.h"
#include "support/naive_zone.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;

constexpr std::size_t kLimit = 20;  // pageblocks
constexpr int kWhole = 64;

// What walks have been through.
struct Steps {
  std::size_t refused = 0, extended = 0, lent = 0, isolated = 0, taken = 0, cma = 0, reserve = 0, purged = 0,
              batches = 0;
  Mixing mixing;
};

class Walk {
 public:
  Walk(std::uint64_t stream, Steps& all) : steps(all), random_(stream) {
    REQUIRE(z_.ready);
    ArenaVm::refuse(ArenaVm::kReserve, true);
    zone_.watermarks = {SIZE_MAX >> 1, SIZE_MAX >> 1};
    zone_.keeps_reserve = naive_.keeps_reserve = true;
  }

  void step(int n) {
    const bool growing = n / 1500 % 2 == 0;  // fills up, drains, fills up...
    const std::size_t dice = random_.below(100);
    touched_.clear();
    if (live_.empty() || dice < (growing ? 50U : 6U)) return alloc();
    if (dice < 78) return free_some();
    if (dice < 84) return extend();
    if (dice < 88) return batch();
    if (dice < 94) return isolate();
    if (dice < 97) return contiguous();
    if (dice < 99) return purge();
    zone_.recover();
  }

  // Fails on the first difference; says where.
  void compare(bool whole) {
    if (zone_.validate(2) != 0) FAIL("invariants are broken");
    const Zone::Counters c = zone_.counters();
    demand("opened", c.opened_pages, naive_.opened() * kBlock);
    demand("free", c.free_pages, naive_.free_pages());
    demand("mixing", std::size_t(std::memcmp(&c.mixing, &naive_.mixing, sizeof c.mixing)), 0);
    for (const std::size_t b : touched_) compare_block(b);
    if (!whole) return;
    demand("backed", c.backed_free_pages, naive_.backed_free());
    demand("reserved", c.reserved_highatomic, naive_.reserved());
    for (std::size_t b = 0; b < naive_.opened(); ++b) compare_block(b);
  }

  void end() {
    while (!live_.empty()) give_back(live_.size() - 1, 0, live_.back().pages);
    zone_.unisolate({0}, kLimit);
    naive_.unisolate(0, kLimit);
    for (std::uint32_t b = 0; b < kLimit; ++b) zone_.release_cma({b}, 1), naive_.release_cma(b, 1);
    compare(true);
    if (!z_.everything_free()) FAIL("pages are lost");
    steps.mixing += naive_.mixing;
  }

 private:
  struct Live {
    std::size_t first, pages;
  };

  static void demand(const char* what, std::size_t zone, std::size_t naive) {
    if (zone != naive) FAIL(what << ": " << zone << ", not " << naive);
  }
  void compare_block(std::size_t b) {
    const Pageblock& d = z_.block(static_cast<std::uint32_t>(b));
    demand("type", index(d.migratetype), index(naive_.blocks[b].type));
    for (std::size_t i = 0; i < kBlock; ++i) {
      const auto page = naive_.pages[b * kBlock + i];
      demand("page is free", d.free.any(i, 1), page != NaiveZone::Page::kUsed);
      demand("page is dirty", d.dirty.any(i, 1), page != NaiveZone::Page::kClean);
    }
  }

  std::size_t size() {
    if (random_.one_in(30)) return random_.between(1, 4 * kBlock);
    if (random_.one_in(6)) return random_.between(1, kBlock);
    return random_.between(1, 24);
  }
  Migratetype type() { return static_cast<Migratetype>(random_.below(kPcpTypes)); }
  std::uint32_t block() { return static_cast<std::uint32_t>(random_.below(naive_.opened())); }
  std::uint32_t set_apart() {  // one of those, if there is one
    const std::uint32_t from = block(), n = static_cast<std::uint32_t>(naive_.opened());
    for (std::uint32_t k = 0; k < n; ++k) {
      const std::uint32_t b = (from + k) % n;
      const Migratetype t = naive_.blocks[b].type;
      if (t == Migratetype::kCma || t == Migratetype::kIsolate) return b;
    }
    return from;
  }
  static Pfn pfn(std::size_t page) { return {static_cast<std::uint32_t>(page)}; }

  void touch(std::size_t first, std::size_t pages) {
    for (std::size_t b = first / kBlock; b * kBlock < first + pages; ++b) touched_.push_back(b);
  }
  void own(const Run& run, std::size_t pages, const NaiveZone::Run& expected) {
    demand("first page", run.first.value, expected.first);
    demand("pages", run.pages, pages);
    demand("zeroed", run.zeroed, expected.zeroed);
    touch(expected.first, pages);
    if (run.zeroed) demand("reads as zero", ArenaVm::reads_zero(z_.at(run.first), pages), true);
    const Migratetype t = naive_.blocks[expected.first / kBlock].type;
    if (t == Migratetype::kHighAtomic) demand("has memory", ArenaVm::has_memory(z_.at(run.first), pages), true);
    steps.reserve += t == Migratetype::kHighAtomic;
    steps.lent += t == Migratetype::kCma;
    ArenaVm::write(z_.at(run.first), pages);
    live_.push_back({expected.first, pages});
  }

  void alloc() {
    const std::size_t pages = size();
    const Migratetype t = type();
    const unsigned align = random_.one_in(8) ? static_cast<unsigned>(random_.below(kPageblockOrder + 3)) : 0;
    const Placement placement = any_placement(random_);
    const auto request = static_cast<Request>(random_.one_in(3) ? random_.below(3) : 0);
    Run run;
    const bool got = zone_.alloc(pages, t, run, align, placement, request);
    const auto expected = naive_.alloc(pages, t, align, placement, request);
    demand("granted", got, expected.has_value());
    steps.refused += !got;
    if (!got) return;
    demand("aligned", reinterpret_cast<std::uintptr_t>(z_.at(run.first)) % (kPageSize << align), 0);
    own(run, pages, *expected);
  }

  void batch() {
    const std::size_t pages = random_.between(1, 40), count = random_.between(1, 8);
    const Migratetype t = type();
    Run runs[8];
    const std::size_t n = zone_.alloc_batch(pages, t, count, runs);
    const auto expected = naive_.alloc_batch(pages, t, count);
    demand("granted", n, expected.size());
    for (std::size_t i = 0; i < n; ++i) own(runs[i], pages, expected[i]);
    steps.batches += n > 1;
    if (n < 2 || random_.one_in(2)) return;
    Pfn first[8];
    for (std::size_t i = 0; i < n; ++i) first[i] = runs[i].first;
    zone_.free_batch(pages, first, n);
    for (std::size_t i = 0; i < n; ++i) naive_.free(first[i].value, pages);
    live_.resize(live_.size() - n);
  }

  // A run of those alive, and often but a part of it.
  void free_some() {
    const std::size_t at = random_.below(live_.size());
    const std::size_t all = live_[at].pages;
    if (all == 1 || !random_.one_in(4)) return give_back(at, 0, all);
    const std::size_t from = random_.below(all);
    give_back(at, from, random_.between(1, all - from));
  }
  void give_back(std::size_t at, std::size_t from, std::size_t pages) {
    const Live run = live_[at];
    live_[at] = live_.back();
    live_.pop_back();
    zone_.free(pfn(run.first + from), pages);
    naive_.free(run.first + from, pages);
    touch(run.first + from, pages);
    if (from != 0) live_.push_back({run.first, from});
    if (from + pages != run.pages) live_.push_back({run.first + from + pages, run.pages - from - pages});
  }

  void extend() {
    Live& run = live_[random_.below(live_.size())];
    const std::size_t pages = run.pages + size();
    const bool got = zone_.extend(pfn(run.first), run.pages, pages);
    demand("granted", got, naive_.extend(run.first, run.pages, pages));
    if (!got) return;
    ++steps.extended;
    touch(run.first, pages);
    ArenaVm::write(z_.at(pfn(run.first + run.pages)), pages - run.pages);
    run.pages = pages;
  }

  // At most a quarter of the pageblocks stays out for long.
  void isolate() {
    const std::uint32_t b = block();
    const std::size_t count = random_.between(1, 3);
    touch(b * kBlock, std::min(count, naive_.opened() - b) * kBlock);
    if (random_.one_in(2)) {
      const bool got = zone_.isolate({b}, count);
      demand("isolated", got, naive_.isolate(b, count));
      steps.isolated += got;
      return;
    }
    const std::size_t all = random_.one_in(2) ? kLimit - b : count;
    zone_.unisolate({b}, all);
    naive_.unisolate(b, std::min(all, naive_.blocks.size() - b));
  }

  void contiguous() {
    const std::size_t blocks = random_.between(1, 4), pages = random_.between(1, random_.one_in(2) ? 2 * kBlock : 20);
    const std::uint32_t b = random_.one_in(4) ? block() : set_apart();
    if (random_.one_in(3)) {
      BlockIndex first;
      const bool got = zone_.make_cma(blocks, first);
      const auto expected = naive_.make_cma(blocks);
      demand("made", got, expected.has_value());
      if (got) demand("first pageblock", first.value, *expected);
      steps.cma += got;
    } else if (random_.one_in(2)) {
      const std::size_t n = std::min(blocks, kLimit - b);
      demand("released", zone_.release_cma({b}, n), naive_.release_cma(b, n));
    } else {
      const std::size_t first = b * kBlock + random_.below(kBlock), n = std::min(pages, kLimit * kBlock - first);
      Run run;
      const bool got = zone_.take(pfn(first), n, run);
      const auto expected = naive_.take(first, n);
      demand("taken", got, expected.has_value());
      steps.taken += got;
      if (got) own(run, n, *expected);
    }
  }

  void purge() {
    const std::size_t keep = random_.below(12 * kBlock);
    const bool holes = random_.one_in(3);
    naive_.os_purges = !random_.one_in(5);
    ArenaVm::refuse(ArenaVm::kPurge, !naive_.os_purges);
    const std::size_t purged = zone_.purge(keep, holes);
    demand("purged", purged, naive_.purge(keep, holes));
    steps.purged += purged;
  }

  Steps& steps;
  Random random_;
  struct Clean {
    Clean() { ArenaVm::reset(); }
  } clean_;
  ZoneFixture z_{ArenaVm::table, space_of(kLimit)};
  Zone& zone_ = z_.zone;
  NaiveZone naive_{kLimit, z_.map.section(0).base >> kPageblockShift};
  std::vector<Live> live_;
  std::vector<std::size_t> touched_;
};

void walk(std::uint64_t stream, int steps, Steps& all) {
  INFO("BUDDYMALLOC_SEED=" << seed() << ", walk " << stream);
  int n = 0;
  Walk w(stream, all);
  struct Where {  // INFO in the loop would cost more than a step
    const int& n;
    ~Where() {
      if (std::uncaught_exceptions() != 0) std::fprintf(stderr, "at step %d\n", n);
    }
  } where{n};
  for (; n < steps; ++n) {
    w.step(n);
    w.compare(n % kWhole == 0);
  }
  w.end();
}

// They have been everywhere. One walk need not: one whose zone grows by runs of pageblocks alone, for instance, has no reserve.
void check_been_everywhere(const Steps& all, int steps) {
  const auto some = static_cast<std::size_t>(steps / 5000);
  CHECK(all.refused > some);
  CHECK(all.extended > some);
  CHECK(all.lent > some);
  CHECK(all.isolated > some);
  CHECK(all.taken > some);
  CHECK(all.cma > some);
  CHECK(all.reserve > some);
  CHECK(all.purged > some * kBlock);
  CHECK(all.batches > some);
  CHECK(Mixing::sum(all.mixing.claimed) > some);
  CHECK(Mixing::sum(all.mixing.stolen) > some);
}

TEST_CASE("a random walk through all operations against the naive zone", "[zone_walk]") {
  Steps all;
  walk(0, 60'000, all);
  check_been_everywhere(all, 60'000);
}

TEST_CASE("ten million steps of it", "[.long][zone_walk]") {
  Steps all;
  for (std::uint64_t stream = 1; stream <= 10; ++stream) walk(stream, 1'000'000, all);
  check_been_everywhere(all, 10'000'000);
}

}  // namespace
}  // namespace bm::pages
