// holds.cc: how often and for how long one thread holds the locks that all threads share, under a few loads.  layer: bench
// On our own core: nothing is preloaded. Another thread looks at the zone every microsecond or two: the share of looks that find
// Zone::changes() odd is the lock's utilisation by one thread at full speed, and its inverse the number of threads that saturate it.
// What looks costs is part of it, as it is when others want the lock. Descriptors of slabs come and go by chains, with a hold of
// the slab table's lock each. For tools/scaling-model: "LOAD ns NS zone HOLDS NS table HOLDS NS", per object, and "transfer NS".
#include "heap/heap.h"
#include "heap/process_heap.h"
#include "heap/thread_heap.h"
#include "random.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

namespace {

using namespace bm;

double now_ns() {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void* allocate(std::size_t bytes) {
  void* p = heap::allocate_fast(bytes);
  if (p == nullptr) p = heap::allocate_slow(bytes);
  if (p == nullptr) std::abort();
  *static_cast<char*>(p) = 1;
  return p;
}

void release(void* p) {
  if (!heap::deallocate_fast(p)) heap::deallocate_slow(p);
}

class Watch {
 public:
  Watch() : thread_([this] { look(); }) {}
  ~Watch() {
    end_ = true;
    thread_.join();
  }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  void start() { held_ = looks_ = 0; }
  double share() const { return looks_ == 0 ? 0 : static_cast<double>(held_) / static_cast<double>(looks_); }

 private:
  void look() {
    for (unsigned i = 0; !end_; ++i) {
      for (unsigned k = 20 + i % 7; k != 0; --k) __builtin_ia32_pause();
      held_ += heap::process.zone.changes() % 2;
      ++looks_;
    }
  }
  std::atomic<bool> end_ = false;
  std::atomic<std::size_t> held_ = 0, looks_ = 0;
  std::thread thread_;
};

std::size_t slabs_in_use() {
  std::size_t n = 0;
  for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) n += heap::process.slabs[i].holder() != 0;
  return n;
}

// One hold of the slab table's lock: half of what it costs to take a chain and to give it back.
double table_hold() {
  constexpr int kPairs = 1'000'000;
  slab::SlabStock stock{};
  const double begin = now_ns();
  for (int i = 0; i < kPairs; ++i) {
    heap::process.slabs.give_back(stock, heap::process.slabs.take(stock));
    heap::process.slabs.drain(stock);
  }
  return (now_ns() - begin) / kPairs / 2;
}

// A line that two cores write in turn: what it costs to come over, the median of many goes, as one where both shared a core tells
// nothing.
double transfer() {
  constexpr unsigned kTurns = 100'000;
  std::vector<double> goes(31);
  for (double& ns : goes) {
    std::atomic<unsigned> turn = 0;
    const auto play = [&turn](unsigned parity) {
      for (unsigned i = parity; i < kTurns; i += 2) {
        while (turn.load(std::memory_order_relaxed) != i) __builtin_ia32_pause();
        turn.store(i + 1, std::memory_order_relaxed);
      }
    };
    const double begin = now_ns();
    std::thread other(play, 1);
    play(0);
    other.join();
    ns = (now_ns() - begin) / kTurns;
  }
  std::nth_element(goes.begin(), goes.begin() + 15, goes.end());
  return goes[15];
}

double hold_of_table = 0;

void measure(Watch& watch, const char* name, std::size_t objects, const std::function<void()>& work) {
  const std::size_t slabs = slabs_in_use();
  const std::uint32_t changes = heap::process.zone.changes();
  watch.start();
  const double begin = now_ns();
  work();
  const double ns = now_ns() - begin;
  const double share = watch.share();
  const double holds = (heap::process.zone.changes() - changes) / 2;
  const std::size_t after = slabs_in_use();
  const auto chains = static_cast<double>(std::max(after, slabs) - std::min(after, slabs)) / slab::SlabTable::kChain;
  const auto n = static_cast<double>(objects);
  std::printf("%s ns %.2f zone %.6f %.0f table %.6f %.0f\n", name, ns / n, holds / n,
              holds == 0 ? 0.0 : share * ns / holds, chains / n, hold_of_table);
}

void replace(std::vector<void*>& blocks, std::size_t objects, std::size_t least, std::size_t most,
             bench_random& random) {
  while (objects-- != 0) {
    void*& p = blocks[bench_between(&random, 0, blocks.size() - 1)];
    if (p != nullptr) release(p);
    p = allocate(bench_between(&random, least, most));
  }
}

void replace_load(Watch& watch, const char* name, std::size_t live, std::size_t objects, std::size_t least,
                  std::size_t most) {
  bench_random random{1};
  std::vector<void*> blocks(live);
  replace(blocks, 2 * live, least, most, random);
  measure(watch, name, objects, [&] { replace(blocks, objects, least, most, random); });
  for (void* const p : blocks)
    if (p != nullptr) release(p);
}

// Twice, of which the second counts: memory is there.
void fill_load(Watch& watch, const char* fill, const char* drain, std::size_t bytes) {
  std::vector<void*> blocks((std::size_t{64} << 20) / bytes);
  const auto allocate_all = [&] {
    for (void*& p : blocks) p = allocate(bytes);
  };
  const auto release_all = [&] {
    for (void* const p : blocks) release(p);
  };
  allocate_all();
  release_all();
  measure(watch, fill, blocks.size(), allocate_all);
  measure(watch, drain, blocks.size(), release_all);
}

// What one thread allocates another frees, one after the other: the frees.
void pass_load(Watch& watch, std::size_t bytes) {
  std::vector<void*> blocks((std::size_t{64} << 20) / bytes);
  for (void*& p : blocks) p = allocate(bytes);
  std::thread([&] {
    release(allocate(1));  // it has a heap
    measure(watch, "free-remote-64", blocks.size(), [&] {
      for (void* const p : blocks) release(p);
    });
  }).join();
}

}  // namespace

int main() {
  std::printf("transfer %.1f\n", transfer());
  release(allocate(1));
  hold_of_table = table_hold();
  Watch watch;
  replace_load(watch, "churn", 64'000, 10'000'000, 16, 1024);
  fill_load(watch, "fill-64", "drain-64", 64);
  fill_load(watch, "fill-4000", "drain-4000", 4000);
  fill_load(watch, "fill-30000", "drain-30000", 30'000);
  pass_load(watch, 64);
  replace_load(watch, "large", 512, 300'000, 32 << 10, 512 << 10);
  return 0;
}
