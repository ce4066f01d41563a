// test_movable.cc: handles: addresses that hold while pinned, misuse that is fatal, tables that run full.  layer: tests
#include <catch2/catch.hpp>

#include <csignal>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "buddymalloc/movable.hpp"
#include "heap/movable.h"
#include "support/fake_vm.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

namespace {

using heap::HandleTable;
using heap::process;

// Table alone, over a Vm that may refuse.
struct Table {
  explicit Table(std::size_t handles) {
    const std::size_t bytes = align_up(HandleTable::bytes_for(handles), pages::MetaSpace::kStep);
    table.init(FakeVm::table, static_cast<char*>(FakeVm::table.reserve(bytes, kPageSize)), bytes);
  }
  HandleTable table;
};

template <class Body>
void check_fatal(const char* message, Body body) {
  const Ending e = in_child([&] {
    body();
    return true;
  });
  INFO(e.text);
  CHECK(e.signal == SIGABRT);
  CHECK(e.text.find(std::string("buddymalloc: ") + message + ": 0x") == 0);
}

constexpr const char* kStale = "stale or invalid handle of a movable block";

}  // namespace

TEST_CASE("a movable block is whole pages, begins at one, and is writable in full", "[heap][movable]") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{4097}, 64 * kMiB / 1024, 3 * kMiB}) {
    const bm_movable h = bm_movable_alloc(bytes);
    REQUIRE(h != 0);
    CHECK(bm_movable_size(h) == align_up(bytes, kPageSize));
    void* const p = bm_movable_pin(h);
    CHECK(aligned(p, kPageSize));
    std::memset(p, 1, bm_movable_size(h));
    CHECK(bm_movable_pin(h) == p);
    bm_movable_unpin(h);
    bm_movable_unpin(h);
    CHECK(heap::validate() == 0);
    CHECK_FALSE(heap::owns(p));  // not a block of malloc
    bm_movable_free(h);
  }
  CHECK(heap::validate() == 0);
}

TEST_CASE("sizes that are none are EINVAL, sizes that cannot be had ENOMEM; errno is kept otherwise",
          "[heap][movable]") {
  errno = EOWNERDEAD;
  const bm_movable h = bm_movable_alloc(100);
  bm_movable_free(h);
  bm_movable_free(0);
  bm_compact();
  CHECK(errno == EOWNERDEAD);
  CHECK(bm_movable_alloc(0) == 0);
  CHECK(errno == EINVAL);
  errno = 0;
  CHECK(bm_movable_alloc(SIZE_MAX) == 0);
  CHECK(errno == EINVAL);
  CHECK(bm_movable_alloc(PTRDIFF_MAX) == 0);
  CHECK(errno == ENOMEM);
  errno = 0;
  CHECK(bm_movable_alloc(std::size_t{1} << 45) == 0);
  CHECK(errno == ENOMEM);
}

TEST_CASE("no pages and no index are lost when a movable block cannot be had", "[heap][movable]") {
  const bm_movable h = bm_movable_alloc(1);
  const std::size_t live = live_bytes();
  const std::uint32_t limit = process.handles.limit();
  for (int k = 0; k < 10'000; ++k) CHECK(bm_movable_alloc(std::size_t{1} << 43) == 0);
  CHECK(live_bytes() == live);
  CHECK(process.handles.limit() <= limit + 1);
  bm_movable_free(h);
}

TEST_CASE("misuse of a handle is fatal", "[heap][movable][fatal]") {
  check_fatal(kStale, [] { bm_movable_pin(0); });
  check_fatal(kStale, [] { bm_movable_pin(0x123456789); });
  check_fatal(kStale, [] { bm_movable_free(~bm_movable{0}); });
  check_fatal(kStale, [] {
    const bm_movable h = bm_movable_alloc(1);
    bm_movable_free(h);
    bm_movable_free(h);
  });
  check_fatal(kStale, [] {
    const bm_movable h = bm_movable_alloc(1);
    bm_movable_free(h);
    if (bm_movable_alloc(1) == h) return;  // the index is used again, the handle is not
    bm_movable_size(h);
  });
  check_fatal(kStale, [] {
    const bm_movable h = bm_movable_alloc(1);
    bm_movable_free(h);
    bm_movable_unpin(h);
  });
  check_fatal("unpin of a movable block that is not pinned", [] { bm_movable_unpin(bm_movable_alloc(1)); });
  check_fatal("free of a movable block that is pinned", [] {
    const bm_movable h = bm_movable_alloc(1);
    bm_movable_pin(h);
    bm_movable_free(h);
  });
  check_fatal("movable block pinned too often", [] {
    const bm_movable h = bm_movable_alloc(1);
    for (std::size_t k = 0; k <= HandleTable::kMaxPins; ++k) bm_movable_pin(h);
  });
}

TEST_CASE("a movable block's address is not for free or realloc", "[heap][movable][fatal]") {
  check_fatal("free of a movable block, which has a handle", [] { deallocate(bm_movable_pin(bm_movable_alloc(1))); });
  check_fatal("realloc of a movable block, which has a handle",
              [] { heap::reallocate(bm_movable_pin(bm_movable_alloc(1)), 10); });
  check_fatal("double free, or free of a pointer that no malloc returned",
              [] { deallocate(static_cast<char*>(bm_movable_pin(bm_movable_alloc(2 * kPageSize))) + kPageSize); });
}

TEST_CASE("HT-3: an index is retired before a generation comes again", "[heap][movable]") {
  FakeVm vm;
  Table t(100);
  std::vector<std::uint64_t> seen;
  std::uint32_t first = 0;
  for (std::uint32_t k = 0; k < 70'000; ++k) {
    const std::uint32_t i = t.table.take();
    REQUIRE(i != 0);
    if (k == 0) first = i;
    const std::uint64_t h = t.table.open(i, {k}, 1);
    if (i == first) seen.push_back(h);
    CHECK(t.table.close(h) == Pfn{k});
    t.table.give_back(i);
  }
  CHECK(seen.size() == 0xFFFF);
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  CHECK(t.table.limit() == first + 2);
}

TEST_CASE("a table that is full, or gets no memory, says so; indices come back", "[heap][movable]") {
  FakeVm vm;
  Table t(1);  // the smallest step
  std::uint32_t n = 0;
  while (t.table.take() != 0) ++n;
  CHECK(n == pages::MetaSpace::kStep / 16 - 1);
  t.table.give_back(n);
  CHECK(t.table.take() == n);
  Table refused(1);
  vm.refuse = [](const VmCall&) { return true; };
  CHECK(refused.table.take() == 0);
}

TEST_CASE("HT-1: only an unpinned block at its place is claimed; a published one is elsewhere", "[heap][movable]") {
  FakeVm vm;
  Table t(100);
  HandleTable& table = t.table;
  const std::uint32_t i = table.take();
  const std::uint64_t h = table.open(i, {7}, 3);
  HandleTable::Word w;
  using Claim = HandleTable::Claim;
  CHECK(table.claim(0, {7}, w) == Claim::kGone);
  CHECK(table.claim(i + 1, {7}, w) == Claim::kGone);
  CHECK(table.claim(i, {8}, w) == Claim::kGone);
  CHECK(table.pin(h) == Pfn{7});
  CHECK(table.claim(i, {7}, w) == Claim::kPinned);
  table.unpin(h);
  REQUIRE(table.claim(i, {7}, w) == Claim::kYes);
  CHECK(table.claim(i, {7}, w) == Claim::kGone);  // it is moving
  CHECK(table.pages(h) == 3);
  REQUIRE(table.publish(i, w, {9}));
  CHECK_FALSE(table.publish(i, w, {10}));
  CHECK(table.pin(h) == Pfn{9});
  table.unpin(h);
  REQUIRE(table.claim(i, {9}, w) == Claim::kYes);
  table.release_claim(i);  // a fork's child
  CHECK_FALSE(table.publish(i, w, {11}));
  CHECK(table.close(h) == Pfn{9});
  table.release_claim(i);
  CHECK(table.claim(i, {9}, w) == Claim::kGone);
}

TEST_CASE("pins, unpins and frees wait for a move and then see the new place", "[heap][movable][threads]") {
  FakeVm vm;
  Table t(100);
  HandleTable& table = t.table;
  const std::uint32_t i = table.take();
  const std::uint64_t h = table.open(i, {7}, 3);
  for (int round = 0; round < 20; ++round) {
    HandleTable::Word w;
    const Pfn from = table.word(i).page();
    REQUIRE(table.claim(i, from, w) == HandleTable::Claim::kYes);
    std::atomic<int> moved{0}, done{0};
    std::vector<std::thread> threads;
    for (int k = 0; k < 3; ++k)
      threads.emplace_back([&] {
        const Pfn p = table.pin(h);
        if (moved.load() == 1 && p == from + 1) ++done;
        table.unpin(h);
      });
    while (table.word(i).state() != HandleTable::State::kMovingAwaited) std::this_thread::yield();
    moved = 1;
    REQUIRE(table.publish(i, w, from + 1));
    for (auto& thread : threads) thread.join();
    CHECK(done == 3);
  }
}

TEST_CASE("what one thread writes while it pins is what the next one reads", "[heap][movable][threads]") {
  const bm_movable h = bm_movable_alloc(100);
  std::memset(bm_movable_pin(h), 0, 100);
  bm_movable_unpin(h);
  std::atomic<unsigned> turn{0};
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 3; ++k)
    threads.emplace_back([&, k] {
      for (unsigned n = 0; n < 300; ++n) {
        while (turn.load(std::memory_order_relaxed) != 3 * n + k) std::this_thread::yield();
        ++*static_cast<unsigned*>(bm_movable_pin(h));
        bm_movable_unpin(h);
        turn.store(3 * n + k + 1, std::memory_order_relaxed);  // the handle alone orders the data
      }
    });
  for (auto& t : threads) t.join();
  CHECK(*static_cast<unsigned*>(bm_movable_pin(h)) == 900);
  bm_movable_unpin(h);
  bm_movable_free(h);
}

TEST_CASE("validate names a handle whose page does not know it", "[heap][movable]") {
  const bm_movable h = bm_movable_alloc(1);
  const Ending e = in_child([&] {
    const Pfn page = process.handles.word(static_cast<std::uint32_t>(h)).page();
    process.map.set_slab_index(page, 0);
    const int broken = heap::validate();
    process.map.set_slab_index(page, static_cast<std::uint32_t>(h));
    process.map.set_entry(page, 0);
    return broken == 1 && heap::validate() == 1;
  });
  CHECK(e.ok);
  CHECK(e.text.find("HT-2") != std::string::npos);
  bm_movable_free(h);
}

TEST_CASE("C++: owner and pin move, and give back what they hold", "[heap][movable]") {
  using buddymalloc::Movable, buddymalloc::Pin;
  const std::size_t live = live_bytes();
  {
    Movable none;
    CHECK_FALSE(none);
    Movable a(100);
    REQUIRE(a);
    CHECK(a.size() == kPageSize);
    const bm_movable h = a.handle();
    Movable b = std::move(a);
    CHECK(b.handle() == h);
    CHECK_FALSE(a);
    {
      Pin p = b.pin();
      *p.as<int>() = 7;
      const Pin q = std::move(p);
      CHECK(p.get() == nullptr);
      CHECK(*q.as<int>() == 7);
      CHECK(process.handles.word(static_cast<std::uint32_t>(h)).pins() == 1);
      Pin r = b.pin();
      r = b.pin();
      CHECK(process.handles.word(static_cast<std::uint32_t>(h)).pins() == 2);
    }
    CHECK(process.handles.word(static_cast<std::uint32_t>(h)).pins() == 0);
    b = Movable(5000);
    CHECK(b.size() == 2 * kPageSize);
    const bm_movable released = b.release();
    CHECK_FALSE(b);
    bm_movable_free(released);
  }
  CHECK(live_bytes() == live);
}
