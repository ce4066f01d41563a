// contention.cc: the same work shared out among 2 to 64 threads, so that what more threads cost is all that changes.  layer: bench
// With more threads than cores, a thread that is preempted while it holds a lock keeps all others from it until it runs again: an
// allocator whose locks are held seldom and briefly shows nothing of it. What is live is the same for any number of threads.
// Prints nanoseconds of wall time per object, all threads together, and context switches of a thread that waits per million.
#include "workloads.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>

#include <sys/resource.h>

namespace bm::bench {
namespace {

void replace_at_random(std::vector<Block*>& blocks, std::size_t objects, std::size_t least, std::size_t most,
                       bench_random random) {
  while (objects-- != 0) {
    Block*& block = blocks[bench_between(&random, 0, blocks.size() - 1)];
    release(block);
    block = allocate(bench_between(&random, least, most));
  }
  for (Block* const block : blocks) release(block);
}

// Small objects, replaced at random: bins answer.
void churn(std::size_t threads, std::size_t objects) {
  on_threads(threads, [=](std::size_t thread) {
    std::vector<Block*> blocks(64'000 / threads);
    replace_at_random(blocks, objects / threads, 16, 1024, seeded(thread));
  });
}

// As much by large blocks.
void large(std::size_t threads, std::size_t objects) {
  on_threads(threads, [=](std::size_t thread) {
    std::vector<Block*> blocks(512 / threads);
    replace_at_random(blocks, objects / threads, 32 << 10, 512 << 10, seeded(thread));
  });
}

// 64 MB of small objects allocated, then freed in order, eight times over: slabs and pages come and go.
void fill(std::size_t threads, std::size_t objects) {
  constexpr std::size_t kLive = 1 << 20;
  on_threads(threads, [=](std::size_t) {
    std::vector<Block*> blocks(kLive / threads);
    for (std::size_t round = 0; round < objects / kLive; ++round) {
      for (Block*& block : blocks) block = allocate(64);
      for (Block* const block : blocks) release(block);
    }
  });
}

// Chains of 16 objects through places that all threads share: whoever puts one in frees what was there, another thread's mostly.
void exchange(std::size_t threads, std::size_t objects) {
  constexpr std::size_t kChain = 16;
  struct alignas(64) Place {
    std::atomic<Block*> chain{nullptr};
  };
  const auto places = std::make_unique<std::array<Place, 4096>>();
  on_threads(threads, [&, threads, objects](std::size_t thread) {
    bench_random random = seeded(thread);
    for (std::size_t n = objects / threads / kChain; n-- != 0;) {
      Block* chain = nullptr;
      for (std::size_t i = 0; i < kChain; ++i) {
        Block* const block = allocate(bench_between(&random, 16, 256));
        block->next = std::exchange(chain, block);
      }
      release_list((*places)[bench_between(&random, 0, places->size() - 1)].chain.exchange(chain));
    }
  });
  for (Place& place : *places) release_list(place.chain);
}

struct Load {
  const char* name;
  void (*run)(std::size_t threads, std::size_t objects);
  std::size_t objects;
};
constexpr Load kLoads[] = {
    {"churn", churn, 1 << 23}, {"fill", fill, 1 << 23}, {"exchange", exchange, 1 << 22}, {"large", large, 1 << 20}};

int measure(const Load& load, std::size_t threads) {
  const auto begin = std::chrono::steady_clock::now();
  load.run(threads, load.objects);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto objects = static_cast<double>(load.objects);
  std::printf("%s %zu threads %.3f\n", load.name, threads, seconds * 1e9 / objects);
  std::printf("%s %zu threads, waits %.3f\n", load.name, threads, static_cast<double>(usage.ru_nvcsw) * 1e6 / objects);
  return 0;
}

}  // namespace

void fail(const char* what) {
  std::fprintf(stderr, "contention: %s\n", what);
  std::_Exit(1);
}

}  // namespace bm::bench

// contention LOAD THREADS
int main(int argc, char** argv) {
  using namespace bm::bench;
  const std::size_t threads = argc == 3 ? std::strtoul(argv[2], nullptr, 10) : 0;
  if (threads != 0 && threads <= 512)
    for (const Load& load : kLoads)
      if (std::strcmp(load.name, argv[1]) == 0) return measure(load, threads);
  std::fprintf(stderr, "usage: %s churn|fill|exchange|large THREADS\n", argv[0]);
  return 2;
}
