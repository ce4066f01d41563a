// workloads.h: what the workloads share: their lists, how much a run does, blocks that notice corruption, threads.
// The patterns are those of published allocator benchmarks, written anew from their descriptions. What a run costs is measured
// from outside (wall time, processor time, peak memory, page faults): so a workload does a fixed amount of work, prints nothing,
// and ends with status 1 when its data are not what it wrote.  layer: bench
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <latch>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "random.h"

namespace bm::bench {

// How much work: 1 takes about a second with glibc's malloc, 0 is enough to see that all of it works.
struct Scale {
  std::size_t factor;
  std::size_t of(std::size_t full) const { return factor == 0 ? std::max<std::size_t>(full / 50, 1) : full * factor; }
};

struct Workload {
  const char* name;
  void (*run)(Scale);
};
std::span<const Workload> server_workloads();
std::span<const Workload> thread_workloads();
std::span<const Workload> lifetime_workloads();
std::span<const Workload> cache_workloads();
std::span<const Workload> large_workloads();
std::span<const Workload> container_workloads();
std::span<const Workload> document_workloads();
std::span<const Workload> interpreter_workloads();
std::span<const Workload> bignum_workloads();
std::span<const Workload> cover_workloads();
std::span<const Workload> octree_workloads();

// Ends the process with status 1; from any thread.
[[noreturn]] void fail(const char* what);

inline void expect(bool good, const char* what) {
  if (!good) fail(what);
}

template <class T>
T* allocated(T* memory) {
  expect(memory != nullptr, "no memory");
  return memory;
}

inline bench_random seeded(std::size_t thread = 0) { return {UINT64_C(0x9E3779B97F4A7C15) * (2 * thread + 1)}; }

inline bool one_in(bench_random& random, std::size_t n) { return bench_between(&random, 1, n) == 1; }

// Every doubling of the size is half as likely, as in most programs' statistics.
inline std::size_t power_law(bench_random& random, std::size_t least, std::size_t most) {
  const std::size_t base = least << std::countr_zero(bench_next(&random) | UINT64_C(1) << 24);
  return std::min(bench_between(&random, base, 2 * base - 1), most);
}

// A block of at least 8 bytes that carries its size, and a key of its size and address; the key's low byte ends it if it is
// longer than this. One that another overlaps or that was handed out twice no longer matches its key.
struct Block {
  std::uint32_t bytes;
  std::uint32_t key;
  Block* next;  // the user's; in blocks of 16 bytes and more
};

inline std::uint32_t key_of(const Block* block, std::size_t bytes) {
  return static_cast<std::uint32_t>(
      (reinterpret_cast<std::uintptr_t>(block) ^ bytes << 40) * UINT64_C(0x9E3779B97F4A7C15) >> 32);
}

inline Block* sign(void* memory, std::size_t bytes) {
  auto* const block = static_cast<Block*>(allocated(memory));
  block->bytes = static_cast<std::uint32_t>(bytes);
  block->key = key_of(block, bytes);
  if (bytes > sizeof(Block)) static_cast<unsigned char*>(memory)[bytes - 1] = static_cast<unsigned char>(block->key);
  return block;
}

inline std::size_t check(const Block* block) {
  const std::size_t bytes = block->bytes;
  expect(block->key == key_of(block, bytes), "a block's first bytes changed");
  if (bytes > sizeof(Block))
    expect(reinterpret_cast<const unsigned char*>(block)[bytes - 1] == static_cast<unsigned char>(block->key),
           "a block's last byte changed");
  return bytes;
}

// Checked for the last time: a block that was handed out twice fails when its second owner comes to this. Returns its size.
inline std::size_t retire(Block* block) {
  const std::size_t bytes = check(block);
  block->key = ~block->key;
  return bytes;
}

inline Block* allocate(std::size_t bytes) { return sign(std::malloc(bytes), bytes); }

inline void release(Block* block) {
  if (block == nullptr) return;
  retire(block);
  std::free(block);
}

inline void release_list(Block* first) {
  while (first != nullptr) release(std::exchange(first, first->next));
}

// work(0) … work(count - 1), each on a thread of its own; they begin together.
template <class Work>
void on_threads(std::size_t count, Work work) {
  std::latch start(static_cast<std::ptrdiff_t>(count));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i)
    threads.emplace_back([&start, &work, i] {
      start.arrive_and_wait();
      work(i);
    });
  for (std::thread& thread : threads) thread.join();
}

}  // namespace bm::bench
