// pages.cc: the page layer alone: pages::Zone and pcp::PageLists by order, one block at a time and in bulk.  layer: bench
// Links the core: no malloc is involved, so `tools/bench` leaves it out.
#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "pcp/page_lists.h"

namespace bm::bench {
namespace {

constexpr auto kType = pages::Migratetype::kMovable;
constexpr std::size_t kBulkPages = 4096;  // 16 MiB a round, whatever the order

struct PageLayer {
  PageLayer() {
    pages::AddressSpaceConfig config;
    config.first_section_bytes = config.capacity_bytes = std::size_t{1} << 30;
    char* extra = nullptr;
    if (!space.init(os::linux_vm, config, map, area, 0, extra)) std::abort();
    zone.init(os::linux_vm, map, space, area);
    zone.watermarks.high = SIZE_MAX >> 1;  // no purges: those are the OS's time
  }
  pages::MemMap map;
  pages::FreeArea area;
  pages::AddressSpace space;
  pages::Zone zone;
  pcp::PageLists lists{};
};

// One for all benchmarks: what it reserves is never given back.
PageLayer& layer() {
  static const auto one = std::make_unique<PageLayer>();
  return *one;
}

struct FromZone {
  static Pfn alloc(unsigned order) {
    pages::Run run;
    if (!layer().zone.alloc(std::size_t{1} << order, kType, run)) std::abort();
    return run.first;
  }
  static void free(unsigned order, Pfn p) { layer().zone.free(p, std::size_t{1} << order); }
};

struct FromLists {
  static Pfn alloc(unsigned order) {
    Pfn p;
    if (!layer().lists.alloc(layer().zone, order, kType, p)) std::abort();
    return p;
  }
  static void free(unsigned order, Pfn p) { layer().lists.free(layer().zone, order, kType, p); }
};

template <class From>
void repeat(benchmark::State& state) {
  const auto order = static_cast<unsigned>(state.range(0));
  for (auto _ : state) {
    const Pfn p = From::alloc(order);
    benchmark::DoNotOptimize(p);
    From::free(order, p);
  }
  state.SetItemsProcessed(state.iterations());
}

template <class From>
void bulk(benchmark::State& state) {
  const auto order = static_cast<unsigned>(state.range(0));
  std::vector<Pfn> blocks(kBulkPages >> order);
  for (auto _ : state) {
    for (Pfn& p : blocks) p = From::alloc(order);
    for (const Pfn p : blocks) From::free(order, p);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(blocks.size()));
}

BENCHMARK_TEMPLATE(repeat, FromZone)->DenseRange(0, kPageblockOrder + 1);
BENCHMARK_TEMPLATE(bulk, FromZone)->DenseRange(0, kPageblockOrder + 1);
BENCHMARK_TEMPLATE(repeat, FromLists)->DenseRange(0, pcp::PageLists::kOrders - 1);
BENCHMARK_TEMPLATE(bulk, FromLists)->DenseRange(0, pcp::PageLists::kOrders - 1);

}  // namespace
}  // namespace bm::bench

BENCHMARK_MAIN();
