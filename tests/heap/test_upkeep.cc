// test_upkeep.cc: what slow paths look after by the way: slack that has lost its right, a boost, options.
#include <catch2/catch.hpp>

#include <sys/resource.h>

#include <cstdlib>
#include <vector>

#include "buddymalloc/pages.h"
#include "heap/options.h"
#include "heap/upkeep.h"
#include "support/fake_clock.h"
#include "tests/heap/check_heap.h"

using namespace bm;
using namespace bm::test;

namespace {

std::size_t slack_bytes() { return statistics().backed_free_bytes; }

// Some slow paths that change little.
void go_on() {
  for (int i = 0; i < 50; ++i) deallocate(allocate(2 * kMiB));
}

}  // namespace

TEST_CASE("what a program has earned goes back while it goes on with little", "[heap][upkeep][native]") {
  const Ending e = in_child([] {
    deallocate(allocate(100));
    FakeClock clock;
    heap::trim(0);
    void* const p = allocate(200 * kMiB);
    std::memset(p, 1, 200 * kMiB);
    zone_of(p).note_turnover(std::size_t{1} << 20);
    deallocate(p);
    BM_CHILD_REQUIRE(slack_bytes() >= 200 * kMiB);
    go_on();
    BM_CHILD_REQUIRE(slack_bytes() >= 190 * kMiB);
    clock.pass(pages::kHalfLife + 100);
    go_on();
    BM_CHILD_REQUIRE(slack_bytes() < 130 * kMiB);
    for (int i = 0; i < 10; ++i) {
      clock.pass(pages::kHalfLife);
      deallocate(allocate(2 * kMiB));
    }
    BM_CHILD_REQUIRE(slack_bytes() <= 20 * kMiB);
    return heap::validate() == 0;
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

TEST_CASE("slack goes back in a program that uses the page API only", "[heap][upkeep][pages][native]") {
  const Ending e = in_child([] {
    heap::trim(0);  // what other tests have left
    void* const p = bm_pages_alloc_exact(200 * kMiB, BM_PAGES_MOVABLE);
    FakeClock clock;
    zone_of(p).note_turnover(std::size_t{1} << 20);
    bm_pages_free_exact(p, 200 * kMiB);
    BM_CHILD_REQUIRE(slack_bytes() >= 190 * kMiB);
    for (int i = 0; i < 10; ++i) {
      clock.pass(pages::kHalfLife);
      for (const unsigned order : {9U, 10U}) bm_pages_free(bm_pages_alloc(order, BM_PAGES_MOVABLE), order);
    }
    BM_CHILD_REQUIRE(slack_bytes() <= 20 * kMiB);
    return heap::validate() == 0;
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

TEST_CASE("pollution boosts the marks and gives up caches", "[heap][upkeep][native]") {
  const Ending e = in_child([] {
    deallocate(allocate(100));
    FakeClock clock;
    rlimit limit{};
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = 128 * kMiB;
    BM_CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
    std::vector<void*> large;
    while (void* const p = allocate(100'000)) large.push_back(p);
    for (std::size_t i = 0; i < large.size(); ++i)
      if (i % 2 == 0) deallocate(large[i]);
    BM_CHILD_REQUIRE((heap::process.attention() & pages::Zone::kPolluted) == 0);
    const auto mixed = [] {
      const pages::Mixing m = zone_counters().mixing;
      return pages::Mixing::sum(m.claimed) + pages::Mixing::sum(m.stolen);
    };
    const std::size_t before = mixed();
    clock.pass(1000);  // caches are given up so often and not more
    for (int i = 0; i < 4'000'000 && mixed() == before; ++i) allocate(32);
    BM_CHILD_REQUIRE(mixed() > before);
    std::size_t boost = 0;
    heap::process.nodes.for_each_zone([&boost](const pages::Zone& z) { boost += z.marks().boost; });
    BM_CHILD_REQUIRE(boost != 0);
    BM_CHILD_REQUIRE((heap::process.attention() & pages::Zone::kPolluted) == 0);  // heard
    BM_CHILD_REQUIRE(heap::current_heap()->pages.held_pages() == 0);              // and obeyed
    return heap::validate() == 0;
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

TEST_CASE("options are decimal numbers, or what they are without", "[heap][upkeep]") {
  const char* const name = "BM_TEST_OPTION";
  unsetenv(name);
  CHECK(heap::option(name, 7) == 7);
  for (const auto& [text, value] : {std::pair{"0", 0ul},
                                    {"12", 12ul},
                                    {"18446744073709551615", SIZE_MAX},
                                    {"", 7ul},
                                    {"x", 7ul},
                                    {"1x", 7ul},
                                    {"-1", 7ul},
                                    {"18446744073709551616", 7ul}}) {
    setenv(name, text, 1);
    CHECK(heap::option(name, 7) == value);
  }
  unsetenv(name);
}
