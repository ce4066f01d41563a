// test_remote.cc: what other threads free comes back, whether its owner works, sleeps or is gone.
#include <catch2/catch.hpp>

#include <pthread.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "heap/reclaim.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kMany = 40'000;

std::vector<void*> allocate_many(std::size_t bytes, std::size_t count = kMany) {
  std::vector<void*> all(count);
  for (std::size_t i = 0; i < count; ++i) paint(all[i] = allocate(bytes), bytes, i);
  return all;
}

// Frees all in random order after a look at their contents; returns how many were damaged.
std::size_t free_all(std::vector<void*>& all, std::size_t bytes) {
  std::size_t damaged = 0;
  for (std::size_t i = 0; i < all.size(); ++i) damaged += !painted(all[i], bytes, i);
  Random random(7);
  for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);
  for (void* const p : all) deallocate(p);
  return damaged;
}

}  // namespace

TEST_CASE("an idle owner gets most pages back by its freers' hands, the rest on its next slow path", "[heap][remote]") {
  for (const std::size_t bytes : {24u, 3000u}) {
    CAPTURE(bytes);
    const std::size_t count = bytes == 24 ? 10 * kMany : kMany;
    Worker owner;
    std::vector<void*> all;
    heap::ThreadHeap* h = nullptr;
    const std::size_t before = live_bytes();
    owner.run([&] {
      all = allocate_many(bytes, count);
      h = heap::current_heap();
    });
    const unsigned c = slab::class_of(bytes);
    const std::size_t most = slabs_of(*h, c);
    CHECK(live_bytes() >= before + count * bytes);
    {
      const BackgroundRests hold;        // it merges, too, and a freer does not come where it holds the lock
      CHECK(free_all(all, bytes) == 0);  // by this thread
      CHECK(live_bytes() == before);
      const std::size_t slab_bytes = slab::kClass[c].slab_bytes();
      CHECK(slabs_of(*h, c) * slab_bytes <= 2 * kMiB + slab_bytes);  // freers come at each 2 MiB
      CHECK(slabs_of(*h, c) < most / 2);
      CHECK(broken_heap(*h) == "");
    }
    owner.run([] { flush_own(); });
    CHECK(slabs_of(*h, c) == 0);
    CHECK(broken_heap(*h) == "");
    CHECK(heap::validate() == 0);
  }
}

TEST_CASE("the heap of an exited thread takes back what it left, at once and to the last page", "[heap][remote]") {
  for (const std::size_t bytes : {48u, 4000u}) {
    CAPTURE(bytes);
    heap::trim(0);
    const std::size_t free_before = heap::process.zone.counters().free_pages;
    const std::size_t opened_before = heap::process.zone.counters().opened_pages;
    std::vector<void*> all;
    heap::ThreadHeap* h = nullptr;
    std::thread([&] {
      all = allocate_many(bytes);
      h = heap::current_heap();
    }).join();
    REQUIRE(h->state.load() == heap::HeapState::kAbandoned);
    CHECK(free_all(all, bytes) == 0);
    CHECK(slabs_of(*h, slab::class_of(bytes)) == 0);
    CHECK(broken_heap(*h) == "");
    flush_own();  // run classes stay with the thread that freed them
    const auto after = heap::process.zone.counters();
    CHECK(after.opened_pages - after.free_pages == opened_before - free_before);
    CHECK(heap::validate() == 0);
  }
}

TEST_CASE("slabs of an exited thread's heap go back some at a time, and all of them in the end", "[heap][remote]") {
  constexpr std::size_t kSize = 2000;
  const unsigned c = slab::class_of(kSize);
  const BackgroundRests hold;
  std::vector<void*> all;
  heap::ThreadHeap* h = nullptr;
  std::thread([&] {
    all = allocate_many(kSize, 100U * slab::kClass[c].objects);
    h = heap::current_heap();
  }).join();
  std::map<const slab::Slab*, std::vector<void*>> by_slab;
  for (void* const p : all) by_slab[&slab_of(p)].push_back(p);
  std::vector<std::vector<void*>> full;
  for (auto& [s, objects] : by_slab)
    if (objects.size() == slab::kClass[c].objects && s->holder() == h->index) full.push_back(std::move(objects));
  REQUIRE(full.size() >= 90);
  for (auto& objects : full) deallocate(objects.back()), objects.pop_back();
  const std::size_t before = slabs_of(*h, c);
  const auto free_slab = [&] {
    for (void* const p : full.back()) deallocate(p);
    full.pop_back();
  };
  const std::size_t many = (std::size_t{256} << 10) / slab::kClass[c].slab_bytes();
  for (std::size_t i = 0; i + 1 < many; ++i) free_slab();
  CHECK(slabs_of(*h, c) == before);
  free_slab();
  CHECK(slabs_of(*h, c) == before - many);
  while (full.size() > 4) free_slab();
  heap::drain_heaps();  // nothing is listed, and then four slabs are
  for (auto& objects : full) deallocate(objects.back()), objects.pop_back();
  const std::size_t left = slabs_of(*h, c);
  free_slab();
  CHECK(slabs_of(*h, c) == left);
  free_slab();  // half of them
  CHECK(slabs_of(*h, c) == left - 2);
  while (!full.empty()) free_slab();
  CHECK(slabs_of(*h, c) == 0);
  CHECK(broken_heap(*h) == "");
  for (auto& [s, objects] : by_slab)
    for (void* const p : objects) deallocate(p);  // of slabs that were not full
  flush_own();
  CHECK(heap::validate() == 0);
}

TEST_CASE("who takes a slab of ended threads over has what was freed in it, and looks at no others",
          "[heap][adoption]") {
  constexpr std::size_t kWanted = 460, kOther = 980;
  const BackgroundRests hold;
  void* wanted[2];
  void* other[2];
  std::thread([&] {
    for (void*& p : wanted) p = allocate(kWanted);
    for (void*& p : other) p = allocate(kOther);
  }).join();
  deallocate(wanted[0]);
  deallocate(other[0]);
  slab::Slab& s = slab_of(wanted[1]);
  const std::uint32_t pool = s.holder();
  REQUIRE(slab_of(other[1]).has_remote());
  REQUIRE(s.has_remote());
  std::thread([&] {
    std::vector<void*> mine;
    while (s.holder() == pool) mine.push_back(allocate(kWanted));
    CHECK_FALSE(s.has_remote());
    CHECK(slab_of(other[1]).has_remote());
    CHECK(s.holder() == heap::current_heap()->index);
    CHECK(broken_heap(*heap::current_heap()) == "");
    for (void* const p : mine) deallocate(p);
  }).join();
  deallocate(wanted[1]);
  deallocate(other[1]);
  CHECK(heap::validate() == 0);
}

TEST_CASE("run classes freed by another thread belong to that thread", "[heap][remote]") {
  constexpr std::size_t kSize = 300'000;
  Worker owner;
  void* p = nullptr;
  owner.run([&] { paint(p = allocate(kSize), kSize, 3); });
  for (int i = 0; i < 2; ++i) deallocate(allocate(kSize));  // a bin that keeps things
  CHECK(painted(p, kSize, 3));
  deallocate(p);
  CHECK(allocate(kSize) == p);
  CHECK(broken_bins(*heap::current_heap()) == "");
  deallocate(p);
  flush_own();
  CHECK(heap::validate() == 0);
}

TEST_CASE("a thread without a heap can free every kind of block", "[heap][remote]") {
  const std::size_t before = live_bytes();
  std::vector<void*> all;
  for (const std::size_t bytes : {1ul, 500ul, 20'000ul, 100'000ul, 5'000'000ul, (1ul << 30) + 1})
    all.push_back(allocate(bytes));
  bool had_none = false;
  std::thread([&] {
    for (void* const p : all) deallocate(p);
    had_none = heap::current_heap() == nullptr;
  }).join();
  CHECK(had_none);
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("a later thread adopts the heap of an exited one, with its slabs", "[heap][adoption]") {
  void* left = nullptr;
  heap::ThreadHeap* first = nullptr;
  heap::ThreadHeap* second = nullptr;
  void* next = nullptr;
  std::thread([&] {
    left = allocate(640);
    first = heap::current_heap();
  }).join();
  std::thread([&] {
    next = allocate(640);
    second = heap::current_heap();
    deallocate(left);  // its own now
    deallocate(next);
  }).join();
  CHECK(first == second);
  CHECK(next != left);
  CHECK(reinterpret_cast<std::uintptr_t>(next) >> 16 == reinterpret_cast<std::uintptr_t>(left) >> 16);
  CHECK(broken_heap(*first) == "");
}

TEST_CASE("20 000 short threads leave heaps, committed memory and RSS flat", "[heap][adoption][native]") {
  std::atomic<void*> handed{nullptr};
  std::atomic<int> damaged{0};
  const auto life = [&](std::size_t k) {
    void* mine[20];
    for (std::size_t i = 0; i < std::size(mine); ++i)
      paint(mine[i] = allocate(std::size_t{16} << (i / 2)), std::size_t{16} << (i / 2), k + i);
    paint(mine[0], 16, 99);
    void* const from_before = handed.exchange(mine[0]);  // one is left for the next thread to free
    if (from_before != nullptr && !painted(from_before, 16, 99)) ++damaged;
    deallocate(from_before);
    for (std::size_t i = 1; i < std::size(mine); ++i) {
      if (!painted(mine[i], std::size_t{16} << (i / 2), k + i)) ++damaged;
      deallocate(mine[i]);
    }
  };
  const auto run_threads = [&](std::size_t count) {
    for (std::size_t k = 0; k < count; k += 2) {
      std::thread a(life, k);
      std::thread b(life, k + 1);
      a.join();
      b.join();
    }
  };
  run_threads(200);
  const std::uint32_t heaps = heap::process.heap_count();
  const std::size_t committed = statistics().committed_bytes;
  const std::size_t live = live_bytes();
  const std::size_t rss = rss_bytes();
  run_threads(20'000);
  CHECK(damaged == 0);
  CHECK(heap::process.heap_count() <= heaps + 1);
  CHECK(statistics().committed_bytes == committed);
  CHECK(live_bytes() == live);
#ifndef __SANITIZE_THREAD__  // it keeps records of its own of every thread that was
  // A hugepage that went back to the OS before may be touched again, on each node: its pages are committed all the time.
  CHECK(rss_bytes() <= rss + kMiB + heap::process.nodes.count() * kPageblockSize);
#endif
  deallocate(handed.exchange(nullptr));
  CHECK(heap::validate() == 0);
}

namespace {

pthread_key_t late_key;
std::atomic<int> late_calls{0};

void allocate_late(void*) {
  void* const p = allocate(100);
  deallocate(p);
  ++late_calls;
}

}  // namespace

TEST_CASE("threads that allocate in their very last destructors leave no heap behind each", "[heap][adoption]") {
  REQUIRE(pthread_key_create(&late_key, allocate_late) == 0);
  const auto life = [] {
    deallocate(allocate(50));
    pthread_setspecific(late_key, &late_key);
  };
  for (int k = 0; k < 20; ++k) std::thread(life).join();
  const std::uint32_t heaps = heap::process.heap_count();
  for (int k = 0; k < 500; ++k) std::thread(life).join();
  CHECK(late_calls == 520);
  CHECK(heap::process.heap_count() <= heaps + 1);
  CHECK(heap::validate() == 0);
  pthread_key_delete(late_key);
}
