// test_holes.cc: trim gives back what lies idle inside slabs and pageblocks, and what describes nothing.  layer: tests
#include <catch2/catch.hpp>

#include <sys/mman.h>

#include <vector>

#include "heap/heap.h"
#include "heap/holes.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

bool in_memory(const void* at) {
  const auto page = reinterpret_cast<std::uintptr_t>(at) & ~(kPageSize - 1);
  return os::linux_vm.resident(reinterpret_cast<void*>(page), kPageSize) != 0;
}

// Of all slab descriptors so far.
std::size_t descriptor_bytes() {
  auto* const start = reinterpret_cast<char*>(&heap::process.slabs[0]);
  const std::size_t bytes = slab::SlabTable::bytes_for(heap::process.slabs.limit());
  std::size_t n = 0;
  for (std::size_t at = 0; at < bytes; at += kPageSize) n += os::linux_vm.resident(start + at, kPageSize);
  return n;
}

// Many objects of one size, of which every `every`-th stays.
struct Survivors {
  Survivors(std::size_t bytes_each, std::size_t total, std::size_t every) : bytes(bytes_each) {
    for (std::size_t sum = 0; sum < total; sum += bytes) {
      blocks.push_back(allocate(bytes));
      paint(blocks.back(), bytes, blocks.size());
    }
    for (std::size_t i = 0; i < blocks.size(); ++i)
      if (i % every != 0) deallocate(std::exchange(blocks[i], nullptr));
  }
  ~Survivors() {
    for (void* const p : blocks) deallocate(p);
  }
  std::size_t pages() const {  // that hold a part of them
    std::set<std::uintptr_t> all;
    for (void* const p : blocks)
      if (p != nullptr)
        for (std::size_t k = 0; k < bytes; k += 16) all.insert((reinterpret_cast<std::uintptr_t>(p) + k) >> kPageShift);
    return all.size();
  }
  bool intact() const {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      if (blocks[i] != nullptr && !painted(blocks[i], bytes, i + 1)) return false;
    return true;
  }
  std::size_t bytes;
  std::vector<void*> blocks;
};

}  // namespace

TEST_CASE("trim leaves of slabs the pages that have something in use", "[heap][holes][native]") {
  for (const std::size_t bytes : {48u, 200u, 1500u}) {
    heap::trim(0);
    const std::size_t before = rss_bytes();
    const Survivors some(bytes, 96 * kMiB, 300);
    flush_own();
    heap::trim(0);
    INFO(bytes << " bytes, " << some.pages() << " pages");
    const std::size_t own = some.blocks.capacity() * sizeof(void*);
    CHECK(rss_bytes() < before + own + (some.pages() << kPageShift) + 12 * kMiB);
    CHECK(some.intact());
    CHECK(heap::validate() == 0);
    for (void* const p : some.blocks)
      if (p != nullptr) REQUIRE(in_memory(p));
    // What went back serves again.
    std::vector<void*> again(20'000);
    for (std::size_t i = 0; i < again.size(); ++i) paint(again[i] = allocate(bytes), bytes, i);
    for (std::size_t i = 0; i < again.size(); ++i) {
      REQUIRE(painted(again[i], bytes, i));
      deallocate(again[i]);
    }
    CHECK(some.intact());
  }
}

TEST_CASE("a hugepage with little idle stays whole, unless all has to go", "[heap][holes]") {
  heap::trim(0);
  constexpr std::size_t kBytes = 2000;
  Survivors most(kBytes, 160 * kMiB, 1);
  // Two pages' worth in each 400 KB, which on hugepages is far less than an eighth.
  for (std::size_t i = 0; i < most.blocks.size(); ++i)
    if (i % 200 < 6) deallocate(std::exchange(most.blocks[i], nullptr));
  flush_own();
  CHECK(heap::purge_holes(heap::kWorthSplitting) * kPageSize < 3 * kMiB / 2);  // of the part on small pages
  CHECK(heap::purge_holes(1) * kPageSize > kMiB);
  CHECK(most.intact());
}

TEST_CASE("descriptors of slabs that are gone give their memory back, and are used again first", "[heap][holes]") {
  const Ending e = in_child([] {
    { const Survivors none(64, 64 * kMiB, SIZE_MAX); }
    heap::trim(0);
    const std::size_t held = descriptor_bytes();
    {
      const Survivors none(64, 128 * kMiB, SIZE_MAX);
      BM_CHILD_REQUIRE(descriptor_bytes() >= held + 500'000);
      heap::trim(0);
    }
    heap::trim(0);
    BM_CHILD_REQUIRE(descriptor_bytes() < held + 100'000);
    const std::uint32_t limit = heap::process.slabs.limit();
    const Survivors many(64, 64 * kMiB, 2);
    BM_CHILD_REQUIRE(heap::process.slabs.limit() == limit);
    BM_CHILD_REQUIRE(many.intact());
    return heap::validate() == 0;
  });
  INFO(e.text);
  CHECK(e.ok);
}

TEST_CASE("with a second thread about, no descriptor goes back", "[heap][holes][native]") {
  Worker other;
  other.run([] { deallocate(allocate(100)); });
  { const Survivors none(64, 64 * kMiB, SIZE_MAX); }
  const std::size_t held = descriptor_bytes();
  heap::trim(0);
  CHECK(descriptor_bytes() == held);
}

TEST_CASE("trim asks every thread for its caches; each gives them up at its next slow path", "[heap][holes]") {
  Worker other;
  constexpr unsigned kClass = slab::class_of(1000);
  const heap::ThreadHeap* h = nullptr;
  other.run([&] {
    void* p[60];
    for (auto& q : p) q = allocate(1000);
    for (void* const q : p) deallocate(q);
    h = heap::current_heap();
  });
  const auto held = [&h] { return h->cached_objects(kClass); };
  REQUIRE(held() > 10);
  heap::trim(0);
  CHECK(held() > 10);  // its own until then
  other.run([] { deallocate(allocate(200'000)); });
  std::vector<void*> blocks(200);
  other.run([&blocks] {
    for (auto& p : blocks) p = allocate(333);
  });
  CHECK(held() == 0);
  for (void* const p : blocks) deallocate(p);
}
