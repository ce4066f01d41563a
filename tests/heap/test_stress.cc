// test_stress.cc: threads that allocate, hand over and free at once; every block is checked by who frees it.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "tests/heap/check_heap.h"
#include "tests/heap/churn.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr unsigned kThreads = 4;
Table<1024> shared;

// false: a block was damaged.
bool churn_own_and_shared(unsigned thread, int steps) {
  Random random(thread + 100);
  Table<64> own;
  bool ok = true;
  for (int k = 0; k < steps; ++k) {
    const unsigned top_bit = random.one_in(300) ? 21 : random.one_in(10) ? 17 : 11;
    ok &= random.one_in(3) ? shared.churn(random, top_bit) : own.churn(random, top_bit);
    if (random.one_in(20'000)) heap::trim(0);
    if (random.one_in(20'000)) ok &= heap::validate() == 0;  // also while others work
  }
  return own.clear() && ok;
}

}  // namespace

TEST_CASE("threads that exchange blocks of all sizes damage none", "[heap][stress]") {
  const std::size_t before = live_bytes();
  std::atomic<bool> ok{true};
  for (int round = 0; round < 3; ++round) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i)
      threads.emplace_back([&ok, i] {
        if (!churn_own_and_shared(i, 60'000)) ok = false;
      });
    for (auto& t : threads) t.join();
    CHECK(ok);
    CHECK(heap::validate() == 0);
  }
  CHECK(shared.clear());
  CHECK(live_bytes_at_rest(before) == before);
  for (std::uint32_t i = 1; i <= heap::process.heap_count(); ++i) CHECK(broken_heap(heap::process.heap(i)) == "");
}

TEST_CASE("a producer and a consumer share one class for long", "[heap][stress]") {
  constexpr int kBlocks = 400'000;
  constexpr std::size_t kRing = 256;
  const std::size_t before = live_bytes();
  std::atomic<BlockHead*> ring[kRing] = {};
  std::atomic<bool> ok{true};
  std::thread consumer([&] {
    for (int k = 0; k < kBlocks; ++k) {
      BlockHead* b;
      while ((b = ring[static_cast<std::size_t>(k) % kRing].exchange(nullptr)) == nullptr) std::this_thread::yield();
      if (!delete_block(b)) ok = false;
    }
  });
  const std::size_t committed = statistics().committed_bytes;
  for (int k = 0; k < kBlocks; ++k) {
    auto& slot = ring[static_cast<std::size_t>(k) % kRing];
    while (slot.load() != nullptr) std::this_thread::yield();
    slot = new_block(64, static_cast<std::uint64_t>(k));
  }
  consumer.join();
  CHECK(ok);
  CHECK(live_bytes_at_rest(before) == before);
  CHECK(statistics().committed_bytes == committed);  // what came back was used again
  CHECK(heap::validate() == 0);
}
