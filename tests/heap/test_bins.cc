// test_bins.cc: refill and flush: bins grow with the program's rhythm and shrink when it gives memory up.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "tests/heap/check_heap.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;
using slab::class_of;
using slab::kClass;

namespace {

heap::ThreadHeap& own_heap() {
  deallocate(allocate(1));  // a thread has none before it allocates
  return *heap::current_heap();
}

// Runs body(heap) on a thread whose heap nobody had before: what older heaps learned must not matter. The threads that got those are
// gone by then: bins may hold the less the more heaps are in use.
template <class Body>
void on_fresh_heap(Body body) {
  std::vector<std::unique_ptr<Worker>> workers;
  heap::ThreadHeap* fresh = nullptr;
  while (fresh == nullptr) {
    const std::uint32_t heaps = heap::process.heap_count();
    workers.push_back(std::make_unique<Worker>());
    workers.back()->run([&] {
      heap::ThreadHeap& h = own_heap();
      if (h.index > heaps) fresh = &h;
    });
  }
  workers.erase(workers.begin(), workers.end() - 1);
  workers.back()->run([&] { body(*fresh); });
}

void one_round(std::vector<void*>& blocks, std::size_t bytes) {
  for (auto& p : blocks) p = allocate(bytes);
  for (void* const p : blocks) deallocate(p);
}

}  // namespace

TEST_CASE("objects per slab choose the migratetype, whatever the class was seen to do", "[heap][bins]") {
  // A class that changed its type would leave its earlier blocks full of holes and take fresh ones. Beyond 4 MiB of heap
  // call paths choose (test_lifetime.cc): the first test of this process.
  REQUIRE_FALSE(heap::Lifetimes::tells_apart(heap::process.slabs.limit() + 200));
  const auto check = [](std::size_t bytes, pages::Migratetype wanted) {
    std::vector<void*> blocks(20U * kClass[class_of(bytes)].objects);
    for (int round = 0; round < 3; ++round) {
      for (void*& p : blocks) {
        p = allocate(bytes);
        Pfn page;
        REQUIRE(heap::process.map.find(p, page));
        REQUIRE(heap::process.map.block(page.block()).migratetype == wanted);
      }
      for (void* const p : blocks) deallocate(p);
      flush_own();
    }
  };
  REQUIRE(kClass[class_of(112)].objects >= 64);
  check(112, pages::Migratetype::kUnmovable);
  REQUIRE(kClass[class_of(10'000)].objects < 64);
  check(10'000, pages::Migratetype::kMovable);
}

TEST_CASE("slabs of small objects are mixed while nothing is told apart, until the twin is in use", "[heap][bins]") {
  REQUIRE_FALSE(
      heap::Lifetimes::tells_apart(heap::process.slabs.limit() + 10));  // one of the first tests of this process
  const Ending e = in_child([] {
    BM_CHILD_REQUIRE(slab_of(allocate(2048)).is_mixed());
    BM_CHILD_REQUIRE(!slab_of(allocate(2049)).is_mixed());
    heap::allocate_hinted(1500, kMinAlignment, heap::Lifetime::kShort);
    void* const p = allocate(1500);
    BM_CHILD_REQUIRE(!slab_of(p).is_mixed());
    deallocate(p);
    BM_CHILD_REQUIRE(allocate(1500) == p);
    return true;
  });
  INFO(e.text);
  CHECK(e.ok);
}

TEST_CASE("in a small heap frees alone make a bin as large as the program's rhythm", "[heap][bins]") {
  REQUIRE(heap::process.nodes.present_pages() << kPageShift <= 40 * kMiB);  // one of the first tests of this process
  on_fresh_heap([](heap::ThreadHeap& h) {
    constexpr std::size_t kSize = 56;
    const heap::BinState& state = h.front.state[class_of(kSize)];
    std::vector<void*> blocks(6000);
    one_round(blocks, kSize);  // a tree is built and freed
    CHECK(state.capacity == 8191);
    const std::uint32_t demand = state.demand;
    one_round(blocks, kSize);
    CHECK(state.demand == demand);
    CHECK(state.flushes == 0);
    CHECK(broken_heap(h) == "");
  });
}

TEST_CASE("blocks of every class are aligned, distinct and as large as asked", "[heap][bins]") {
  std::vector<void*> all;
  for (unsigned c = 0; c < slab::kClasses; ++c)
    for (const std::size_t bytes : {std::size_t{kClass[c].size}, std::size_t{kClass[c].size - 15}}) {
      void* const p = allocate(bytes);
      REQUIRE(p != nullptr);
      REQUIRE(aligned(p, 16));
      REQUIRE(heap::usable_size(p) == kClass[c].size);
      paint(p, bytes, all.size());
      all.push_back(p);
    }
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(painted(all[i], kClass[i / 2].size - (i % 2) * 15, i));
  CHECK(heap::validate() == 0);
  CHECK(broken_heap(own_heap()) == "");
  for (void* const p : all) deallocate(p);
  CHECK(heap::validate() == 0);
  CHECK(broken_heap(own_heap()) == "");
}

TEST_CASE("size zero gives distinct blocks", "[heap][bins]") {
  void* const a = allocate(0);
  void* const b = allocate(0);
  CHECK(a != nullptr);
  CHECK(a != b);
  deallocate(a);
  deallocate(b);
  deallocate(nullptr);
}

TEST_CASE("a slab's objects are handed out in ascending order of address", "[heap][bins]") {
  flush_own();
  constexpr std::size_t kSize = 896;  // of no other test
  std::vector<void*> blocks(kClass[class_of(kSize)].objects);
  for (auto& p : blocks) p = allocate(kSize);
  CHECK(std::is_sorted(blocks.begin(), blocks.end()));
  for (void* const p : blocks) deallocate(p);
}

TEST_CASE("a block freed last is allocated first", "[heap][bins]") {
  void* const a = allocate(100);
  deallocate(a);
  CHECK(allocate(100) == a);
  deallocate(a);
}

// A program that allocates so many blocks and frees them, over and over, comes to need no slow path.
void check_that_rounds_fit(heap::ThreadHeap& h, std::size_t bytes, std::size_t count = 400) {
  const heap::BinState& state = h.front.state[class_of(bytes)];
  std::vector<void*> blocks(count);
  for (int round = 0; round < 20; ++round) {
    one_round(blocks, bytes);
    REQUIRE(broken_bins(h) == "");
  }
  CAPTURE(bytes, state.capacity);
  CHECK(state.capacity >= blocks.size());
  const std::uint32_t demand = state.demand;
  const unsigned flushes = state.flushes;
  for (int round = 0; round < 10; ++round) one_round(blocks, bytes);
  CHECK(state.demand == demand);  // no refill any more
  CHECK(state.flushes == flushes);
}

TEST_CASE("HP-2, TH-1: a bin grows until the program's rhythm fits into it", "[heap][bins]") {
  on_fresh_heap([](heap::ThreadHeap& h) {
    for (const std::size_t bytes : {40u, 1000u, 5000u}) check_that_rounds_fit(h, bytes);
  });
  CHECK(heap::validate() == 0);
}

TEST_CASE("a few large blocks in the past do not keep the bins of small ones from growing", "[heap][bins]") {
  on_fresh_heap([](heap::ThreadHeap& h) {
    std::vector<void*> blocks(4);
    for (unsigned c = slab::kSlabClasses; c < slab::kClasses; ++c) one_round(blocks, kClass[c].size);
    for (const std::size_t bytes : {40u, 1000u}) check_that_rounds_fit(h, bytes);
  });
}

void check_shrinking(heap::ThreadHeap& h) {
  constexpr std::size_t kSize = 72;
  const unsigned c = class_of(kSize);
  std::vector<void*> few(500);
  for (int round = 0; round < 20; ++round) one_round(few, kSize);
  REQUIRE(h.front.state[c].capacity >= 500);
  std::vector<void*> many(100'000);
  for (auto& p : many) p = allocate(kSize);
  REQUIRE(slabs_of(h, c) >= many.size() / kClass[c].objects);
  Random random(1);
  for (std::size_t i = many.size(); i > 1; --i) std::swap(many[i - 1], many[random.below(i)]);
  for (void* const p : many) deallocate(p);
  CHECK(h.front.state[c].capacity <= 31);
  CHECK(h.cached_objects(c) == 0);  // each would pin a slab, and that a pageblock
  CHECK(slabs_of(h, c) == 0);
  CHECK(broken_heap(h) == "");
  for (int round = 0; round < 3; ++round) one_round(few, kSize);  // and it opens again
  CHECK_FALSE(h.front.state[c].closed);
  CHECK(h.cached_objects(c) != 0);
  CHECK(broken_heap(h) == "");
  CHECK(heap::validate() == 0);
}

TEST_CASE("a bin shrinks when the program gives its memory up, and in the end keeps nothing", "[heap][bins]") {
  on_fresh_heap(check_shrinking);
}

// What bins may hold follows what the heap has opened; addresses are enough for that. No more than it takes: other tests'
// thresholds follow it, too.
void open_much() {
  static const bool opened = [] {
    void* const p = allocate(300 * kMiB);
    deallocate(p);
    return p != nullptr;
  }();
  REQUIRE(opened);
}

// Many bins, none of them large, have all the room, from an earlier phase: a bin that is busy now must get some of it.
void check_idle_bins(heap::ThreadHeap& h) {
  open_much();
  for (unsigned c = class_of(64); c < slab::kSlabClasses; ++c) {
    std::vector<void*> blocks(std::max<std::size_t>(4, 240'000 / kClass[c].size));
    for (int round = 0; round < 12; ++round) one_round(blocks, kClass[c].size);
  }
  REQUIRE(h.cached_capacity > 12 * kMiB);
  std::vector<void*> busy(100);
  const auto fits = [&] {  // 5.7 MB
    for (int round = 0; round < 20; ++round) one_round(busy, 20'000), one_round(busy, 24'000);
    return std::min(h.front.state[class_of(20'000)].capacity, h.front.state[class_of(24'000)].capacity) >= busy.size();
  };
  REQUIRE_FALSE(fits());
  std::vector<void*> others(300'000);
  one_round(others, 24);  // refills, so that time passes
  CHECK(fits());
  CHECK(h.cached_capacity <= 16 * kMiB);
  CHECK(broken_heap(h) == "");
}

TEST_CASE("bins that are idle give up their room", "[heap][bins]") { on_fresh_heap(check_idle_bins); }

void check_bounds(heap::ThreadHeap& h) {
  const std::size_t opened = heap::process.nodes.present_pages() << kPageShift;
  for (unsigned c = 0; c < slab::kClasses; ++c) {
    const std::size_t n = std::min<std::size_t>(1023, 6 * kMiB / kClass[c].size);
    std::vector<void*> blocks(n);
    for (int round = 0; round < 12; ++round) one_round(blocks, kClass[c].size);
  }
  std::size_t capacity = 0;
  for (unsigned c = 0; c < slab::kClasses; ++c) {
    const std::size_t bytes = std::size_t{h.front.state[c].capacity} * kClass[c].size;
    CHECK(bytes <= 4 * kMiB);
    capacity += bytes;
  }
  CHECK(capacity == h.cached_capacity);
  const std::size_t most = std::clamp(opened / 8, 8 * kMiB, 16 * kMiB);
  CHECK(capacity > most / 2);  // the bound below was put to the test
  CHECK(capacity <= most);
  CHECK(broken_bins(h) == "");
  flush_own();
  for (unsigned c = 0; c < slab::kClasses; ++c) CHECK(h.cached_objects(c) == 0);
  CHECK(broken_heap(h) == "");
}

TEST_CASE("bins hold at most 4 MiB each and an eighth of the heap together, 8 to 16 MiB", "[heap][bins]") {
  on_fresh_heap(check_bounds);
  open_much();
  on_fresh_heap(check_bounds);
}

TEST_CASE("HP-1: refills take from the fullest slabs first", "[heap][bins]") {
  heap::ThreadHeap& h = own_heap();
  constexpr std::size_t kSize = 1792;  // of no other test
  const unsigned c = class_of(kSize);
  flush_own();
  REQUIRE(slabs_of(h, c) == 0);
  const unsigned n = kClass[c].objects;
  std::vector<void*> blocks(4 * n);
  for (auto& p : blocks) p = allocate(kSize);
  // the first slab keeps most of its objects, the others one each
  std::vector<void*> kept;
  for (unsigned i = 0; i < blocks.size(); ++i) {
    const bool keep = i < n ? i >= 2 : i % n == 0;
    if (keep)
      kept.push_back(blocks[i]);
    else
      deallocate(blocks[i]);
  }
  flush_own();
  REQUIRE(broken_lists(h) == "");
  void* const a = allocate(kSize);
  void* const b = allocate(kSize);
  CHECK(a == blocks[0]);
  CHECK(b == blocks[1]);
  deallocate(a);
  deallocate(b);
  for (void* const p : kept) deallocate(p);
  flush_own();
  CHECK(slabs_of(h, c) == 0);
}

TEST_CASE("large objects taken from slabs again and again earn their memory a stay", "[heap][bins]") {
  // As runs would, which the zone sees: see "who has taken the same memory several times over keeps it once".
  constexpr std::size_t kSize = std::size_t{40} << 10;
  REQUIRE_FALSE(kClass[class_of(kSize)].is_run());
  std::vector<void*> blocks(2000);
  const auto purged_by_freeing = [&] {
    for (void*& p : blocks) deallocate(std::exchange(p, nullptr));
    flush_own();
    return heap::process.zone.counters().purged_pages;
  };
  for (void*& p : blocks) p = allocate(kSize);
  const std::size_t before = purged_by_freeing();
  for (void*& p : blocks) p = allocate(kSize);
  // Every second: no slab becomes empty. Far more often than is needed: time that passes, on a busy machine, halves what it earns.
  for (int round = 0; round < 40; ++round) {
    for (std::size_t i = 0; i < blocks.size(); i += 2) deallocate(blocks[i]);
    for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i] = allocate(kSize);
  }
  CHECK(purged_by_freeing() == before);
}

// Many classes, none of which is freed often enough to be closed by itself.
void check_drop(heap::ThreadHeap& h) {
  Random random(1);
  std::vector<void*> all(160'000);  // 192 MB, more than closed bins and what open ones may hold take of it
  for (auto& p : all) p = allocate(200 + random.below(2000));
  for (void* const p : all) deallocate(p);
  for (unsigned c = 0; c < slab::kBins; ++c) CHECK(h.cached_objects(c) == 0);
  CHECK(broken_heap(h) == "");
}

TEST_CASE("when much has been given back and nothing fetched, all bins are closed", "[heap][bins]") {
  on_fresh_heap(check_drop);
}

// Frees them one after another. A slab must be gone with its last object. Returns how many the fast path took.
std::size_t free_and_watch(const std::vector<void*>& blocks, std::map<slab::Slab*, unsigned>& left) {
  std::size_t fast = 0;
  for (void* const p : blocks) {
    slab::Slab* const s = &slab_of(p);
    if (heap::deallocate_fast(p))
      ++fast;
    else
      heap::deallocate_slow(p);
    if (--left[s] == 0) REQUIRE(s->holder() == 0);
  }
  return fast;
}

void check_order_of_frees(heap::ThreadHeap& h) {
  constexpr std::size_t kSize = 240;
  const unsigned c = class_of(kSize);
  std::vector<void*> all(std::size_t{6000} * kClass[c].objects);
  for (auto& p : all) p = allocate(kSize);
  std::sort(all.begin(), all.end());
  std::map<slab::Slab*, unsigned> left;
  for (void* const p : all) ++left[&slab_of(p)];
  // By and by the bin is closed.
  const auto part = static_cast<std::ptrdiff_t>(all.size() / 3);
  for (auto at = all.begin(); at != all.begin() + part; ++at) {
    --left[&slab_of(*at)];
    deallocate(*at);
  }
  REQUIRE(h.front.state[c].closed);
  const std::size_t fast = free_and_watch({all.begin() + part, all.begin() + 2 * part}, left);
  CHECK(fast > static_cast<std::size_t>(part) / 2);
  CHECK(broken_heap(h) == "");
  // In any order: a bin that believed in one finds out.
  std::vector<void*> rest(all.begin() + 2 * part, all.end());
  Random random(2);
  for (std::size_t i = rest.size(); i > 1; --i) std::swap(rest[i - 1], rest[random.below(i)]);
  const std::vector<void*> first(rest.begin(), rest.begin() + 100);
  for (void* const p : first) {
    --left[&slab_of(p)];
    deallocate(p);
  }
  CHECK(free_and_watch({rest.begin() + 100, rest.end()}, left) == 0);
  CHECK(h.cached_objects(c) == 0);
  CHECK(broken_heap(h) == "");
}

TEST_CASE("a closed bin collects the objects of a slab that has others in use, and keeps no slab", "[heap][bins]") {
  on_fresh_heap(check_order_of_frees);
}

// Refills of other bins: what counts as time.
void refill_others(unsigned refills) {
  std::vector<void*> small(refills * heap::kBatch);
  one_round(small, 24);
}

TEST_CASE("a bin of runs keeps none before they are wanted twice in a short time, nor when they no longer are",
          "[heap][bins]") {
  on_fresh_heap([](heap::ThreadHeap& h) {
    constexpr std::size_t kSize = 300'000;
    const unsigned c = class_of(kSize);
    deallocate(allocate(kSize));
    CHECK(h.cached_objects(c) == 0);
    deallocate(allocate(kSize));
    CHECK(h.cached_objects(c) != 0);
    refill_others(130);
    CHECK(h.cached_objects(c) == 0);
    deallocate(allocate(kSize));
    CHECK(h.cached_objects(c) == 0);
    deallocate(allocate(kSize));
    CHECK(h.cached_objects(c) != 0);
    CHECK(broken_heap(h) == "");
  });
}

TEST_CASE("a thread that only frees runs keeps none", "[heap][bins]") {
  constexpr std::size_t kSize = 300'000;
  void* const p = allocate(kSize);
  on_fresh_heap([&](heap::ThreadHeap& h) {
    deallocate(p);
    CHECK(h.cached_objects(class_of(kSize)) == 0);
  });
}

TEST_CASE("a refill of a heap that fills fetches 63 objects or 32 KiB at most, but 8", "[heap][bins]") {
  on_fresh_heap([](heap::ThreadHeap& h) {
    for (const std::size_t bytes : {100u, 2048u, 20'000u}) {
      std::vector<void*> blocks(2000);
      std::size_t most = 0;
      for (void*& p : blocks) {
        p = allocate(bytes);
        most = std::max(most, h.cached_objects(class_of(bytes)) + 1);
      }
      CHECK(most == std::clamp<std::size_t>(32'768 / bytes, 8, 63));
      for (void* const p : blocks) deallocate(p);
    }
  });
}

TEST_CASE("a bin comes to hold more than 2047 objects of a program that swings, not of one that ends", "[heap][bins]") {
  on_fresh_heap([](heap::ThreadHeap& h) {
    constexpr std::size_t kSize = 40;
    Random random(11);
    std::vector<void*> blocks(10'000);
    for (void*& p : blocks) p = allocate(kSize);
    unsigned most = 0;
    for (int round = 0; round < 400; ++round) {
      const std::size_t swing = random.between(1, 4000);
      for (std::size_t i = 0; i < swing; ++i) deallocate(blocks[i]);
      for (std::size_t i = 0; i < swing; ++i) blocks[i] = allocate(kSize);
      most = std::max<unsigned>(most, h.front.state[class_of(kSize)].capacity);
    }
    CHECK(most >= 4095);
    for (void* const p : blocks) deallocate(p);
  });
  on_fresh_heap([](heap::ThreadHeap& h) {
    constexpr std::size_t kSize = 40;
    std::vector<void*> blocks(200'000);
    for (void*& p : blocks) p = allocate(kSize);
    unsigned most = 0;
    for (void* const p : blocks) {
      deallocate(p);
      most = std::max<unsigned>(most, h.front.state[class_of(kSize)].capacity);
    }
    CHECK(most == 2047);
  });
}
