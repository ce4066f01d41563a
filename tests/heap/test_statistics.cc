// test_statistics.cc: what is counted is exact, and trim gives memory back.
#include <catch2/catch.hpp>

#include <fcntl.h>

#include <vector>

#include "heap/background.h"
#include "tests/heap/support.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

pages::Zone::Counters zones() {
  pages::Zone::Counters sum;
  heap::process.nodes.for_each_zone([&](pages::Zone& z) { sum += z.counters(); });
  return sum;
}

TEST_CASE("live_bytes is the sum of usable sizes, at any moment", "[heap][statistics]") {
  const heap::Statistics before = statistics();
  Random random(5);
  std::vector<void*> blocks(300, nullptr);
  std::size_t sum = 0;
  for (int k = 0; k < 20'000; ++k) {
    void*& p = blocks[random.below(blocks.size())];
    sum -= heap::usable_size(p);
    if (k % 5 == 0 && p != nullptr) {
      p = heap::reallocate(p, 1 + random_size(random, 22));
    } else {
      deallocate(p);
      p = k % 3 == 0 ? heap::allocate_aligned(random_size(random, 18), std::size_t{1} << random.below(14))
                     : allocate(random_size(random, 22));
    }
    sum += heap::usable_size(p);
    if (k % 100 == 0) REQUIRE(live_bytes() - before.live_bytes == sum);
  }
  for (void* const p : blocks) deallocate(p);
  CHECK(live_bytes() == before.live_bytes);
}

TEST_CASE("the gauges fit together", "[heap][statistics]") {
  void* const p = allocate(30 * kMiB);
  std::memset(p, 1, 30 * kMiB);
  void* const mapped = allocate((std::size_t{1} << 30) + 1);
  const heap::Statistics s = statistics();
  CHECK(s.committed_bytes <= s.reserved_bytes);
  CHECK(s.committed_bytes == s.peak_committed_bytes);
  CHECK(s.live_bytes - s.mapped_bytes + s.free_bytes <= s.committed_bytes);
  CHECK(s.live_bytes - s.mapped_bytes + s.free_bytes == zones().opened_pages << kPageShift);
  CHECK(s.backed_free_bytes <= s.free_bytes);
  CHECK(s.mapped_count == 1);
  deallocate(p);
  const heap::Statistics after = statistics();
  CHECK(after.free_bytes == s.free_bytes + 30 * kMiB);
  CHECK(after.live_bytes == s.live_bytes - 30 * kMiB);
  deallocate(mapped);
  CHECK(statistics().mapped_count == 0);
}

TEST_CASE("trim gives back what is free, keeps what is asked, and tells", "[heap][trim]") {
  std::vector<void*> blocks(100'000);
  for (auto& p : blocks) std::memset(p = allocate(1000), 1, 1000);
  void* const run = allocate(50 * kMiB);
  std::memset(run, 1, 50 * kMiB);
  for (void* const p : blocks) deallocate(p);
  deallocate(run);
  const std::size_t before = rss_bytes();
  // Further nodes are on hugepages throughout: holes in these stay.
  const bool no_holes = heap::process.nodes.single();
  heap::trim(4 * kMiB);
  if (no_holes) CHECK(statistics().backed_free_bytes <= 4 * kMiB);
  heap::trim(0);
  if (no_holes) CHECK(statistics().backed_free_bytes == zones().reserved_highatomic << kPageShift);
  CHECK(rss_bytes() < before);
  CHECK_FALSE(heap::trim(0));  // nothing left
  CHECK(heap::validate() == 0);
  void* const p = allocate(3 * kMiB);
  std::memset(p, 1, 3 * kMiB);
  deallocate(p);
  CHECK(heap::trim(0));
}

TEST_CASE("freed memory beyond the high mark goes back without being asked", "[heap][trim]") {
  // It is for who has one thread; what other tests had may take a moment to end.
  REQUIRE(within([] { return !heap::background.at_work(); }));
  heap::trim(0);
  const std::size_t before = rss_bytes();
  void* const run = allocate(200 * kMiB);
  std::memset(run, 1, 200 * kMiB);
  CHECK(rss_bytes() >= before + 200 * kMiB);
  deallocate(run);
  CHECK(rss_bytes() <= before + 17 * kMiB);
  CHECK(statistics().backed_free_bytes <= 17 * kMiB);
}

TEST_CASE("trim leaves blocks in use alone", "[heap][trim]") {
  std::vector<void*> blocks(2000);
  for (std::size_t i = 0; i < blocks.size(); ++i) paint(blocks[i] = allocate(i * 7), i * 7, i);
  for (std::size_t i = 0; i < blocks.size(); i += 2) deallocate(blocks[i]);
  heap::trim(0);
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    REQUIRE(painted(blocks[i], i * 7, i));
    deallocate(blocks[i]);
  }
}

TEST_CASE("the printed statistics name each gauge", "[heap][statistics]") {
  const Ending o = in_child([] {
    deallocate(allocate(1));
    heap::print_statistics(2);
    return true;
  });
  for (const char* const word :
       {"live", "free, backed", "committed", "reserved", "direct mappings", "pageblocks claimed"})
    CHECK(o.text.find(word) != std::string::npos);
}

TEST_CASE("one line tells that this library runs, when it is asked for", "[heap][statistics]") {
  const auto announced = [](const char* value) {
    return in_child([value] {
             if (value != nullptr) setenv("BUDDYMALLOC_VERBOSE", value, 1);
             heap::announce();
             return true;
           })
        .text;
  };
  CHECK(announced("1").find("buddymalloc ") == 0);
  CHECK(announced("1").find('\n') == announced("1").size() - 1);
  CHECK(announced("0").empty());
  CHECK(announced("").empty());
  CHECK(announced(nullptr).empty());
}
