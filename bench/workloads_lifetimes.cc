// workloads_lifetimes.cc: many small blocks, by how long they live and in which order they go.  layer: bench
#include "workloads.h"

#include <array>

namespace bm::bench {
namespace {

// alloc-test-1, alloc-test-2: places drawn at random, some far more often than others, are filled or emptied in turns; sizes
// follow a power law. After OLogN Technologies' alloc-test, which wants to look like a real program's statistics.
template <std::size_t kThreads>
void alloc_test(Scale scale) {
  on_threads(kThreads, [scale](std::size_t thread) {
    bench_random random = seeded(thread);
    std::vector<Block*> places(std::size_t{1} << 17);
    for (std::size_t i = scale.of(24'000'000) / kThreads; i != 0; --i) {
      Block*& place = places[bench_between(&random, 0, bench_between(&random, 0, places.size() - 1))];
      if (place == nullptr) {
        place = allocate(power_law(random, 8, 64 << 10));
      } else {
        release(place);
        place = nullptr;
      }
    }
    for (Block* const place : places) release(place);
  });
}

// sh6, sh8: groups of blocks of one size, allocated side by side; most go at a round's end, last first or first first in turns,
// one in sixteen lives eight rounds longer. After MicroQuill's SmartHeap benchmarks, of which sh8 has threads.
void groups(bench_random random, std::size_t rounds, std::size_t largest) {
  constexpr std::size_t kGroups = 20, kLength = 500;
  std::array<std::size_t, kGroups> sizes;
  std::array<std::vector<Block*>, 8> lasting;
  std::vector<Block*> blocks;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::size_t& size : sizes) size = power_law(random, 16, largest);
    for (std::size_t i = 0; i < kGroups * kLength; ++i) blocks.push_back(allocate(sizes[i % kGroups]));
    std::vector<Block*>& last = lasting[round % lasting.size()];
    for (Block* const block : last) release(block);
    last.clear();
    if (round % 2 == 1) std::reverse(blocks.begin(), blocks.end());
    for (Block* const block : blocks) {
      if (one_in(random, 16))
        last.push_back(block);
      else
        release(block);
    }
    blocks.clear();
  }
  for (const std::vector<Block*>& last : lasting)
    for (Block* const block : last) release(block);
}

void sh6(Scale scale) { groups(seeded(), scale.of(2400), 1000); }

void sh8(Scale scale) {
  on_threads(2, [scale](std::size_t thread) { groups(seeded(thread), scale.of(1800), 8000); });
}

// glibc-simple: a number of blocks of one size is allocated, then freed in the same order; few blocks, and more than a cache
// of free blocks holds. After the glibc benchtests' malloc-simple.
void glibc_simple(Scale scale) {
  std::vector<Block*> blocks(4096);
  // Lies behind all others: else the measure would be of glibc giving the end of its heap back and asking for it again.
  for (Block*& block : blocks) block = allocate(4096);
  Block* const last = allocate(4096);
  for (Block* const block : blocks) release(block);
  for (const std::size_t size : {16U, 64U, 256U, 1024U, 4096U})
    for (const std::size_t count : {25U, 100U, 400U, 1600U}) {
      blocks.resize(count);
      for (std::size_t i = scale.of(1'600'000) / count; i != 0; --i) {
        for (Block*& block : blocks) block = allocate(size);
        for (Block* const block : blocks) release(block);
      }
    }
  release(last);
}

// glibc-thread: each thread goes round an array and replaces, of the blocks there, about every second; small ones are the most
// likely. After the glibc benchtests' malloc-thread.
void glibc_thread(Scale scale) {
  on_threads(2, [scale](std::size_t thread) {
    bench_random random = seeded(thread);
    std::array<Block*, 4096> places{};
    for (std::size_t i = scale.of(11'000); i != 0; --i)
      for (Block*& place : places) {
        if (one_in(random, 2)) continue;
        release(place);
        place = allocate(power_law(random, 8, 32 << 10));
      }
    for (Block* const place : places) release(place);
  });
}

}  // namespace

std::span<const Workload> lifetime_workloads() {
  static constexpr Workload kAll[] = {
      {"alloc-test-1", alloc_test<1>}, {"alloc-test-2", alloc_test<2>}, {"sh6", sh6}, {"sh8", sh8},
      {"glibc-simple", glibc_simple},  {"glibc-thread", glibc_thread}};
  return kAll;
}

}  // namespace bm::bench
