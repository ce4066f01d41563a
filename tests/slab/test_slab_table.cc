// test_slab_table.cc: descriptors are handed out once, reused, and refused when memory is short.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>
#include <thread>
#include <vector>

#include "os/vm.h"
#include "slab/slab_table.h"

using namespace bm;
using namespace bm::slab;

namespace {

bool commit_nothing(void*, std::size_t) { return false; }

// A table over its own reservation.
struct Fixture {
  explicit Fixture(std::size_t slabs) : bytes(align_up(SlabTable::bytes_for(slabs), pages::MetaSpace::kStep)) {
    storage = static_cast<char*>(vm.reserve(bytes, pages::MetaSpace::kStep));
    REQUIRE(storage != nullptr);
    table.init(vm, storage, bytes);
  }
  ~Fixture() { os::linux_vm.release(storage, bytes); }

  os::Vm vm = os::linux_vm;
  std::size_t bytes;
  char* storage;
  std::uint32_t take() { return table.take(stock); }
  void give_back(std::uint32_t i) { table.give_back(stock, i); }

  SlabTable table;
  SlabStock stock{};
};

}  // namespace

TEST_CASE("indices start at 1, are dense and reused", "[slab][slab_table]") {
  Fixture f(4096);
  CHECK(f.table.limit() == 1);
  for (std::uint32_t i = 1; i <= 100; ++i) REQUIRE(f.take() == i);
  CHECK(f.table.limit() == 101);
  std::set<std::uint32_t> given;
  for (const std::uint32_t i : {7u, 50u, 100u, 1u}) {
    f.give_back(i);
    given.insert(i);
  }
  for (int k = 0; k < 4; ++k) CHECK(given.erase(f.take()) == 1);
  CHECK(f.take() == 101);
}

TEST_CASE("a fresh descriptor belongs to no heap and is whole cache lines", "[slab][slab_table]") {
  Fixture f(4096);
  for (int k = 0; k < 200; ++k) {
    const Slab& s = f.table[f.take()];
    CHECK(s.heap == 0);
    CHECK_FALSE(s.has_remote());
    CHECK(s.queued.load() == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(&s) % kCacheLine == 0);
  }
}

TEST_CASE("give_back leaves what a late remote freer may yet use", "[slab][slab_table]") {
  Fixture f(64);
  const std::uint32_t i = f.take();
  f.table[i].queued.store(1);
  f.table[i].pending_next.store(42);
  f.give_back(i);
  REQUIRE(f.take() == i);
  CHECK(f.table[i].queued.load() == 1);
  CHECK(f.table[i].pending_next.load() == 42);
}

TEST_CASE("a stock keeps two chains; what is more is for all", "[slab][slab_table]") {
  Fixture f(4096);
  SlabStock other{};
  constexpr std::uint32_t kAll = 4 * SlabTable::kChain;
  for (std::uint32_t i = 1; i <= kAll; ++i) REQUIRE(f.take() == i);
  for (std::uint32_t i = 1; i <= 2 * SlabTable::kChain; ++i) f.give_back(i);
  CHECK(f.table.take(other) == kAll + 1);  // a new one
  for (std::uint32_t i = 2 * SlabTable::kChain + 1; i <= kAll; ++i) f.give_back(i);
  std::set<std::uint32_t> taken;
  for (std::uint32_t n = 0; n < 2 * SlabTable::kChain; ++n) taken.insert(f.table.take(other));
  CHECK(taken.size() == 2 * SlabTable::kChain);
  CHECK(*taken.rbegin() == 2 * SlabTable::kChain);  // what came first, and both chains of it
  CHECK(f.table.take(other) == kAll + 2);
  for (std::uint32_t n = 0; n < 2 * SlabTable::kChain; ++n) taken.insert(f.take());
  CHECK(taken.size() == kAll);
  CHECK(*taken.rbegin() == kAll);
  CHECK(f.take() == kAll + 3);
}

TEST_CASE("what a stock has is for all once it is drained", "[slab][slab_table]") {
  Fixture f(4096);
  SlabStock other{};
  for (const std::uint32_t n : {1U, SlabTable::kChain, SlabTable::kChain + 1, 2 * SlabTable::kChain}) {
    std::set<std::uint32_t> before, after;
    for (std::uint32_t k = 0; k < n; ++k) before.insert(f.take());
    for (const std::uint32_t i : before) f.give_back(i);
    f.table.drain(f.stock);
    for (std::uint32_t k = 0; k < n; ++k) after.insert(f.table.take(other));
    CHECK(after == before);
    for (const std::uint32_t i : after) f.table.give_back(other, i);
    f.table.drain(other);
    CHECK(f.table.limit() == n + 1);
  }
}

TEST_CASE("a full table says no and serves again after a give_back", "[slab][slab_table]") {
  Fixture f(512);
  const std::size_t most = f.bytes / sizeof(Slab) - 1;  // index 0 means none
  for (std::size_t k = 0; k < most; ++k) REQUIRE(f.take() != 0);
  CHECK(f.take() == 0);
  f.give_back(3);
  CHECK(f.take() == 3);
  CHECK(f.take() == 0);
}

TEST_CASE("a table that may commit nothing says no and recovers", "[slab][slab_table]") {
  Fixture f(4096);
  f.vm.commit = commit_nothing;
  CHECK(f.take() == 0);
  CHECK(f.table.limit() == 1);
  f.vm.commit = os::linux_vm.commit;
  CHECK(f.take() == 1);
}

TEST_CASE("descriptors that were prepared need no memory", "[slab][slab_table]") {
  Fixture f(4096);
  CHECK(f.table.prepare(3000));
  f.vm.commit = commit_nothing;
  for (std::uint32_t i = 1; i <= 3000; ++i) REQUIRE(f.take() == i);
  CHECK_FALSE(f.table.prepare(4000));
  f.vm.commit = os::linux_vm.commit;
  CHECK(f.table.prepare(100'000));  // as many as there is address space for
  CHECK(f.table.committed() == f.bytes);
}

TEST_CASE("ST-1: unused descriptors give their memory back; nobody gets one twice", "[slab][slab_table]") {
  Fixture f(4096);
  constexpr std::uint32_t kPerPage = kPageSize / sizeof(Slab);
  std::set<std::uint32_t> used;
  for (std::uint32_t i = 1; i <= 1000; ++i) used.insert(f.take());
  for (const std::uint32_t i : used) f.table[i].set_holder(7);
  const auto drop = [&](std::uint32_t i) {
    f.table[i].set_holder(0);
    f.give_back(i);
    used.erase(i);
  };
  for (std::uint32_t i = 1; i <= 1000; ++i)
    if (i != 5 && i != 500) drop(i);
  f.table[300].queued.store(1);  // somebody has it on a list
  const auto resident = [&f] { return f.vm.resident(f.storage, 128 * 1024); };
  REQUIRE(resident() == (1000 / kPerPage + 1) * kPageSize);
  f.stock = {};
  f.table.purge_unused();
  CHECK(resident() == 4 * kPageSize);  // of 5, 300, 500, and the last, which has descriptors that were never used
  CHECK(f.table[5].holder() == 7);
  CHECK(f.table[500].holder() == 7);
  CHECK(f.table[300].queued.load() == 1);
  const auto take = [&] {
    const std::uint32_t i = f.take();
    REQUIRE(used.insert(i).second);
    f.table[i].set_holder(7);
    return i;
  };
  // Those whose memory is there come first, the lowest of them before the others.
  const std::uint32_t there = 3 * kPerPage - 3 + (1001 % kPerPage);
  for (std::uint32_t n = 0, last = 0; n < there; ++n) {
    const std::uint32_t i = take();
    REQUIRE(i > last);
    last = i;
  }
  CHECK(resident() == 4 * kPageSize);
  while (used.size() < 1000) take();
  CHECK(*used.rbegin() == 1000);  // none that is new
  CHECK(take() == 1001);
  // Again, from a table that has been through it.
  for (std::uint32_t i = 1; i <= 1001; ++i) drop(i);
  f.table[300].queued.store(0);
  f.stock = {};
  f.table.purge_unused();
  CHECK(resident() == kPageSize);
  while (used.size() < 1001) take();
  CHECK(*used.rbegin() == 1001);
}

bool purge_nothing(void*, std::size_t) { return false; }

TEST_CASE("a refused purge leaves all descriptors listed", "[slab][slab_table]") {
  Fixture f(4096);
  for (std::uint32_t i = 1; i <= 500; ++i) REQUIRE(f.take() == i);
  for (std::uint32_t i = 1; i <= 500; ++i) f.give_back(i);
  f.vm.purge = purge_nothing;
  f.stock = {};
  f.table.purge_unused();
  for (std::uint32_t i = 1; i <= 500; ++i) REQUIRE(f.take() == i);
}

TEST_CASE("two threads never hold the same descriptor", "[slab][slab_table][threads]") {
  Fixture f(4096);
  constexpr std::size_t kMost = 400;
  std::vector<std::atomic<int>> holders(4096);
  std::atomic<int> clashes{0};
  std::atomic<int> waiting{2};
  const auto churn = [&] {
    std::vector<std::uint32_t> mine;
    SlabStock stock{};
    for (--waiting; waiting != 0;) {
    }
    for (int k = 0; k < 3'000'000; ++k) {
      if (mine.size() < kMost && (k / 1000 % 2 == 0 || mine.empty())) {
        mine.push_back(f.table.take(stock));
        if (holders[mine.back()].fetch_add(1) != 0) ++clashes;
      } else {
        std::swap(mine.front(), mine.back());
        holders[mine.back()].fetch_sub(1);
        f.table.give_back(stock, mine.back());
        mine.pop_back();
      }
    }
  };
  std::thread other(churn);
  churn();
  other.join();
  CHECK(clashes == 0);
  CHECK(f.table.limit() <= 2 * (kMost + 3 * SlabTable::kChain) + 1);
}
