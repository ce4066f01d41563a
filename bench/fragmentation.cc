// fragmentation.cc: LLFree's fragmentation benchmark: how much of the free memory is in whole hugepages, round by round.
// A fixed number of pages is filled with order-0 pages and a random half is freed; then 100 rounds, each of which frees a
// random tenth of what is live and allocates as many. Prints "POLICY ROUND SHARE" lines.  layer: bench
//
//   fragmentation POLICY MIB SEED      POLICY: api (bm_pages_*), zone (pages::Zone), and two models of the choice of a
//                                      pageblock: fullest (most pages in use first), lifo (the last page freed)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bench/random.h"
#include "buddymalloc/pages.h"
#include "heap/process_heap.h"

namespace bm::bench {
namespace {

constexpr int kRounds = 100;

// What it measures: a source of pages, named by 64-bit values, and the share of its free pages in whole pageblocks.
struct Source {
  virtual ~Source() = default;
  virtual std::uint64_t alloc() = 0;
  virtual void free(std::uint64_t page) = 0;
  virtual double whole_share() = 0;
};

double share_of(pages::Zone& zone) {
  std::size_t counts[pages::kMigratetypes][kReportOrders] = {};
  zone.count_free(counts);
  std::size_t free = 0, whole = 0;
  for (const auto& by_order : counts)
    for (unsigned order = 0; order < kReportOrders; ++order) {
      free += by_order[order] << order;
      if (order >= kPageblockOrder) whole += by_order[order] << order;
    }
  return free == 0 ? 1 : static_cast<double>(whole) / static_cast<double>(free);
}

struct Api : Source {
  std::uint64_t alloc() override {
    void* const p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
    if (p == nullptr) std::abort();
    return reinterpret_cast<std::uintptr_t>(p);
  }
  void free(std::uint64_t page) override { bm_pages_free(reinterpret_cast<void*>(page), 0); }
  double whole_share() override { return share_of(heap::process.zone); }
};

struct OfZone : Source {
  explicit OfZone(std::size_t bytes) {
    pages::AddressSpaceConfig config;
    config.first_section_bytes = config.capacity_bytes = bytes;
    char* extra = nullptr;
    if (!space.init(os::linux_vm, config, map, area, 0, extra)) std::abort();
    zone.init(os::linux_vm, map, space, area);
  }
  std::uint64_t alloc() override {
    pages::Run run;
    if (!zone.alloc(1, pages::Migratetype::kMovable, run)) std::abort();
    return run.first.value;
  }
  void free(std::uint64_t page) override { zone.free({static_cast<std::uint32_t>(page)}, 1); }
  double whole_share() override { return share_of(zone); }

  pages::MemMap map;
  pages::FreeArea area;
  pages::AddressSpace space;
  pages::Zone zone;
};

// A model: pageblocks by how many pages they have in use; the fullest with a free page serves, its lowest page.
struct Fullest : Source {
  explicit Fullest(std::size_t pages) : free_map(pages, true), used(pages / kPagesPerBlock, 0) {}
  std::uint64_t alloc() override {
    std::size_t best = used.size();
    for (std::size_t b = 0; b < used.size(); ++b)
      if (used[b] < kPagesPerBlock && (best == used.size() || used[b] > used[best])) best = b;
    ++used.at(best);
    std::size_t page = best * kPagesPerBlock;
    while (!free_map[page]) ++page;
    free_map[page] = false;
    return page;
  }
  void free(std::uint64_t page) override {
    free_map[page] = true;
    --used[page / kPagesPerBlock];
  }
  double whole_share() override {
    std::size_t free = 0, whole = 0;
    for (const std::size_t n : used) {
      free += kPagesPerBlock - n;
      whole += n == 0 ? kPagesPerBlock : 0;
    }
    return free == 0 ? 1 : static_cast<double>(whole) / static_cast<double>(free);
  }
  std::vector<bool> free_map;
  std::vector<std::size_t> used;
};

// The other end: a plain stack of free pages.
struct Lifo : Fullest {
  explicit Lifo(std::size_t pages) : Fullest(pages) {
    for (std::size_t p = pages; p-- != 0;) stack.push_back(p);
  }
  std::uint64_t alloc() override {
    const std::uint64_t page = stack.back();
    stack.pop_back();
    ++used[page / kPagesPerBlock];
    return page;
  }
  void free(std::uint64_t page) override {
    stack.push_back(page);
    --used[page / kPagesPerBlock];
  }
  std::vector<std::uint64_t> stack;
};

std::unique_ptr<Source> source(const std::string& policy, std::size_t pages) {
  if (policy == "api") return std::make_unique<Api>();
  if (policy == "zone") return std::make_unique<OfZone>(pages << kPageShift);
  if (policy == "fullest") return std::make_unique<Fullest>(pages);
  if (policy == "lifo") return std::make_unique<Lifo>(pages);
  return nullptr;
}

void run(Source& from, const char* policy, std::size_t pages, std::uint64_t seed) {
  bench_random random{seed};
  std::vector<std::uint64_t> live(pages);
  for (auto& p : live) p = from.alloc();
  const auto free_random = [&](std::size_t count) {
    for (; count != 0; --count) {
      std::swap(live[bench_between(&random, 0, live.size() - 1)], live.back());
      from.free(live.back());
      live.pop_back();
    }
  };
  free_random(pages / 2);
  for (int round = 0;; ++round) {
    std::printf("%s %d %.4f\n", policy, round, from.whole_share());
    if (round == kRounds) return;
    const std::size_t tenth = live.size() / 10;
    free_random(tenth);
    for (std::size_t k = 0; k < tenth; ++k) live.push_back(from.alloc());
  }
}

}  // namespace
}  // namespace bm::bench

int main(int argc, char** argv) {
  const std::size_t mib = argc == 4 ? std::strtoul(argv[2], nullptr, 10) : 0;
  const std::size_t pages = mib << (20 - bm::kPageShift);
  const auto from = mib != 0 ? bm::bench::source(argv[1], pages) : nullptr;
  if (from == nullptr) {
    std::fputs("usage: fragmentation api|zone|fullest|lifo MIB SEED\n", stderr);
    return 2;
  }
  bm::bench::run(*from, argv[1], pages, std::strtoull(argv[3], nullptr, 10));
}
