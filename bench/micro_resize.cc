// micro_resize.cc: growing by realloc, and zeroed memory both reused and fresh from the kernel.  layer: bench
#include "micro.h"

#include <utility>
#include <vector>

namespace bm::bench {
namespace {

// Buffers like vectors, each grown from 64 bytes to the size given, an eighth at a time; every step writes the
// last byte. A lone one can be the last block of a heap and grow in place for nothing; two in turn cannot both.
void realloc_grow(benchmark::State& state) {
  const auto last = static_cast<std::size_t>(state.range(0));
  std::vector<char*> buffers(static_cast<std::size_t>(state.range(1)));
  for (auto _ : state) {
    for (std::size_t size = 64; size <= last; size += size / 8 + 64) {
      for (char*& buffer : buffers) {
        buffer = static_cast<char*>(std::realloc(buffer, size));
        if (!buffer) std::abort();
        buffer[size - 1] = 1;
      }
    }
    for (char*& buffer : buffers) std::free(std::exchange(buffer, nullptr));
  }
  report_pairs(state, buffers.size());
}

// One block up and down between two sizes: an allocator may keep it in place or not.
void realloc_swing(benchmark::State& state) {
  const auto low = static_cast<std::size_t>(state.range(0));
  const auto high = static_cast<std::size_t>(state.range(1));
  char* buffer = allocate(low);
  for (auto _ : state) {
    buffer = static_cast<char*>(std::realloc(buffer, high));
    buffer[high - 1] = 1;
    buffer = static_cast<char*>(std::realloc(buffer, low));
    benchmark::DoNotOptimize(buffer);
  }
  std::free(buffer);
  report_pairs(state, 1);
}

void calloc_reused(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* block = std::calloc(1, size);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
  report_pairs(state, 1);
}

constexpr std::size_t fresh_total = std::size_t{128} << 20;
constexpr std::size_t touch_stride = 4096;

// Nothing is freed until the end, so each block comes fresh from the kernel: clearing it again is wasted
// work. tools/bench gives each line a process of its own; in a longer one, earlier lines leave memory behind.
void calloc_fresh(benchmark::State& state) {
  const auto size = static_cast<std::size_t>(state.range(0));
  std::vector<char*> blocks(fresh_total / size);
  auto next = blocks.begin();
  for (auto _ : state) {
    auto* block = static_cast<char*>(std::calloc(1, size));
    if (!block) std::abort();
    for (std::size_t offset = 0; offset < size; offset += touch_stride) block[offset] = 1;
    *next++ = block;
  }
  for (char* block : blocks) std::free(block);
  report_pairs(state, 1);
}

BENCHMARK(realloc_grow)->ArgsProduct({{4 << 10, 64 << 10, 1 << 20, 16 << 20}, {1, 2}});
BENCHMARK(realloc_swing)->Args({40, 56})->Args({100, 1000})->Args({8 << 10, 12 << 10})->Args({1 << 20, 3 << 20});
BENCHMARK(calloc_reused)->Arg(64)->Arg(1024)->Arg(4096)->Arg(64 << 10)->Arg(1 << 20);

// One registration per size: each needs its own count of iterations.
void fresh(benchmark::internal::Benchmark* family, std::size_t size) {
  family->Arg(static_cast<std::int64_t>(size))->Iterations(static_cast<std::int64_t>(fresh_total / size));
}

BENCHMARK(calloc_fresh)->Apply([](auto* family) { fresh(family, 256); });
BENCHMARK(calloc_fresh)->Apply([](auto* family) { fresh(family, 4096); });
BENCHMARK(calloc_fresh)->Apply([](auto* family) { fresh(family, 64 << 10); });
BENCHMARK(calloc_fresh)->Apply([](auto* family) { fresh(family, 1 << 20); });
BENCHMARK(calloc_fresh)->Apply([](auto* family) { fresh(family, 16 << 20); });

}  // namespace
}  // namespace bm::bench
