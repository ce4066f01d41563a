// ping_pong.cc: 500 MB allocated, touched and freed, fifty times over, as a batch job's steps do.  layer: bench
// An allocator that gives memory back has to notice that this load wants it again at once. Small objects and large blocks, by one
// thread and by two. Prints the median seconds of a cycle: of all but the first for two threads, from the fourth on for one.
#include "loads.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <latch>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kAll = std::size_t{500} << 20;
constexpr int kCycles = 50;

struct Load {
  const char* name;
  std::size_t bytes;  // of a block
  int threads;
};
constexpr Load kLoads[] = {
    {"large", std::size_t{1} << 20, 1}, {"small", 200, 1}, {"large", std::size_t{1} << 20, 2}, {"small", 200, 2}};

// The blocks' array is the caller's: it is not part of what is allocated anew.
void cycle(std::vector<void*>& blocks, std::size_t bytes) {
  for (void*& block : blocks) {
    block = std::malloc(bytes);
    if (block == nullptr) std::abort();
    std::memset(block, 1, bytes);
  }
  for (void* const block : blocks) std::free(block);
}

double median_of_cycles(const Load& load) {
  std::vector<std::vector<double>> seconds(static_cast<std::size_t>(load.threads));
  std::latch start(load.threads);
  const auto run = [&](std::size_t thread) {
    std::vector<void*> blocks(kAll / load.bytes / static_cast<std::size_t>(load.threads));
    start.arrive_and_wait();
    for (int i = 0; i < kCycles; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      cycle(blocks, load.bytes);
      seconds[thread].push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
  };
  std::vector<std::thread> others;
  for (std::size_t i = 1; i < seconds.size(); ++i) others.emplace_back(run, i);
  run(0);
  for (std::thread& thread : others) thread.join();
  const int learning = load.threads == 1 ? 3 : 1;
  std::vector<double> all;
  for (const auto& one : seconds) all.insert(all.end(), one.begin() + learning, one.end());
  std::nth_element(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2), all.end());
  return all[all.size() / 2];
}

}  // namespace

// ping_pong NUMBER: that load alone, so that it is the process's first.
int main(int argc, char** argv) {
  const Load& load = chosen_load(kLoads, argc, argv);
  std::printf("%s, %d %s %.6f\n", load.name, load.threads, load.threads == 1 ? "thread" : "threads",
              median_of_cycles(load));
  return 0;
}
