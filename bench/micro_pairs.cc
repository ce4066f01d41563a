// micro_pairs.cc: the regular patterns: one block at a time, and batches freed in either order.  layer: bench
#include "micro.h"

#include <array>

namespace bm::bench {
namespace {

constexpr std::size_t batch = 1000;

std::size_t size_of(const benchmark::State& state) { return static_cast<std::size_t>(state.range(0)); }

void fill(std::array<char*, batch>& blocks, std::size_t size) {
  for (char*& block : blocks) block = allocate(size);
}

void pair(benchmark::State& state) {
  for (auto _ : state) std::free(allocate(size_of(state)));
  report_pairs(state, 1);
}

void fifo(benchmark::State& state) {
  std::array<char*, batch> blocks;
  for (auto _ : state) {
    fill(blocks, size_of(state));
    for (char* block : blocks) std::free(block);
  }
  report_pairs(state, batch);
}

void lifo(benchmark::State& state) {
  std::array<char*, batch> blocks;
  for (auto _ : state) {
    fill(blocks, size_of(state));
    for (std::size_t i = batch; i-- != 0;) std::free(blocks[i]);
  }
  report_pairs(state, batch);
}

BENCHMARK(pair)->Apply(all_sizes);
BENCHMARK(fifo)->Apply(small_sizes)->Arg(16 << 10);
BENCHMARK(lifo)->Apply(small_sizes)->Arg(16 << 10);

}  // namespace
}  // namespace bm::bench
