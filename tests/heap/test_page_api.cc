// test_page_api.cc: threads that pass pages around, and forks at any moment of it: no page is with two owners, in the parent
// or in the child, and the zone stays whole.  layer: tests
#include <catch2/catch.hpp>

#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "buddymalloc/pages.h"
#include "heap/page_api.h"
#include "support/single_step.h"
#include "tests/heap/storm.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr unsigned kOrders = 7;  // beyond the lists', too

// A run's head says what it is and who owns it last.
struct Head {
  std::uint64_t order;
  std::uint64_t mark;
};

struct Slots {
  std::atomic<Head*> slot[256] = {};

  // Puts a new run into a slot and frees what was there. False: it was damaged, or there was no memory.
  bool churn(Random& random) {
    const auto order = static_cast<unsigned>(random.below(kOrders));
    auto* const fresh = static_cast<Head*>(bm_pages_alloc(order, static_cast<unsigned>(random.below(3))));
    if (fresh == nullptr) return false;
    *fresh = {order, random.bits()};
    reinterpret_cast<Head*>(reinterpret_cast<char*>(fresh) + (kPageSize << order))[-1] = *fresh;
    return release(slot[random.below(std::size(slot))].exchange(fresh));
  }
  static bool release(Head* h) {
    if (h == nullptr) return true;
    const auto order = static_cast<unsigned>(h->order);
    const bool ok = order < kOrders &&
                    reinterpret_cast<Head*>(reinterpret_cast<char*>(h) + (kPageSize << order))[-1].mark == h->mark;
    if (ok) bm_pages_free(h, order);
    return ok;
  }
  bool clear() {
    bool ok = true;
    for (auto& s : slot) ok &= release(s.exchange(nullptr));
    return ok;
  }
};

// In a child: takes pages of every listed order, until all the lists have been through; none may be in use elsewhere.
bool takes_only_free_pages(const std::vector<void*>& live) {
  static void* got[200];
  for (unsigned order = 0; order < pcp::kListOrders; ++order) {
    for (void*& p : got) {
      BM_CHILD_REQUIRE((p = bm_pages_alloc(order, BM_PAGES_MOVABLE)) != nullptr);
      const auto start = reinterpret_cast<std::uintptr_t>(p);
      for (void* const other : live)
        BM_CHILD_REQUIRE(reinterpret_cast<std::uintptr_t>(other) - start >= kPageSize << order);
    }
    std::sort(std::begin(got), std::end(got));
    BM_CHILD_REQUIRE(std::adjacent_find(std::begin(got), std::end(got)) == std::end(got));
    for (void* const p : got) bm_pages_free(p, order);
  }
  BM_CHILD_REQUIRE(heap::validate() == 0);
  return true;
}

}  // namespace

TEST_CASE("PA-1: a page on a list that is free too, or still has an entry, is reported", "[heap][pages][validate]") {
  for (const bool free_too : {false, true}) {
    const Ending e = in_child([&] {
      void* const p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
      BM_CHILD_REQUIRE(heap::validate() == 0);
      Pfn page;
      BM_CHILD_REQUIRE(heap::process.map.find(p, page));
      bm_pages_free(p, 0);
      BM_CHILD_REQUIRE(heap::validate() == 0);
      if (free_too)
        heap::process.nodes.zone_of(page).free(page, 1);
      else
        heap::process.map.set_entry(page, heap::kOrderEntry);
      return heap::validate() == 0;
    });
    INFO(e.text);
    CHECK_FALSE(e.ok);
    CHECK(e.text.find("invariant PA-1 broken") != std::string::npos);
  }
}

TEST_CASE("isolation takes this thread's own pages off its lists", "[heap][pages]") {
  bm_pages_free(bm_pages_alloc(0, BM_PAGES_MOVABLE), 0);  // it has lists
  void* const run = bm_pages_alloc(9, BM_PAGES_MOVABLE);
  bm_pages_split(run, 9);
  Pfn first;
  REQUIRE(heap::process.map.find(run, first));
  bm_pages_free(run, 0);
  CHECK(heap::process.map.block(first.block()).free_pages == 0);
  REQUIRE(bm_pages_isolate(run, BM_PAGEBLOCK_SIZE) == 0);
  CHECK(heap::process.map.block(first.block()).free_pages == 1);
  for (std::size_t k = 1; k < kPagesPerBlock; ++k) bm_pages_free(static_cast<char*>(run) + k * kPageSize, 0);
  CHECK(heap::process.map.block(first.block()).whole_free());
  CHECK(bm_pages_unisolate(run, BM_PAGEBLOCK_SIZE) == 0);
}

TEST_CASE("threads that free each other's pages", "[heap][pages][threads]") {
  Slots slots;
  std::atomic<bool> ok{true};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      Random random(i + 1);
      for (int n = 0; n < 20000; ++n)
        if (!slots.churn(random)) ok = false;
    });
  for (auto& t : threads) t.join();
  CHECK(ok);
  CHECK(slots.clear());
  CHECK(heap::validate() == 0);
}

TEST_CASE("trim while others churn pages leaves their lists alone", "[heap][pages][threads]") {
  Storm<Slots> storm(3);
  for (int k = 0; k < 100; ++k) {
    heap::trim(0);
    if (k % 10 == 0) CHECK(heap::validate() == 0);
  }
}

TEST_CASE("50 forks while four threads churn pages: the child has every run, and its threads adopt the lists",
          "[heap][pages][fork][native]") {
  Storm<Slots> storm(4);
  for (int k = 0; k < 50; ++k) {
    const Ending e = in_child([&] {
      BM_CHILD_REQUIRE(heap::validate() == 0);  // the thread that forked is the first to notice
      static std::vector<void*> live;
      for (const auto& s : storm.table.slot)
        if (s.load() != nullptr) live.push_back(s.load());
      std::atomic<bool> ok{true};
      std::atomic<int> busy{4};
      std::vector<std::thread> threads;
      for (unsigned i = 0; i < 4; ++i)
        threads.emplace_back([&] {
          void* got[100];
          for (void*& p : got) {
            p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
            if (p == nullptr || std::find(live.begin(), live.end(), p) != live.end()) ok = false;
          }
          for (--busy; busy != 0;) std::this_thread::yield();  // four heaps at once
          for (void* const p : got) bm_pages_free(p, 0);
        });
      for (auto& t : threads) t.join();
      BM_CHILD_REQUIRE(ok);
      BM_CHILD_REQUIRE(takes_only_free_pages(live));
      BM_CHILD_REQUIRE(storm.table.clear());
      return heap::validate() == 0;
    });
    INFO(e.text << " signal " << e.signal);
    REQUIRE(e.ok);
  }
}

TEST_CASE("forks at any instruction of page allocation and freeing, lists refilled and spilled",
          "[heap][pages][fork][signal][native]") {
  if (!kCanSingleStep) return;
  enum class Way { kWorkInHandler, kWorkAfterReturn };
  for (const Way way : {Way::kWorkInHandler, Way::kWorkAfterReturn}) {
    std::vector<void*> live(20), more(13);
    for (auto& p : live) p = bm_pages_alloc(3, BM_PAGES_MOVABLE);
    for (auto& p : more) p = nullptr;
    int children = 0, failed = 0;
    bool returned = false;
    std::size_t step = 0;
    const auto prepare = [] {
      for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) std::signal(s, SIG_DFL);
      alarm(30);
    };
    single_step(
        [&] {
          for (auto& p : more) p = bm_pages_alloc(3, BM_PAGES_MOVABLE);
          bm_pages_split(more[0], 3);
          bm_pages_free(more[0], 2);
          bm_pages_free(static_cast<char*>(more[0]) + 4 * kPageSize, 2);
          for (std::size_t k = 1; k < more.size(); ++k) bm_pages_free(more[k], 3);
          void* const large = bm_pages_alloc(6, BM_PAGES_UNMOVABLE);
          bm_pages_free(large, 6);
          void* const exact = bm_pages_alloc_exact(5 * kPageSize, BM_PAGES_UNMOVABLE);
          bm_pages_free_exact(exact, 5 * kPageSize);
        },
        [&] {
          if (returned || ++step % (way == Way::kWorkInHandler ? 101 : 701) != 0) return;
          const pid_t pid = fork();
          if (pid != 0) {
            int status = 0;
            waitpid(pid, &status, 0);
            ++children;
            failed += status != 0 ? 1 : 0;
            return;
          }
          prepare();
          if (way == Way::kWorkInHandler) _exit(heap::validate() == 0 && takes_only_free_pages(live) ? 0 : 1);
          returned = true;
        });
    if (returned) _exit(heap::validate() == 0 && takes_only_free_pages(live) ? 0 : 1);
    CHECK(children > 10);
    CHECK(failed == 0);
    for (void* const p : live) bm_pages_free(p, 3);
    CHECK(heap::validate() == 0);
  }
}
