// test_slot_pool.cc: the arrays behind the bins are distinct, recycled by size, and refused when memory is short.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/config.h"
#include "heap/slot_pool.h"
#include "os/vm.h"

using namespace bm;
using heap::SlotPool;

namespace {

bool commit_nothing(void*, std::size_t) { return false; }
bool populate_nothing(void*, std::size_t) { return false; }

constexpr unsigned kLarge = 11;  // of a size that the early ones are a multiple of

struct Fixture {
  explicit Fixture(std::size_t n) : bytes(n) {
    storage = static_cast<char*>(vm.reserve(bytes, pages::MetaSpace::kStep));
    REQUIRE(storage != nullptr);
    pool.init(vm, storage, bytes);
  }
  ~Fixture() { os::linux_vm.release(storage, bytes); }

  os::Vm vm = os::linux_vm;
  std::size_t bytes;
  char* storage;
  SlotPool pool;
};

}  // namespace

TEST_CASE("arrays of all sizes are usable to the last slot and do not overlap", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  std::vector<std::pair<void**, unsigned>> taken;
  for (int round = 0; round < 4; ++round)
    for (unsigned order = 1; order <= SlotPool::kMaxOrder; ++order) {
      void** const a = f.pool.take(order);
      REQUIRE(a != nullptr);
      for (std::size_t i = 0; i < std::size_t{1} << order; ++i) a[i] = a;
      taken.emplace_back(a, order);
    }
  for (const auto& [a, order] : taken) {
    unsigned foreign = 0;
    for (std::size_t i = 0; i < std::size_t{1} << order; ++i) foreign += a[i] != a;
    CHECK(foreign == 0);
  }
}

TEST_CASE("no two arrays share a cache line: threads write to theirs without a lock", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  std::vector<std::uintptr_t> lines;
  for (int round = 0; round < 200; ++round)  // more than the pool's own memory
    for (const unsigned order : {1U, 2U, 4U, 1U, 3U}) {
      const auto first = reinterpret_cast<std::uintptr_t>(f.pool.take(order));
      REQUIRE(first != 0);
      const std::uintptr_t last = first + (sizeof(void*) << order) - 1;
      for (std::uintptr_t line = first / kCacheLine; line <= last / kCacheLine; ++line) lines.push_back(line);
    }
  std::sort(lines.begin(), lines.end());
  CHECK(std::adjacent_find(lines.begin(), lines.end()) == lines.end());
}

TEST_CASE("an array given back serves the same size only", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  void** const small = f.pool.take(3);
  void** const large = f.pool.take(6);
  f.pool.give_back(small, 3);
  f.pool.give_back(large, 6);
  CHECK(f.pool.take(5) != large);
  CHECK(f.pool.take(6) == large);
  CHECK(f.pool.take(3) == small);
  CHECK(f.pool.take(3) != small);
}

TEST_CASE("the first arrays ask nothing of the OS", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  f.vm.commit = commit_nothing;
  for (std::size_t k = 0; k < SlotPool::kEarlyBytes / (32 * sizeof(void*)); ++k) REQUIRE(f.pool.take(5) != nullptr);
  CHECK(f.pool.take(5) == nullptr);
  f.vm.commit = os::linux_vm.commit;
  auto* const a = reinterpret_cast<char*>(f.pool.take(5));
  CHECK((a >= f.storage && a < f.storage + f.bytes));
}

TEST_CASE("a pool without room says no and serves what comes back", "[heap][slot_pool]") {
  Fixture f(pages::MetaSpace::kStep);
  std::vector<void**> taken;
  while (void** const a = f.pool.take(kLarge)) taken.push_back(a);
  REQUIRE(taken.size() == (SlotPool::kEarlyBytes + pages::MetaSpace::kStep) / (sizeof(void*) << kLarge));
  f.pool.give_back(taken.back(), kLarge);
  CHECK(f.pool.take(kLarge) == taken.back());
}

TEST_CASE("a request that is refused takes nothing", "[heap][slot_pool]") {
  Fixture f(pages::MetaSpace::kStep);
  REQUIRE(f.pool.take(1) != nullptr);
  while (f.pool.take(kLarge) != nullptr) {
  }
  CHECK(f.pool.take(kLarge - 1) != nullptr);
}

TEST_CASE("a pool that may commit nothing says no and recovers", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  f.vm.commit = commit_nothing;
  for (std::size_t k = 0; k < SlotPool::kEarlyBytes / (sizeof(void*) << kLarge); ++k) REQUIRE(f.pool.take(kLarge));
  CHECK(f.pool.take(kLarge) == nullptr);
  f.vm.commit = os::linux_vm.commit;
  CHECK(f.pool.take(kLarge) != nullptr);
}

TEST_CASE("an array has memory behind it, or there is none", "[heap][slot_pool]") {
  Fixture f(std::size_t{1} << 20);
  f.vm.populate = populate_nothing;
  std::vector<void**> taken;
  while (void** const a = f.pool.take(kLarge)) taken.push_back(a);
  CHECK(taken.size() == SlotPool::kEarlyBytes / (sizeof(void*) << kLarge));
  f.pool.give_back(taken[0], kLarge);
  CHECK(f.pool.take(kLarge) == taken[0]);
  f.vm.populate = os::linux_vm.populate;
  CHECK(f.pool.take(kLarge) != nullptr);
}
