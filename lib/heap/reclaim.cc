// reclaim.cc: see reclaim.h.  layer: heap
#include "heap/reclaim.h"

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "heap/holes.h"
#include "heap/limit.h"
#include "heap/thread_heap_slow.h"
#include "os/fatal.h"
#include "os/process.h"
#include "os/vm.h"

namespace bm::heap {

// A slot. Whoever calls it counts himself in first and looks at `live` afterwards; who ends it, the other way round.
struct Shrinker {
  std::atomic<std::uint32_t> state;  // kFree, kTaken, kLive
  std::atomic<std::uint32_t> inside;
  ShrinkerCount count;
  ShrinkerScan scan;
  void* argument;
};

namespace {

constexpr std::uint32_t kFree = 0, kTaken = 1, kLive = 2;
constexpr unsigned kShrinkers = 64;
constexpr unsigned kOwnStages = 5;
constexpr unsigned kPriorities = 4;  // a shrinker is asked for an eighth, a quarter, a half and all of what it has
constexpr int kNapsForPurge = 5;     // what another thread is giving back cannot be given back again: it is waited for
constexpr unsigned kStages = kOwnStages + kPriorities;  // the limit is looked at before the first and after the last

constinit Shrinker shrinkers[kShrinkers] = {};

// Bytes it has freed.
std::size_t call(Shrinker& s, std::size_t bytes, unsigned shift) {
  const std::size_t has = s.count(s.argument);
  if (has == 0) return 0;
  const std::size_t freed = s.scan(s.argument, std::min(has, std::max(has >> shift, bytes)));
  return freed == kShrinkStop ? 0 : freed;
}

std::size_t run_shrinkers(std::size_t bytes, unsigned shift) {
  std::size_t freed = 0;
  for (unsigned i = 0; i < kShrinkers; ++i) {
    Shrinker& s = shrinkers[i];
    if (s.state.load(std::memory_order_relaxed) != kLive) continue;
    t_state.shrinker = static_cast<std::uint8_t>(i + 1);
    s.inside.fetch_add(1);
    if (s.state.load() == kLive) freed += call(s, bytes, shift);
    s.inside.fetch_sub(1);
    t_state.shrinker = 0;
  }
  return freed;
}

// The background thread's, for one. Returns how often there was something to wait for.
std::size_t wait_for_purges() {
  std::size_t naps = 0;
  process.nodes.for_each_zone([&naps](pages::Zone& z) {
    for (int i = 0; i < kNapsForPurge && z.hides_blocks(); ++i, ++naps) os::nap();
  });
  return naps;
}

}  // namespace

void give_up_caches() {
  ThreadHeap* const h = current_heap();
  if (h == nullptr) return;
  OwnerGuard hold(*h);
  h->flush_all();
}

void drain_other_heaps() {
  for (std::uint32_t i = 1; i <= process.heap_count(); ++i) {
    ThreadHeap& h = process.heap(i);
    const HeapState s = h.state.load();
    if (&h != current_heap() && (s == HeapState::kActive || s == HeapState::kAbandoned)) {
      const HelperGuard hold(h);
      if (h.state.load() == HeapState::kFrozen) continue;
      h.drain_pending();
      if (s == HeapState::kAbandoned) h.drain_stocks();
    }
    h.help_abandoned();
  }
}

void drain_heaps() {
  give_up_caches();
  drain_other_heaps();
}

bool Reclaim::give_up(unsigned stage) {
  if (stage == kStages) return limit.renew(bytes_);
  if (t_state.shrinker != 0) return false;  // who runs out of memory within a shrinker has nobody to turn to
  if (stage == 1) {
    give_up_caches();
    return true;
  }
  if (stage == 2) {
    drain_other_heaps();
    return true;
  }
  if (stage < kOwnStages) {
    if (stage == 4 && !process.budget.limited()) return false;  // what only a limit on memory makes worth its time
    std::size_t purged = stage == 4 ? wait_for_purges() : 0;
    process.nodes.for_each_zone([&purged](pages::Zone& z) { purged += z.purge(0, true); });
    if (stage == 4) purged += purge_holes(1);
    return purged != 0;
  }
  if (run_shrinkers(bytes_, kPriorities - 1 - (stage - kOwnStages)) == 0) return false;
  give_up_caches();  // where the shrinkers' frees are
  return true;
}

bool Reclaim::next() {
  if (!process.ready()) return false;
  if (stage_ == 0) {
    ++stage_;
    if (limit.renew(bytes_)) return true;
  }
  // What no machine can serve, or no limit allows, costs nobody his caches.
  if (bytes_ > std::min(os::physical_memory(), limit.most())) return false;
  while (stage_ <= kStages)
    if (give_up(stage_++)) return true;
  return false;
}

Shrinker* register_shrinker(ShrinkerCount count, ShrinkerScan scan, void* argument) {
  for (Shrinker& s : shrinkers) {
    std::uint32_t seen = kFree;
    if (!s.state.compare_exchange_strong(seen, kTaken)) continue;
    s.count = count;
    s.scan = scan;
    s.argument = argument;
    s.state.store(kLive);
    return &s;
  }
  return nullptr;
}

void unregister_shrinker(Shrinker* s) {
  if (t_state.shrinker != 0) os::fatal("a shrinker was unregistered from within a shrinker", s);
  const auto first = reinterpret_cast<std::uintptr_t>(shrinkers);
  const std::uintptr_t offset = reinterpret_cast<std::uintptr_t>(s) - first;
  if (offset >= sizeof shrinkers || offset % sizeof *s != 0) os::fatal("this is no shrinker", s);
  std::uint32_t seen = kLive;
  if (!s->state.compare_exchange_strong(seen, kTaken)) os::fatal("this shrinker is not registered", s);
  while (s->inside.load() != 0) os::yield();
  s->state.store(kFree);
}

void shrinkers_after_fork() {
  for (unsigned i = 0; i < kShrinkers; ++i) shrinkers[i].inside.store(t_state.shrinker == i + 1 ? 1 : 0);
}

}  // namespace bm::heap
