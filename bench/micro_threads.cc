// micro_threads.cc: blocks freed by another thread than the one that allocated them.  layer: bench
// threads_handoff: one producer allocates, one consumer frees; the slower side sets the pace.
// threads_exchange: every thread frees what another may have put in the slot it draws, as servers do.
// Times are wall-clock, and per block for all threads together.
#include "micro.h"
#include "random.h"

#include <array>
#include <atomic>
#include <memory>
#include <thread>

namespace bm::bench {
namespace {

constexpr std::size_t batch = 256;
using Batch = std::array<char*, batch>;

// A ring of batches between one producer and one consumer. The producer owns the batches from filled to
// drained + slots, the consumer those from drained to filled.
class Ring {
 public:
  Batch& wait_for_room() {
    const std::size_t at = filled_.load(std::memory_order_relaxed);
    while (at - drained_.load(std::memory_order_acquire) == slots) std::this_thread::yield();
    return batches_[at % slots];
  }
  void publish() { filled_.fetch_add(1, std::memory_order_release); }

  // nullptr once the ring is closed and empty.
  Batch* wait_for_batch() {
    const std::size_t at = drained_.load(std::memory_order_relaxed);
    while (at == filled_.load(std::memory_order_acquire)) {
      if (closed_.load(std::memory_order_acquire) && at == filled_.load(std::memory_order_acquire)) return nullptr;
      std::this_thread::yield();
    }
    return &batches_[at % slots];
  }
  void release() { drained_.fetch_add(1, std::memory_order_release); }
  void close() { closed_.store(true, std::memory_order_release); }

 private:
  static constexpr std::size_t slots = 16;
  std::array<Batch, slots> batches_;
  alignas(64) std::atomic<std::size_t> filled_{0};
  alignas(64) std::atomic<std::size_t> drained_{0};
  std::atomic<bool> closed_{false};
};

void free_until_closed(Ring& ring) {
  while (Batch* blocks = ring.wait_for_batch()) {
    for (char* block : *blocks) std::free(block);
    ring.release();
  }
}

void threads_handoff(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  auto ring = std::make_unique<Ring>();
  std::thread consumer(free_until_closed, std::ref(*ring));
  for (auto _ : state) {
    for (char*& block : ring->wait_for_room()) block = allocate(size);
    ring->publish();
  }
  ring->close();
  consumer.join();
  report_pairs(state, batch);
}

constexpr std::size_t shared_slots = 4096;
constexpr std::size_t steps = 256;
std::array<std::atomic<char*>, shared_slots> shared_blocks;

void empty_shared_blocks(const benchmark::State&) {
  for (auto& slot : shared_blocks) std::free(slot.exchange(nullptr));
}

void threads_exchange(benchmark::State& state) {
  const auto low = static_cast<std::size_t>(state.range(0));
  const auto high = static_cast<std::size_t>(state.range(1));
  bench_random random{UINT64_C(0x9E3779B97F4A7C15) + static_cast<std::uint64_t>(state.thread_index())};
  for (auto _ : state) {
    for (std::size_t step = 0; step < steps; step++) {
      auto& slot = shared_blocks[bench_between(&random, 0, shared_slots - 1)];
      char* block = allocate(bench_between(&random, low, high));
      std::free(slot.exchange(block, std::memory_order_acq_rel));
    }
  }
  report_pairs(state, steps);
}

BENCHMARK(threads_handoff)->Apply(small_sizes)->Arg(64 << 10)->UseRealTime();
BENCHMARK(threads_exchange)
    ->Args({16, 256})
    ->Args({16, 4096})
    ->Args({4096, 64 << 10})
    ->Threads(2)
    ->Teardown(empty_shared_blocks)
    ->UseRealTime();

}  // namespace
}  // namespace bm::bench
