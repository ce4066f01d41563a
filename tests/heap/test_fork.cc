// test_fork.cc: a child's copy of the heap is whole and complete, whatever other threads were doing at the fork.
#include <catch2/catch.hpp>

#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "tests/heap/check_heap.h"
#include "tests/heap/churn.h"
#include "tests/heap/storm.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

using Blocks = Table<512>;

}  // namespace

TEST_CASE("200 forks from a thread while four others churn", "[heap][fork]") {
  Storm<Blocks> storm(4);
  int failed = 0;
  std::string text;
  std::thread([&] {
    for (int k = 0; k < 200; ++k) {
      const Ending e = in_child(
          [&] {
            BM_CHILD_REQUIRE(heap::validate() == 0);
            BM_CHILD_REQUIRE(storm.table.clear());  // blocks of every thread
            BM_CHILD_REQUIRE(visit_every_class());
            BM_CHILD_REQUIRE(storm.table.clear());
            BM_CHILD_REQUIRE(heap::validate() == 0);
            return true;
          },
          k % 2 == 0 ? Fork(nullptr) : Fork(fork_by_clone));
      if (e.ok) continue;
      ++failed;
      text += e.text + " signal " + std::to_string(e.signal) + "\n";
    }
  }).join();
  INFO(text);
  CHECK(failed == 0);
  CHECK(heap::validate() == 0);
}

TEST_CASE("an orphan is adopted by one thread only", "[heap][fork]") {
  Storm<Blocks> storm(4);
  for (int k = 0; k < 60; ++k) {
    const Ending e = in_child([&] {
      constexpr int kAdopters = 4;
      heap::ThreadHeap* adopted[kAdopters] = {};
      std::atomic<int> waiting{kAdopters};
      std::atomic<int> busy{kAdopters};
      std::vector<std::thread> threads;
      for (auto& h : adopted)
        threads.emplace_back([&waiting, &busy, &h] {
          for (--waiting; waiting != 0;) {
          }
          deallocate(allocate(100));
          h = heap::current_heap();
          for (--busy; busy != 0;) std::this_thread::yield();
        });
      for (auto& t : threads) t.join();
      std::sort(std::begin(adopted), std::end(adopted));
      BM_CHILD_REQUIRE(std::adjacent_find(std::begin(adopted), std::end(adopted)) == std::end(adopted));
      return true;
    });
    INFO(e.text << " signal " << e.signal);
    REQUIRE(e.ok);
  }
}

TEST_CASE("threads of a child adopt the heaps of those that vanished", "[heap][fork][native]") {
  Storm<Blocks> storm(4);
  for (int k = 0; k < 20; ++k) {
    const Ending e = in_child([&] {
      BM_CHILD_REQUIRE(heap::validate() == 0);  // the thread that forked is the first to notice: it knows its own heap
      const std::uint32_t heaps = heap::process.heap_count();
      std::atomic<bool> ok{true};
      for (int round = 0; round < 3; ++round) {
        std::vector<std::thread> threads;
        std::atomic<int> allocated{0};
        for (unsigned i = 0; i < 4; ++i)
          threads.emplace_back([&, i] {
            Random random(i);
            for (int n = 0; n < 300; ++n)
              if (!storm.table.churn(random, 14)) ok = false;
            ++allocated;
            while (allocated != 4) std::this_thread::yield();  // four heaps at once
          });
        for (auto& t : threads) t.join();
      }
      BM_CHILD_REQUIRE(ok);
      BM_CHILD_REQUIRE(heap::process.heap_count() <= heaps + 1);  // the pool may be new
      BM_CHILD_REQUIRE(storm.table.clear());
      BM_CHILD_REQUIRE(heap::validate() == 0);
      return true;
    });
    INFO(e.text << " signal " << e.signal);
    REQUIRE(e.ok);
  }
}

TEST_CASE("an orphan is recounted by its maps, wherever its owner stopped", "[heap][fork]") {
  constexpr std::size_t kSize = 2048;
  const unsigned c = slab::class_of(kSize);
  Worker owner;
  BlockHead* all[16];
  heap::ThreadHeap* h = nullptr;
  owner.run([&] {
    flush_own();
    for (auto& b : all) b = new_block(kSize, 1);
    h = heap::current_heap();
  });
  const std::size_t slabs = slabs_of(*h, c);
  const Ending e = in_child([&] {
    heap::process.settle_fork();
    BM_CHILD_REQUIRE(h->state.load() == heap::HeapState::kOrphan);
    // the owner had taken objects out of the maps, but not out of the counts; others freed some meanwhile
    for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) {
      slab::Slab& s = heap::process.slabs[i];
      if (s.heap == h->index && s.size_class == c) s.free_count = static_cast<std::uint16_t>(s.size_info().objects - 1);
    }
    for (int i = 0; i < 16; i += 5) BM_CHILD_REQUIRE(delete_block(all[i]));
    BM_CHILD_REQUIRE(heap::validate() == 0);  // recounts
    BM_CHILD_REQUIRE(slabs_of(*h, c) == slabs);
    BM_CHILD_REQUIRE(visit_every_class());
    for (int i = 0; i < 16; ++i)
      if (i % 5 != 0) BM_CHILD_REQUIRE(delete_block(all[i]));
    return heap::validate() == 0;
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
  for (BlockHead* const b : all) delete_block(b);
}

TEST_CASE("a thread that the child starts may be the first to notice, and leaves the forking thread its heap",
          "[heap][fork][native]") {
  Table<64> table;
  Random random(3);
  for (int k = 0; k < 500; ++k) table.churn(random, 12);
  heap::ThreadHeap* const mine = heap::current_heap();
  for (const bool helped : {false, true}) {
    if (helped) mine->lock.lock();  // as if another thread were helping at the fork
    const Ending e = in_child([&] {
      bool ok = true;
      std::atomic<bool> started{false}, done{false};
      const heap::ThreadHeap* theirs = nullptr;
      std::thread other([&] {
        void* const p = allocate(100'000);  // a slow path: this thread settles the fork
        theirs = heap::current_heap();
        started = true;
        while (!done) std::this_thread::yield();
        deallocate(p);
      });
      while (!started) std::this_thread::yield();
      BM_CHILD_REQUIRE((mine->state.load() == heap::HeapState::kUnsettled) == helped);
      ok &= heap::current_heap() == mine && theirs != mine;
      for (int k = 0; k < 2000; ++k) ok &= table.churn(random, 14);
      BM_CHILD_REQUIRE(mine->state.load() == heap::HeapState::kActive);
      done = true;
      other.join();
      BM_CHILD_REQUIRE(ok);
      BM_CHILD_REQUIRE(heap::validate() == 0);
      BM_CHILD_REQUIRE(table.clear());
      return true;
    });
    if (helped) mine->lock.unlock();
    INFO((helped ? "helped: " : "at rest: ") << e.text << " signal " << e.signal);
    CHECK(e.ok);
  }
  CHECK(table.clear());
}

TEST_CASE("SL-3: a recount leaves alone what a freer is about to list, or it would be listed twice", "[heap][fork]") {
  constexpr std::size_t kSize = 1536;
  void* const p = allocate(kSize);
  Pfn page;
  REQUIRE(heap::process.map.find(p, page));
  heap::ThreadHeap& h = *heap::current_heap();
  const unsigned pages = slab::kClass[slab::class_of(kSize)].pages;
  slab::Slab& s = heap::process.slabs[heap::process.map.slab_index({page.value & ~(pages - 1)})];
  REQUIRE(s.holder() == h.index);
  s.queued = heap::process.generation();
  {
    os::LockGuard hold(h.lock);
    h.recount();
  }
  CHECK(s.queued == heap::process.generation());
  s.queued = 0;
  CHECK(heap::validate() == 0);
  deallocate(p);
}

TEST_CASE("SL-3: a freer that vanished between queueing a slab and listing it leaves nothing unheard", "[heap][fork]") {
  constexpr std::size_t kSize = 2304;
  const unsigned c = slab::class_of(kSize);
  flush_own();
  BlockHead* all[40];
  for (auto& b : all) b = new_block(kSize, 1);
  heap::ThreadHeap& h = *heap::current_heap();
  const auto set_queued = [&](std::uint32_t value) {
    for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) {
      slab::Slab& s = heap::process.slabs[i];
      if (s.heap == h.index && s.size_class == c) s.queued = value;
    }
  };
  set_queued(1);  // as if other threads were about to list them
  const Ending e = in_child([&] {
    bool ok = true;
    std::thread([&] {
      for (BlockHead* const b : all) ok &= delete_block(b);
    }).join();
    BM_CHILD_REQUIRE(ok);
    flush_own();
    BM_CHILD_REQUIRE(slabs_of(h, c) == 0);
    BM_CHILD_REQUIRE(broken_heap(h) == "");
    return true;
  });
  set_queued(0);
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
  for (BlockHead* const b : all) delete_block(b);
}

TEST_CASE("no pageblock stays isolated in a child because another thread was giving it back", "[heap][fork]") {
  std::atomic<bool> stop{false};
  std::thread purger([&] {
    while (!stop) {
      auto* const p = static_cast<char*>(allocate(24 * kMiB));
      for (std::size_t i = 0; i < 24 * kMiB; i += kPageblockSize) p[i] = 1;
      deallocate(p);
      heap::trim(0);
    }
  });
  int failed = 0;
  std::string text;
  for (int k = 0; k < 200; ++k) {
    const Ending e = in_child([] {
      heap::process.settle_fork();
      unsigned isolated = 0;
      const pages::Section& s = heap::process.map.section(0);
      for (std::uint32_t b = 0; b < s.opened; ++b) isolated += heap::process.map.block(s.first + b).isolated ? 1 : 0;
      if (isolated != 0) std::fprintf(stderr, "%u pageblocks are isolated for ever\n", isolated);
      return isolated == 0;
    });
    failed += e.ok ? 0 : 1;
    text += e.text;
  }
  stop = true;
  purger.join();
  INFO(text);
  CHECK(failed == 0);
}

TEST_CASE("children of children keep working", "[heap][fork]") {
  Blocks table;
  Random random(3);
  for (int k = 0; k < 2000; ++k) table.churn(random, 14);
  const std::function<bool(int)> generation = [&](int depth) {
    for (int k = 0; k < 200; ++k) BM_CHILD_REQUIRE(table.churn(random, 14));
    BM_CHILD_REQUIRE(heap::validate() == 0);
    if (depth == 0) return table.clear() && heap::validate() == 0;
    const Ending e = in_child([&] { return generation(depth - 1); });
    std::fputs(e.text.c_str(), stderr);
    return e.ok && table.clear();
  };
  const Ending e = in_child([&] { return generation(8); });
  INFO(e.text);
  CHECK(e.ok);
  CHECK(table.clear());
  CHECK(heap::validate() == 0);
}

TEST_CASE("a child counts what the parent counted", "[heap][fork]") {
  Blocks table;
  Random random(3);
  for (int k = 0; k < 2000; ++k) table.churn(random, 16);
  const std::size_t live = live_bytes();
  CHECK(in_child([&] { return live_bytes() == live; }).ok);
  CHECK(table.clear());
}

TEST_CASE("the thread that forked may end in the child, first of all things", "[heap][fork]") {
  Worker forker;
  Ending e;
  forker.run([&] {
    deallocate(allocate(100));  // a heap, and its exit hook
    e = in_child([&] {
      static pthread_t ending;
      ending = pthread_self();
      pthread_t other;
      const auto check = [](void*) -> void* {
        pthread_join(ending, nullptr);
        const std::uint32_t active = heap::process.active_heaps();
        if (active > 1) std::fprintf(stderr, "%u active heaps in a process of one thread without one\n", active);
        const bool ok = active <= 1 && visit_every_class();
        _exit(ok ? 0 : 1);
      };
      pthread_create(&other, nullptr, check, nullptr);
      pthread_exit(nullptr);  // abandon() is the child's first slow path
      return false;
    });
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}
