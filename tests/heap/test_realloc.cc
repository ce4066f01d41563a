// test_realloc.cc: contents are kept; growth takes free pages behind, shrinking gives pages back.
#include <catch2/catch.hpp>

#include <algorithm>
#include <thread>
#include <vector>

#include "support/fake_clock.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

TEST_CASE("contents survive any sequence of sizes", "[heap][realloc]") {
  const std::size_t before = live_bytes();
  for (const unsigned top_bit : {9u, 14u, 18u, 23u}) {
    Random random(top_bit);
    std::vector<std::pair<void*, std::size_t>> all(8);
    for (auto& [p, bytes] : all) {
      bytes = 100;
      p = allocate(bytes);
      paint(p, bytes, bytes);
    }
    for (int k = 0; k < 1500; ++k) {
      const std::size_t i = random.below(all.size());
      auto& [p, bytes] = all[i];
      const std::size_t wanted = 1 + random_size(random, top_bit);
      void* const q = heap::reallocate(p, wanted);
      REQUIRE(q != nullptr);
      REQUIRE(heap::usable_size(q) >= wanted);
      REQUIRE(painted(q, std::min(bytes, wanted), bytes));
      p = q;
      bytes = wanted;
      paint(p, bytes, bytes);
    }
    REQUIRE(heap::validate() == 0);
    for (const auto& [p, bytes] : all) {
      CHECK(painted(p, bytes, bytes));
      deallocate(p);
    }
  }
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("a block keeps its place while it fits and is at least half used", "[heap][realloc]") {
  for (const std::size_t bytes : {100ul, 1000ul, 10'000ul, 100'000ul}) {
    void* const p = allocate(bytes);
    const std::size_t usable = heap::usable_size(p);
    CHECK(heap::reallocate(p, usable) == p);
    CHECK(heap::reallocate(p, usable / 2 + 1) == p);
    void* const q = heap::reallocate(p, usable / 4);
    CHECK(q != p);
    CHECK(heap::usable_size(q) < usable / 2);
    deallocate(q);
  }
}

TEST_CASE("a run grows in place over free pages", "[heap][realloc]") {
  void* p = allocate(100'000);
  p = heap::reallocate(p, 2 * kMiB);  // moves to where there is room, at the latest when it is seen to grow
  p = heap::reallocate(p, 4 * kMiB);
  paint(p, 4 * kMiB, 1);
  int moves = 0;
  for (std::size_t bytes = 4 * kMiB; bytes <= 256 * kMiB; bytes += kMiB) {
    void* const q = heap::reallocate(p, bytes);
    REQUIRE(q != nullptr);
    REQUIRE(heap::usable_size(q) == bytes);
    moves += q != p;
    p = q;
  }
  CHECK(moves <= 6);  // at most at each doubling
  CHECK(painted(p, 4 * kMiB, 1));
  CHECK(heap::validate() == 0);
  deallocate(p);
}

TEST_CASE("a run object grows in place to a larger class and to a plain run", "[heap][realloc]") {
  // Side by side, once what other tests left free here and there is taken; of eight one stays, with the room of the others behind it.
  std::vector<void*> holes(200);
  for (void*& p : holes) p = allocate(200'000);
  std::vector<void*> row(96);
  for (void*& p : row) p = allocate(200'000);
  for (std::size_t i = 0; i < row.size(); ++i)
    if (i % 8 != 0) deallocate(row[i]);
  flush_own();
  std::size_t grown = 0, grows = 0;
  for (std::size_t i = 0; i < row.size(); i += 8) {
    void*& p = row[i];
    for (const std::size_t bytes : {260'000ul, 500'000ul, 900'000ul, 1'100'000ul, 1'500'000ul}) {
      paint(p, 200'000, 5);
      void* const q = heap::reallocate(p, bytes);
      grown += q == p;
      ++grows;
      CHECK(painted(q, 200'000, 5));
      CHECK(heap::usable_size(q) >= bytes);
      p = q;
    }
    CHECK(heap::validate() == 0);
  }
  CHECK(grown * 5 >= grows * 4);
  for (std::size_t i = 0; i < row.size(); i += 8) deallocate(row[i]);
  for (void* const p : holes) deallocate(p);
  CHECK(heap::validate() == 0);
}

TEST_CASE("growth stops at a neighbour and moves", "[heap][realloc]") {
  // whole pageblocks side by side
  std::vector<void*> row(6);
  for (auto& p : row) paint(p = allocate(2 * kMiB), 2 * kMiB, 4);
  for (auto& p : row) {
    void* const q = heap::reallocate(p, 4 * kMiB);
    REQUIRE(q != nullptr);
    CHECK(painted(q, 2 * kMiB, 4));
    paint(q, 4 * kMiB, 5);
    p = q;
  }
  for (void* const p : row) CHECK(painted(p, 4 * kMiB, 5));
  CHECK(heap::validate() == 0);
  for (void* const p : row) deallocate(p);
}

TEST_CASE("a long run that moves takes its memory along", "[heap][realloc]") {
  std::vector<void*> others = {allocate(32 * kMiB)};  // beyond the part of the heap that is on small pages
  // Until something is right behind it, so that it has to move.
  const auto shut_in = [&](void* p, std::size_t bytes) {
    do others.push_back(allocate(2 * kMiB));
    while (others.back() != static_cast<char*>(p) + bytes);
  };
  std::size_t bytes = 8 * kMiB;
  void* p = allocate(bytes);
  shut_in(p, bytes);
  void* const aligned = heap::reallocate(p, bytes + kMiB);  // what moves begins a pageblock from then on
  REQUIRE(aligned != p);
  p = heap::reallocate(aligned, bytes);
  for (; bytes < 64 * kMiB; bytes *= 2) {
    paint(p, bytes, 7);
    shut_in(p, bytes);
    const std::size_t used = live_bytes();
    const auto backed = [] { return heap::process.zone.counters().backed_free_pages; };
    const std::size_t backed_before = backed();
    void* const q = heap::reallocate(p, 2 * bytes);
    REQUIRE(q != p);
    CHECK(painted(q, bytes, 7));
    CHECK(live_bytes() == used + bytes);
    CHECK(backed() <= backed_before);  // a copy would leave all of it behind
    p = q;
  }
  CHECK(heap::validate() == 0);
  deallocate(p);
  for (void* const q : others) deallocate(q);
}

TEST_CASE("a run on small pages that has moved on leaves no memory behind", "[heap][realloc][native]") {
  if (!heap::process.nodes.single()) return;  // the first node's alone has small pages
  const Ending e = in_child([] {
    FakeClock clock;
    clock.pass(20 * pages::kHalfLife);  // whatever has been wanted again before
    constexpr std::size_t kBytes = 1200 * 1024;
    std::vector<char*> row(40);
    for (char*& p : row) paint(p = static_cast<char*>(allocate(kBytes)), kBytes, 6);
    std::sort(row.begin(), row.end());
    const auto shut_in = std::adjacent_find(row.begin(), row.end(), [](char* p, char* q) { return p + kBytes == q; });
    BM_CHILD_REQUIRE(shut_in != row.end());
    Pfn behind;
    BM_CHILD_REQUIRE(heap::process.map.find(shut_in[1], behind));
    BM_CHILD_REQUIRE(heap::process.zone.on_small_pages(behind.block()));
    const std::size_t purged = heap::process.zone.counters().purged_pages;
    void* const moved = heap::reallocate(*shut_in, 2 * kBytes);
    BM_CHILD_REQUIRE(moved != *shut_in);
    BM_CHILD_REQUIRE(painted(moved, kBytes, 6));
    BM_CHILD_REQUIRE(heap::process.zone.counters().purged_pages == purged + kBytes / kPageSize);
    return heap::validate() == 0;
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

TEST_CASE("shrinking a run gives its pages back at once", "[heap][realloc]") {
  void* const p = allocate(64 * kMiB);
  paint(p, 64 * kMiB, 2);
  const std::size_t before = live_bytes();
  CHECK(heap::reallocate(p, 40 * kMiB) == p);
  CHECK(live_bytes() == before - 24 * kMiB);
  CHECK(heap::reallocate(p, 3 * kMiB + 1) == p);
  CHECK(live_bytes() == before - 61 * kMiB + kPageSize);
  CHECK(painted(p, 3 * kMiB, 2));
  void* const q = allocate(50 * kMiB);  // what was given back serves again
  paint(q, 50 * kMiB, 9);
  CHECK(painted(p, 3 * kMiB, 2));
  CHECK(heap::validate() == 0);
  void* const small = heap::reallocate(p, 100);
  CHECK(painted(small, 100, 2));
  CHECK(heap::usable_size(small) <= 112);
  deallocate(q);
  deallocate(small);
  CHECK(live_bytes() == before - 64 * kMiB);
}

TEST_CASE("a mapping of its own grows, shrinks and comes back to a class", "[heap][realloc]") {
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  const heap::Statistics before = statistics();
  void* p = allocate(kGiB + 1);
  paint(p, 100'000, 3);
  p = heap::reallocate(p, 3 * kGiB);
  REQUIRE(p != nullptr);
  CHECK(heap::usable_size(p) == 3 * kGiB);
  CHECK(painted(p, 100'000, 3));
  p = heap::reallocate(p, 2 * kMiB);
  CHECK(painted(p, 100'000, 3));
  CHECK(live_bytes() - before.live_bytes <= 2 * kMiB);
  p = heap::reallocate(p, 100'000);
  CHECK(painted(p, 100'000, 3));
  CHECK(statistics().mapped_count == before.mapped_count);
  deallocate(p);
  CHECK(live_bytes() == before.live_bytes);
}

TEST_CASE("a run that grows past 1 GiB keeps its contents and its pages stay counted", "[heap][realloc]") {
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  const std::size_t before = live_bytes();
  void* p = allocate(900 * kMiB);
  paint(p, 100'000, 8);
  p = heap::reallocate(p, kGiB + kMiB);
  REQUIRE(p != nullptr);
  CHECK(heap::usable_size(p) == kGiB + kMiB);
  CHECK(painted(p, 100'000, 8));
  CHECK(live_bytes() == before + kGiB + kMiB);
  deallocate(p);
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("another thread's block is reallocated like one's own", "[heap][realloc]") {
  const std::size_t before = live_bytes();
  std::vector<void*> all;
  for (const std::size_t bytes : {20ul, 2000ul, 30'000ul, 200'000ul, 3'000'000ul})
    paint(all.emplace_back(allocate(bytes)), bytes, bytes);
  std::size_t damaged = 0;
  std::thread([&] {
    std::size_t i = 0;
    for (const std::size_t bytes : {20ul, 2000ul, 30'000ul, 200'000ul, 3'000'000ul}) {
      void*& p = all[i++];
      p = heap::reallocate(p, bytes * 3);
      damaged += !painted(p, bytes, bytes);
      p = heap::reallocate(p, bytes / 3);
      damaged += !painted(p, bytes / 3, bytes);
    }
  }).join();
  CHECK(damaged == 0);
  CHECK(heap::validate() == 0);
  for (void* const p : all) deallocate(p);
  flush_own();
  CHECK(live_bytes() == before);
}
