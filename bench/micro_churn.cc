// micro_churn.cc: a heap at rest in size, its blocks replaced at random.  layer: bench
// The number of live blocks falls with the size, so that every range holds some 4 to 64 MiB.
#include "micro.h"
#include "random.h"

#include <algorithm>
#include <vector>

namespace bm::bench {
namespace {

constexpr std::size_t steps = 256;

void churn(benchmark::State& state) {
  const auto low = static_cast<std::size_t>(state.range(0));
  const auto high = static_cast<std::size_t>(state.range(1));
  const std::size_t live = std::clamp<std::size_t>((std::size_t{64} << 20) / high, 64, 16384);
  bench_random random{UINT64_C(0x9E3779B97F4A7C15)};
  std::vector<char*> blocks(live);
  for (char*& block : blocks) block = allocate(bench_between(&random, low, high));
  for (auto _ : state) {
    for (std::size_t step = 0; step < steps; step++) {
      char*& block = blocks[bench_between(&random, 0, live - 1)];
      std::free(block);
      block = allocate(bench_between(&random, low, high));
    }
  }
  for (char* block : blocks) std::free(block);
  report_pairs(state, steps);
}

BENCHMARK(churn)
    ->Args({16, 16})
    ->Args({1, 256})
    ->Args({16, 1024})
    ->Args({1, 4096})
    ->Args({1024, 32 << 10})
    ->Args({4096, 64 << 10})
    ->Args({64 << 10, 1 << 20});

}  // namespace
}  // namespace bm::bench
