// test_lock_holds.cc: how often small objects come to the locks of all threads: per batch, not per object.  layer: tests
// A zone counts its holds itself: changes() grows by two with each that may change something.
#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

#include "tests/heap/support.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;
using slab::class_of;
using slab::kClass;
using slab::SizeClass;

namespace {

std::size_t zone_holds() {
  std::size_t n = 0;
  heap::process.nodes.for_each_zone([&n](pages::Zone& zone) { n += zone.changes() / 2; });
  return n;
}

// Descriptors in use: a chain of them costs a hold of the slab table's lock, and another when it goes back
// (tests/slab/test_slab_table.cc).
std::size_t slabs_in_use() {
  std::size_t n = 0;
  for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) n += heap::process.slabs[i].holder() != 0;
  return n;
}

// A fresh thread's, so that its bins know nothing.
template <class Body>
void on_thread(Body body) {
  Worker().run(body);
}

struct Costs {
  std::size_t zone, slabs;
};

template <class Body>
Costs costs_of(Body body) {
  const std::size_t zone = zone_holds();
  const std::size_t slabs = slabs_in_use();
  body();
  const std::size_t now = slabs_in_use();
  return {zone_holds() - zone, std::max(now, slabs) - std::min(now, slabs)};
}

struct Load {
  std::size_t bytes;
  std::size_t filling;  // objects per hold of the zone's lock, at least: those of a batch of slabs
  std::size_t draining;
};
constexpr Load kLoads[] = {{16, 2000, 1200}, {64, 1500, 1200}, {100, 850, 750},
                           {1000, 125, 105}, {4000, 30, 36},   {30'000, 6, 6}};

std::vector<void*> room_for(std::size_t bytes) {
  return std::vector<void*>(bytes < 1000 ? 200'000 : 20'000'000 / bytes);
}

}  // namespace

TEST_CASE("a thread that replaces small objects comes to no lock of all threads", "[heap][lock_holds]") {
  on_thread([] {
    Random random(7);
    std::vector<void*> blocks(1000);
    const auto replace = [&](std::size_t n) {
      while (n-- != 0) {
        void*& p = blocks[random.below(blocks.size())];
        if (p != nullptr) deallocate(p);
        p = allocate(random.between(1, 1024));
      }
    };
    replace(1'000'000);
    constexpr std::size_t kObjects = 1'000'000;
    const std::uint32_t refills = heap::current_heap()->refill_clock;
    const Costs costs = costs_of([&] { replace(kObjects); });
    CHECK(costs.zone <= kObjects / 100'000);
    CHECK(costs.slabs <= kObjects / 100'000);
    CHECK(heap::current_heap()->refill_clock - refills <= kObjects / 1000);
    for (void* const p : blocks)
      if (p != nullptr) deallocate(p);
  });
}

TEST_CASE("a heap that fills takes the zone's lock once per batch of slabs", "[heap][lock_holds]") {
  for (const Load& load : kLoads)
    on_thread([bytes = load.bytes, least = load.filling] {
      const SizeClass& info = kClass[class_of(bytes)];
      std::vector<void*> blocks = room_for(bytes);
      const Costs costs = costs_of([&] {
        for (void*& p : blocks) p = allocate(bytes);
      });
      const std::size_t slabs =
          (blocks.size() + heap::kBatch) / info.objects + 1;  // those of what waits in the bin, too
      CAPTURE(bytes, blocks.size(), costs.zone, costs.slabs);
      CHECK(costs.slabs <= slabs);
      CHECK(costs.zone <=
            blocks.size() / least + blocks.size() / least / 16 + 2);  // other threads hold it now and then
      for (void* const p : blocks) deallocate(p);
    });
}

TEST_CASE("a heap that drains takes the zone's lock once for several slabs", "[heap][lock_holds]") {
  for (const Load& load : kLoads)
    on_thread([bytes = load.bytes, least = load.draining] {
      std::vector<void*> blocks = room_for(bytes);
      for (void*& p : blocks) p = allocate(bytes);
      const Costs costs = costs_of([&] {
        for (void* const p : blocks) deallocate(p);
      });
      CAPTURE(bytes, blocks.size(), costs.zone, costs.slabs);
      CHECK(costs.slabs > 0);
      CHECK(costs.zone <= blocks.size() / least + 2);  // some is for what is purged
    });
}

TEST_CASE("what another thread frees costs no more holds of the zone's lock, whoever merges it", "[heap][lock_holds]") {
  for (const Load& load : kLoads) {
    const std::size_t bytes = load.bytes;
    std::vector<void*> blocks = room_for(bytes);
    Worker producer, consumer;
    producer.run([&] {
      for (void*& p : blocks) p = allocate(bytes);
    });
    consumer.run([] { deallocate(allocate(1)); });  // it has a heap
    const auto free_all = [&] {
      for (void* const p : blocks) deallocate(p);
    };
    Costs costs = costs_of([&] { consumer.run(free_all); });
    CAPTURE(bytes, blocks.size(), costs.zone, costs.slabs);
    // A freer merges for an owner that does not come by, which gives slabs back.
    CHECK(costs.zone <= costs.slabs + costs.slabs / 8 + 2);
    costs = costs_of([&] { producer.run([&] { flush_own(); }); });
    CHECK(costs.zone <= costs.slabs + costs.slabs / 8 + 2);
  }
}
