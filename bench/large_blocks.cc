// large_blocks.cc: blocks above 64 KiB that come and go at random, and blocks that grow: what they cost in memory.  layer: bench
// Such blocks are runs of pages of any length, and what one leaves has to serve others. large_blocks NUMBER runs one load; prints its
// processor seconds, and its VmHWM in percent of the most that was live.
#include "loads.h"
#include "memory_usage.h"
#include "random.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

namespace {

struct Load {
  const char* name;
  std::size_t least, most;  // bytes of a block; when growing: of the first and of the last size
  int growing;              // so many blocks; 0: churn
};
constexpr Load kLoads[] = {
    {"churn 70 kB", 70'000, 70'000, 0},
    {"churn 270 kB", 270'000, 270'000, 0},
    {"churn 1.1 MB", 1'100'000, 1'100'000, 0},
    {"churn 3 MB", 3'000'000, 3'000'000, 0},
    {"churn 64 kB to 1 MB", 64'000, 1'000'000, 0},
    {"churn 16 B to 3 MB", 16, 3'000'000, 0},
    {"grow to 100 kB", 1000, 100'000, 1500},
    {"grow to 900 kB", 1000, 900'000, 300},
    {"grow to 3 MB", 1000, 3'000'000, 100},
    {"grow to 300 kB in turns", 1000, 300'000, 700},
};
constexpr std::size_t kLive = std::size_t{400} << 20;  // of churn
constexpr std::size_t kAll = 10 * kLive;               // that is allocated in the course of it

struct Block {
  char* p;
  std::size_t bytes;
};
bench_random random_numbers{UINT64_C(0x9E3779B97F4A7C15)};

Block make(std::size_t bytes) {
  Block block{static_cast<char*>(std::malloc(bytes)), bytes};
  if (block.p == nullptr) std::abort();
  std::memset(block.p, 1, bytes);
  return block;
}

// A random tenth goes each time the most is live. Returns the most that was.
std::size_t churn(const Load& load) {
  std::vector<Block> blocks;
  std::size_t live = 0;
  std::size_t peak = 0;
  for (std::size_t all = 0; all < kAll;) {
    blocks.push_back(make(bench_between(&random_numbers, load.least, load.most)));
    all += blocks.back().bytes;
    live += blocks.back().bytes;
    peak = std::max(peak, live);
    for (std::size_t gone = live < kLive ? 0 : blocks.size() / 10 + 1; gone != 0; --gone) {
      Block& block = blocks[bench_between(&random_numbers, 0, blocks.size() - 1)];
      std::free(block.p);
      live -= block.bytes;
      block = blocks.back();
      blocks.pop_back();
    }
  }
  return peak;
}

// By an eighth, as Python's lists do; true: on it goes.
bool grow(Block& block, std::size_t most) {
  const std::size_t bytes = std::min(block.bytes + block.bytes / 8, most);
  block.p = static_cast<char*>(std::realloc(block.p, bytes));
  if (block.p == nullptr) std::abort();
  std::memset(block.p + block.bytes, 1, bytes - block.bytes);
  block.bytes = bytes;
  return bytes < most;
}

std::size_t grow_all(const Load& load) {
  std::vector<Block> blocks;
  for (int i = 0; i < load.growing; ++i) blocks.push_back(make(load.least));
  const bool in_turns = std::strstr(load.name, "in turns") != nullptr;
  for (bool more = in_turns; more;) {
    more = false;
    for (Block& block : blocks) more |= grow(block, load.most);
  }
  for (Block& block : blocks)
    while (!in_turns && grow(block, load.most)) {
    }
  return blocks.size() * load.most;
}

}  // namespace

int main(int argc, char** argv) {
  const Load& load = chosen_load(kLoads, argc, argv);
  const std::size_t live = load.growing != 0 ? grow_all(load) : churn(load);
  const auto seconds = static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
  const double held = static_cast<double>(memory_usage_kib("VmHWM:")) * 1024;
  std::printf("%s, time %.4f\n%s, memory %.2f\n", load.name, seconds, load.name,
              100 * held / static_cast<double>(live));
  return 0;
}
