// statistics.cc: counting and checking; nothing here is on any allocation path.  layer: heap
// Exact under each heap's lock for slabs; what other threads' bins hold at the moment is read without one.
#include <cstring>

#include "base/text.h"
#include "heap/heap.h"
#include "heap/hugepages.h"
#include "heap/limit.h"
#include "heap/movable.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using slab::kClass;
using slab::Slab;

struct SlabSums {
  std::size_t pages = 0;
  std::size_t used_bytes = 0;
};

pages::Zone::Counters sum_zones() {
  pages::Zone::Counters sum;
  process.nodes.for_each_zone([&](pages::Zone& zone) { sum += zone.counters(); });
  return sum;
}

SlabSums sum_slabs() {
  SlabSums sums;
  const std::uint32_t limit = process.slabs.limit();
  for (std::uint32_t i = 1; i < limit; ++i) {
    const Slab& s = process.slabs[i];
    if (s.holder() == 0) continue;
    std::size_t free_objects = 0;
    for (unsigned w = 0; w < slab::kMapWords; ++w)
      free_objects += std::size_t(
          popcount(__atomic_load_n(&s.free[w], __ATOMIC_RELAXED) | s.remote[w].load(std::memory_order_relaxed)));
    const slab::SizeClass& info = s.size_info();
    sums.pages += info.pages;
    if (free_objects < info.objects) sums.used_bytes += (info.objects - free_objects) * info.size;
  }
  return sums;
}

int check_slab(std::uint32_t i, const ThreadHeap& h) {
  const Slab& s = process.slabs[i];
  const slab::SizeClass& info = s.size_info();
  int broken = 0;
  const auto check = [&](bool ok, const char* invariant) {
    if (ok) return;
    ++broken;
    char buffer[128];
    Text text(buffer, sizeof buffer);
    text << "buddymalloc: invariant " << invariant << " broken, slab " << i << " of heap " << h.index << "\n";
    os::write_all(2, buffer, text.size());
  };
  std::size_t free_objects = 0;
  bool both = false;
  for (unsigned w = 0; w < slab::kMapWords; ++w) {
    free_objects += std::size_t(popcount(s.free[w]));
    both |= (s.free[w] & s.remote[w].load()) != 0;
  }
  bool beyond = false;
  for (unsigned k = info.objects; k < slab::kMaxObjects; ++k) beyond |= s.is_free(k);
  check(free_objects == s.free_count && !beyond, "SL-1");
  check(!both, "SL-2");
  check(s.bucket == s.wanted_bucket(), "HP-1");
  const auto entry = static_cast<std::uint32_t>(h.front.tag + bin_offset(s.size_class));
  for (std::uint32_t k = 0; k < info.pages; ++k) check(process.map.entry(s.first + k) == entry, "TH-2");
  return broken;
}

// By the thread whose heap it is.
int check_listed_pages(const ThreadHeap& own) {
  int broken = 0;
  own.api_pages.for_each([&](Pfn first, unsigned order) {
    const pages::Pageblock& d = process.map.block(first.block());
    const auto check = [&](bool ok, const char* invariant) {
      if (ok) return;
      ++broken;
      char buffer[128];
      Text text(buffer, sizeof buffer);
      text << "buddymalloc: invariant " << invariant << " broken, page " << first.value << " on a list of heap "
           << own.index << "\n";
      os::write_all(2, buffer, text.size());
    };
    check(process.map.entry(first) == 0 && !d.free.any(first.offset(), std::size_t{1} << order), "PA-1");
    check(d.zone == own.api_zone, "PA-3");
  });
  return broken;
}

// The heap's lock is held.
int check_slabs(ThreadHeap& owner) {
  const HeapState s = owner.state.load();
  if (s == HeapState::kFrozen || s == HeapState::kUnsettled) return 0;  // for nobody, or its owner, to look at
  if (s == HeapState::kOrphan || s == HeapState::kAdopted) owner.recount();
  int broken = 0;
  const std::uint32_t limit = process.slabs.limit();
  for (std::uint32_t i = 1; i < limit; ++i)
    if (process.slabs[i].holder() == owner.index) broken += check_slab(i, owner);
  return broken;
}

}  // namespace

void statistics(Statistics& out) {
  out = {};
  if (!process.ready()) return;
  process.settle_fork();
  const pages::Zone::Counters zone = sum_zones();
  const SlabSums slabs = sum_slabs();
  std::size_t list_pages = 0;
  std::size_t binned_bytes = 0;
  for (std::uint32_t i = 1; i <= process.heap_count(); ++i) {
    const ThreadHeap& h = process.heap(i);
    list_pages += h.pages.held_pages() + h.api_pages.held_pages();
    for (unsigned c = 0; c < slab::kBins; ++c) binned_bytes += h.cached_objects(c) * kClass[c].size;
  }
  const std::size_t taken_pages = zone.opened_pages - zone.free_pages;
  const std::size_t run_pages = taken_pages > slabs.pages + list_pages ? taken_pages - slabs.pages - list_pages : 0;
  const std::size_t handed = slabs.used_bytes + (run_pages << kPageShift);
  out.reserved_bytes = zone.reserved_pages << kPageShift;
  out.committed_bytes = zone.committed_pages << kPageShift;
  out.peak_committed_bytes = out.committed_bytes;  // page space is never uncommitted
  out.mapped_bytes = process.direct.total_bytes();
  out.mapped_count = process.direct.count();
  const std::size_t live = handed > binned_bytes ? handed - binned_bytes : 0;
  out.live_bytes = live + out.mapped_bytes;
  out.free_bytes = (zone.opened_pages << kPageShift) - live;
  out.backed_free_bytes = zone.backed_free_pages << kPageShift;
}

void print_statistics(int fd) {
  Statistics s;
  statistics(s);
  pages::Zone::Counters zone;
  if (process.ready()) zone = sum_zones();
  char buffer[1024];
  Text text(buffer, sizeof buffer);
  text << "buddymalloc statistics, bytes\n"
       << "  live            " << s.live_bytes << "\n"
       << "  free            " << s.free_bytes << "\n"
       << "  free, backed    " << s.backed_free_bytes << "\n"
       << "  committed       " << s.committed_bytes << "\n"
       << "  reserved        " << s.reserved_bytes << "\n"
       << "  direct mappings " << s.mapped_bytes << " in " << s.mapped_count << "\n"
       << "  purged so far   " << (std::uint64_t{zone.purged_pages} << kPageShift) << "\n"
       << "pageblocks claimed " << pages::Mixing::sum(zone.mixing.claimed) << ", stolen from "
       << pages::Mixing::sum(zone.mixing.stolen) << "\n";
  if (process.budget.limited())
    text << "limit " << limit.most() << ", held " << (process.budget.held() << kPageShift) << "\n";
  os::write_all(fd, buffer, text.size());
  print_hugepages(fd);
}

int validate() {
  if (!process.ready()) return 0;
  process.settle_fork();
  int broken = validate_handles();
  process.nodes.for_each_zone([&](pages::Zone& zone) { broken += zone.validate(2); });
  for (std::uint32_t h = 1; h <= process.heap_count(); ++h) {
    ThreadHeap& owner = process.heap(h);
    if (owner.state.load() == HeapState::kFrozen) continue;  // its lock may be held for good
    if (&owner == current_heap()) {
      OwnerGuard hold(owner);
      broken += check_slabs(owner) + check_listed_pages(owner);
    } else {
      HelperGuard hold(owner);
      broken += check_slabs(owner);
    }
    owner.help_abandoned();
  }
  return broken;
}

void announce() {
  configure_upkeep();  // the heap may have started before libc knew the environment
  // Looked at in this order: a heap that has not been touched yet stays so.
  if (os::environment("BUDDYMALLOC_LIMIT") != nullptr && process.ready()) limit.configure();
  const char* const wanted = os::environment("BUDDYMALLOC_VERBOSE");
  if (wanted == nullptr || wanted[0] == '\0' || wanted[0] == '0') return;
  process.ensure_ready();
  Statistics s;
  statistics(s);
  char buffer[256];
  Text text(buffer, sizeof buffer);
  text << "buddymalloc " BM_VERSION ": serving this process, " << (s.reserved_bytes >> 20)
       << " MiB of page space reserved\n";
  os::write_all(2, buffer, text.size());
}

}  // namespace bm::heap
