// test_reclaim.cc: what is given up before a request fails, in which order, and by whom it may be asked.
#include <catch2/catch.hpp>

#include <signal.h>
#include <sys/resource.h>

#include <atomic>
#include <thread>
#include <vector>

#include "heap/reclaim.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

// A cache of blocks that can go.
struct Cache {
  explicit Cache(std::size_t bytes) : block_bytes(bytes) {}
  std::size_t block_bytes;
  static inline void** blocks;  // not libc's malloc: it has no memory here either
  std::size_t size = 0;
  int counted = 0;
  int scanned = 0;
  std::size_t largest_wish = 0;
  bool refuses = false;

  bool add() {
    void* const p = allocate(block_bytes);
    if (p != nullptr) blocks[size++] = p;
    return p != nullptr;
  }
  static std::size_t count(void* self) {
    auto& c = *static_cast<Cache*>(self);
    ++c.counted;
    return c.size * c.block_bytes;
  }
  static std::size_t scan(void* self, std::size_t bytes) {
    auto& c = *static_cast<Cache*>(self);
    ++c.scanned;
    c.largest_wish = std::max(c.largest_wish, bytes);
    if (c.refuses) return heap::kShrinkStop;
    std::size_t freed = 0;
    for (; freed < bytes && c.size != 0; freed += c.block_bytes) deallocate(c.blocks[--c.size]);
    return freed;
  }
};

// In a child that may have no more memory than it has opened, or 256 MiB.
template <class Piece>
void under_limit(Piece piece) {
  deallocate(allocate(100));
  const Ending e = in_child([&] {
    Cache::blocks = static_cast<void**>(allocate(20'000 * sizeof(void*)));
    rlimit limit{};
    getrlimit(RLIMIT_DATA, &limit);
    limit.rlim_cur = 256 * kMiB;
    BM_CHILD_REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
    return piece();
  });
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

// All stages that a request of so many bytes would go through, as it failed for ever.
int stages(std::size_t bytes) {
  heap::Reclaim reclaim(bytes);
  int n = 0;
  while (reclaim.next()) ++n;
  return n;
}

}  // namespace

TEST_CASE("a request that would fail is served from what a shrinker drops", "[heap][reclaim][native]") {
  under_limit([] {
    Cache cache(kMiB);
    heap::Shrinker* const s = heap::register_shrinker(Cache::count, Cache::scan, &cache);
    BM_CHILD_REQUIRE(s != nullptr);
    for (int i = 0; i < 15'000 && cache.scanned == 0; ++i) BM_CHILD_REQUIRE(cache.add());
    BM_CHILD_REQUIRE(cache.scanned > 0);  // until there was no more room
    const std::size_t most = cache.size;
    for (int i = 0; i < 600; ++i) BM_CHILD_REQUIRE(cache.add());
    BM_CHILD_REQUIRE(cache.size <= most + most / 4 + 10);
    BM_CHILD_REQUIRE(allocate(10 * kMiB) != nullptr);
    // not slabs: for more of their descriptors the limit has no room
    while (cache.size > most / 2) BM_CHILD_REQUIRE(allocate(100'000) != nullptr);
    BM_CHILD_REQUIRE(heap::validate() == 0);
    heap::unregister_shrinker(s);
    const int before = cache.counted;
    while (allocate(kMiB) != nullptr) {
    }
    BM_CHILD_REQUIRE(cache.counted == before);
    return heap::validate() == 0;
  });
}

TEST_CASE("a shrinker that cannot, or frees nothing, is asked a few times and the request fails",
          "[heap][reclaim][native]") {
  under_limit([] {
    Cache cache(kMiB);
    cache.refuses = true;
    heap::register_shrinker(Cache::count, Cache::scan, &cache);
    while (cache.add()) {
    }
    BM_CHILD_REQUIRE(cache.scanned >= 1);
    BM_CHILD_REQUIRE(cache.scanned <= 8);
    BM_CHILD_REQUIRE(cache.largest_wish <= cache.size * kMiB);
    return heap::validate() == 0;
  });
}

TEST_CASE("a shrinker that runs out of memory itself is not called again from within", "[heap][reclaim][native]") {
  under_limit([] {
    static int depth, deepest, calls;
    heap::register_shrinker([](void*) { return std::size_t{1} << 20; },
                            [](void*, std::size_t) -> std::size_t {
                              ++calls;
                              deepest = std::max(deepest, ++depth);
                              void* const p = allocate(200 * kMiB);  // fails at once
                              --depth;
                              return p == nullptr ? 1 : 0;
                            },
                            nullptr);
    while (allocate(kMiB) != nullptr) {
    }
    BM_CHILD_REQUIRE(calls >= 1);
    BM_CHILD_REQUIRE(deepest == 1);
    return true;
  });
}

TEST_CASE("shrinkers are asked last, for more and more, with no lock held", "[heap][reclaim]") {
  static std::vector<std::size_t> wishes;
  wishes.clear();
  deallocate(allocate(100));
  heap::Shrinker* const s =
      heap::register_shrinker([](void*) { return std::size_t{8000}; },
                              [](void*, std::size_t bytes) -> std::size_t {
                                wishes.push_back(bytes);
                                std::thread([] { CHECK(heap::validate() == 0); }).join();  // takes every lock there is
                                return bytes;
                              },
                              nullptr);
  CHECK(stages(16) >= 6);
  CHECK(wishes == std::vector<std::size_t>{1000, 2000, 4000, 8000});
  wishes.clear();
  stages(5000);
  CHECK(wishes == std::vector<std::size_t>{5000, 5000, 5000, 8000});
  wishes.clear();
  stages(std::size_t{1} << 60);  // what no machine has costs nobody anything
  CHECK(wishes.empty());
  heap::unregister_shrinker(s);
}

TEST_CASE("reclaim gives up bins, page lists, other heaps' frees and slack", "[heap][reclaim]") {
  Worker owner;
  std::vector<void*> blocks(3000);
  owner.run([&] {
    for (auto& p : blocks) std::memset(p = allocate(3000), 1, 3000);
  });
  for (void* const p : blocks) deallocate(p);
  for (void*& p : blocks) std::memset(p = allocate(3000), 1, 3000);
  for (void* const p : blocks) deallocate(p);
  void* const run = allocate(10 * kMiB);
  std::memset(run, 1, 10 * kMiB);
  deallocate(run);
  const std::size_t before = zone_counters().purged_pages;
  CHECK(stages(16) >= 2);
  const heap::ThreadHeap& own = *heap::current_heap();
  CHECK(own.pages.held_pages() == 0);
  for (unsigned c = 0; c < slab::kClasses; ++c) CHECK(own.cached_objects(c) == 0);
  for (std::uint32_t i = 1; i <= heap::process.heap_count(); ++i) CHECK(heap::process.heap(i).pending == 0);
  CHECK(zone_counters().purged_pages - before >= 10 * kMiB >> kPageShift);
  CHECK(heap::validate() == 0);
}

TEST_CASE("64 shrinkers at most; a slot that is given back is used again", "[heap][reclaim]") {
  std::vector<heap::Shrinker*> all;
  const auto nothing = [](void*) { return std::size_t{0}; };
  const auto never = [](void*, std::size_t) { return std::size_t{0}; };
  while (heap::Shrinker* const s = heap::register_shrinker(nothing, never, nullptr)) all.push_back(s);
  CHECK(all.size() == 64);
  heap::unregister_shrinker(all[7]);
  CHECK(heap::register_shrinker(nothing, never, nullptr) == all[7]);
  for (heap::Shrinker* const s : all) heap::unregister_shrinker(s);
}

TEST_CASE("unregister waits for those inside", "[heap][reclaim][threads]") {
  struct Shared {
    std::atomic<bool> inside{false}, leave{false}, left{false};
  } shared;
  heap::Shrinker* const s = heap::register_shrinker([](void*) { return std::size_t{100}; },
                                                    [](void* p, std::size_t) -> std::size_t {
                                                      auto& sh = *static_cast<Shared*>(p);
                                                      sh.inside = true;
                                                      while (!sh.leave) std::this_thread::yield();
                                                      sh.left = true;
                                                      return 0;
                                                    },
                                                    &shared);
  deallocate(allocate(100));
  std::thread reclaimer([] { stages(16); });
  while (!shared.inside) std::this_thread::yield();
  std::thread waker([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    shared.leave = true;
  });
  heap::unregister_shrinker(s);
  CHECK(shared.left);
  reclaimer.join();
  waker.join();
}

TEST_CASE("in a child that a shrinker forked, and in one that others' shrinkers were busy at",
          "[heap][reclaim][fork]") {
  static heap::Shrinker* s;
  static bool ok;
  deallocate(allocate(100));
  s = heap::register_shrinker([](void*) { return std::size_t{100}; },
                              [](void*, std::size_t) -> std::size_t {
                                ok = in_child([] {
                                       deallocate(allocate(100));
                                       heap::process.settle_fork();
                                       return true;
                                     }).ok;
                                return 0;
                              },
                              nullptr);
  stages(16);
  CHECK(ok);
  static std::atomic<bool> inside, leave;
  inside = leave = false;
  heap::unregister_shrinker(s);
  s = heap::register_shrinker([](void*) { return std::size_t{100}; },
                              [](void*, std::size_t) -> std::size_t {
                                inside = true;
                                while (!leave) std::this_thread::yield();
                                return 0;
                              },
                              nullptr);
  std::thread busy([] { stages(16); });
  while (!inside) std::this_thread::yield();
  CHECK(in_child([] {
          heap::process.settle_fork();
          heap::unregister_shrinker(s);  // its visitor is not here
          return true;
        }).ok);
  leave = true;
  busy.join();
  heap::unregister_shrinker(s);
}

TEST_CASE("misuse of shrinkers is fatal, and says what", "[heap][reclaim][fatal]") {
  const auto says = [](auto piece, const char* text) {
    const Ending e = in_child([&] {
      piece();
      return true;
    });
    CHECK(e.signal == SIGABRT);
    CHECK(e.text.find(text) != std::string::npos);
  };
  const auto nothing = [](void*) { return std::size_t{10}; };
  static heap::Shrinker* s;
  deallocate(allocate(100));
  says(
      [&] {
        s = heap::register_shrinker(
            nothing, [](void*, std::size_t) { return std::size_t{0}; }, nullptr);
        heap::unregister_shrinker(s);
        heap::unregister_shrinker(s);
      },
      "not registered");
  says(
      [&] {
        s = heap::register_shrinker(
            nothing,
            [](void*, std::size_t) {
              heap::unregister_shrinker(s);
              return std::size_t{0};
            },
            nullptr);
        stages(16);
      },
      "from within a shrinker");
  says([&] { heap::unregister_shrinker(reinterpret_cast<heap::Shrinker*>(&s)); }, "no shrinker");
}
