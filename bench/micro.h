// micro.h: what the themes of the micro suite share: size ladders and an allocation the compiler must keep.  layer: bench
// The suite calls plain malloc, free, calloc and realloc; the allocator measured is the one preloaded.
// Names read family/size, family/low/high between two sizes, realloc_grow/size/buffers; names starting with
// threads_ use several threads: tools/bench leaves those unpinned. One item is one block's malloc and free
// (or its whole growth, or one swing).
#pragma once

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace bm::bench {

inline void report_pairs(benchmark::State& state, std::size_t pairs_per_iteration) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(pairs_per_iteration));
}

// A block with its first byte written, as any program would.
inline char* allocate(std::size_t size) {
  auto* block = static_cast<char*>(std::malloc(size));
  if (!block) std::abort();
  *block = 1;
  benchmark::DoNotOptimize(block);
  return block;
}

inline void small_sizes(benchmark::internal::Benchmark* family) {
  for (int size : {16, 64, 256, 1024, 4096}) family->Arg(size);
}

inline void all_sizes(benchmark::internal::Benchmark* family) {
  for (int size : {16, 64, 256, 1024, 4096, 16 << 10, 64 << 10, 256 << 10, 1 << 20}) family->Arg(size);
}

}  // namespace bm::bench
