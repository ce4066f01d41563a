// pages.cc: pages by order in the shape of LLFree's benchmarks, in nanoseconds per operation and thread.  layer: bench
//   repeat       a run allocated and freed at once, the pair
//   bulk         many runs allocated, then freed in the same order: alloc and free apart
//   random       the same number, freed in random order: free alone
//   fill         repeat and bulk of single pages while so many percent of 1 GiB are in use, the rest free at random
// Of `api` (bm_pages_*: thread lists up to order 4), and of `zone` (pages::Zone: a lock and the maps, every time). The
// counter `floor` is the 64-byte pair of ../shared/probes/floor.so, timed in between: BUDDYMALLOC_FLOOR is its path.
// Links the core: no malloc is involved, nothing is preloaded. Pages are not touched, and none goes back to the OS.
#include <benchmark/benchmark.h>

#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "bench/random.h"
#include "buddymalloc/pages.h"
#include "heap/process_heap.h"

namespace bm::bench {
namespace {

constexpr auto kType = pages::Migratetype::kMovable;
constexpr std::size_t kBulkPages = 4096;     // 16 MiB a round, whatever the order
constexpr std::size_t kRandomPages = 32768;  // 128 MiB
constexpr std::size_t kFilledPages = 262144;
constexpr std::size_t kPairs = 1024;

// The zone of the process, started, which keeps all it has: purges are the OS's time.
pages::Zone& zone() {
  static pages::Zone& one = [&]() -> pages::Zone& {
    bm_pages_free(bm_pages_alloc(0, 0), 0);
    heap::process.zone.watermarks.high = SIZE_MAX >> 1;
    return heap::process.zone;
  }();
  return one;
}

struct Api {
  using Handle = void*;
  static Handle alloc(unsigned order) { return bm_pages_alloc(order, BM_PAGES_MOVABLE); }
  static void free(unsigned order, Handle p) { bm_pages_free(p, order); }
};

struct Zone {
  using Handle = Pfn;
  static Handle alloc(unsigned order) {
    pages::Run run;
    if (!heap::process.zone.alloc(std::size_t{1} << order, kType, run)) std::abort();
    return run.first;
  }
  static void free(unsigned order, Handle p) { heap::process.zone.free(p, std::size_t{1} << order); }
};

// malloc and free of the floor, called through pointers; null without it.
struct Floor {
  void* (*allocate)(std::size_t) = nullptr;
  void (*release)(void*) = nullptr;
  Floor() {
    const char* const path = std::getenv("BUDDYMALLOC_FLOOR");
    void* const library = path == nullptr ? nullptr : dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    allocate = reinterpret_cast<void* (*)(std::size_t)>(dlsym(library, "malloc"));
    release = reinterpret_cast<void (*)(void*)>(dlsym(library, "free"));
  }
};
const Floor& the_floor() {
  static const Floor one;
  return one;
}

// Times a benchmark's operations, and after each round of them some pairs of the floor: what slows the machine down slows
// both. Reports the medians of the rounds, which a preemption does not change.
class Stopwatch {
 public:
  void start() { started_ = Clock::now(); }
  void stop() { rounds_.push_back(Clock::now() - started_); }
  void end_of_round() {
    const Floor& floor = the_floor();
    if (floor.allocate == nullptr) return;
    const auto start = Clock::now();
    for (std::size_t k = 0; k < kPairs; ++k) {
      void* const p = floor.allocate(64);
      benchmark::DoNotOptimize(p);
      floor.release(p);
    }
    floors_.push_back(Clock::now() - start);
  }
  void report(benchmark::State& state, std::size_t operations) {
    state.counters["ns"] = median(rounds_, operations);
    state.counters["floor"] = median(floors_, kPairs);
  }

 private:
  using Clock = std::chrono::steady_clock;
  using Samples = std::vector<Clock::duration>;
  static benchmark::Counter median(Samples& samples, std::size_t operations) {
    if (samples.empty()) return 0.0;
    const auto middle = samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2);
    std::nth_element(samples.begin(), middle, samples.end());
    const double ns = std::chrono::duration<double, std::nano>(*middle).count();
    return {ns / static_cast<double>(operations), benchmark::Counter::kAvgThreads};
  }
  Clock::time_point started_;
  Samples rounds_;
  Samples floors_;
};

template <class Pair>
void time_pairs(benchmark::State& state, Pair pair) {
  Stopwatch watch;
  for (auto _ : state) {
    watch.start();
    for (std::size_t k = 0; k < kPairs; ++k) pair();
    watch.stop();
    watch.end_of_round();
  }
  watch.report(state, kPairs);
}

template <class From>
void repeat(benchmark::State& state) {
  const auto order = static_cast<unsigned>(state.range(0));
  zone();
  time_pairs(state, [order] {
    const auto p = From::alloc(order);
    benchmark::DoNotOptimize(p);
    From::free(order, p);
  });
}

enum class Timed { kAlloc, kFree, kFreeAtRandom };

template <class From, Timed kTimed>
void bulk_of(benchmark::State& state, unsigned order, std::size_t pages) {
  zone();
  std::vector<typename From::Handle> runs(pages >> order);
  Stopwatch watch;
  bench_random random{88172645463325252u};
  for (auto _ : state) {
    if (kTimed == Timed::kAlloc) watch.start();
    for (auto& p : runs) p = From::alloc(order);
    if (kTimed == Timed::kAlloc) watch.stop();
    if (kTimed == Timed::kFreeAtRandom)
      for (std::size_t k = runs.size() - 1; k != 0; --k) std::swap(runs[k], runs[bench_between(&random, 0, k)]);
    if (kTimed != Timed::kAlloc) watch.start();
    for (const auto p : runs) From::free(order, p);
    if (kTimed != Timed::kAlloc) watch.stop();
    watch.end_of_round();
  }
  watch.report(state, runs.size());
}

template <class From, Timed kTimed>
void bulk(benchmark::State& state) {
  bulk_of<From, kTimed>(state, static_cast<unsigned>(state.range(0)),
                        kTimed == Timed::kFreeAtRandom ? kRandomPages : kBulkPages);
}

// While it lives, so many percent of kFilledPages are in use and the others free, wherever chance has it.
class Filled {
 public:
  explicit Filled(std::int64_t percent) : pages_(kFilledPages) {
    zone();
    bench_random random{2463534242u};
    for (auto& p : pages_) p = Zone::alloc(0);
    for (std::size_t k = pages_.size() - 1; k != 0; --k) std::swap(pages_[k], pages_[bench_between(&random, 0, k)]);
    for (const auto left = kFilledPages * static_cast<std::size_t>(percent) / 100; pages_.size() > left;) drop();
  }
  ~Filled() {
    while (!pages_.empty()) drop();
    bm_trim(SIZE_MAX);
  }
  Filled(const Filled&) = delete;
  Filled& operator=(const Filled&) = delete;

 private:
  void drop() {
    Zone::free(0, pages_.back());
    pages_.pop_back();
  }
  std::vector<Pfn> pages_;
};

template <class From>
void fill_repeat(benchmark::State& state) {
  const Filled filled(state.range(0));
  time_pairs(state, [] {
    const auto p = From::alloc(0);
    benchmark::DoNotOptimize(p);
    From::free(0, p);
  });
}

template <class From, Timed kTimed>
void fill_bulk(benchmark::State& state) {
  const Filled filled(state.range(0));
  bulk_of<From, kTimed>(state, 0, kBulkPages);
}

template <class From>
void register_all(const std::string& name) {
  const auto add = [&](const std::string& family, void (*function)(benchmark::State&)) {
    return benchmark::RegisterBenchmark((family + "/" + name).c_str(), function);
  };
  const auto by_order = [](benchmark::internal::Benchmark* b) {
    b->DenseRange(0, kPageblockOrder)->Threads(1)->Threads(2)->UseRealTime();
  };
  by_order(add("repeat", repeat<From>));
  by_order(add("bulk_alloc", bulk<From, Timed::kAlloc>));
  by_order(add("bulk_free", bulk<From, Timed::kFree>));
  by_order(add("random_free", bulk<From, Timed::kFreeAtRandom>));
  const auto by_level = [](benchmark::internal::Benchmark* b) { b->DenseRange(0, 90, 10); };
  by_level(add("fill_repeat", fill_repeat<From>));
  by_level(add("fill_bulk_alloc", fill_bulk<From, Timed::kAlloc>));
  by_level(add("fill_bulk_free", fill_bulk<From, Timed::kFree>));
}

}  // namespace
}  // namespace bm::bench

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bm::bench::register_all<bm::bench::Api>("api");
  bm::bench::register_all<bm::bench::Zone>("zone");
  benchmark::RunSpecifiedBenchmarks();
}
