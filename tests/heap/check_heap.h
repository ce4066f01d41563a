// check_heap.h: the invariants of a thread's heap that validate() leaves to tests, for heaps whose threads are at rest.
// Covers TH-1, HP-1, HP-2 and SL-3 as they stand in lib/heap/thread_heap*.h and lib/slab/slab.h.  layer: tests
#pragma once

#include <set>
#include <string>

#include "tests/heap/support.h"

namespace bm::test {

// Names of broken clauses, a blank before each; empty when all hold.
inline std::string broken_bins(heap::ThreadHeap& h) {
  std::string broken;
  const auto check = [&](bool ok, const char* clause, unsigned c) {
    if (!ok) broken += std::string(" ") + clause + " in class " + std::to_string(c);
  };
  for (unsigned c = 0; c < slab::kBins; ++c) {
    const heap::Bin& bin = h.front.bins[c];
    const heap::BinState& state = h.front.state[c];
    if (state.capacity == 0) {
      check(bin.top == bin.limit && *bin.top == nullptr, "TH-1 (no array)", c);
      continue;
    }
    check(is_power_of_two(state.capacity + std::size_t{1}), "HP-2 (2^k - 1)", c);
    const auto room = bin.limit - state.base;
    check(state.closed ? room <= state.capacity : room == state.capacity, "HP-2 (limit)", c);
    check(state.base <= bin.top && bin.top <= bin.limit, "TH-1 (order)", c);
    check(*state.base == nullptr, "TH-1 (null)", c);
    std::set<void*> seen;
    for (void** at = state.base + 1; at <= bin.top; ++at) {
      check(seen.insert(*at).second, "TH-1 (twice)", c);
      Pfn page;
      const auto of_bin = [&](unsigned bin_class) {
        return heap::process.map.entry(page) == h.front.tag + heap::bin_offset(bin_class);
      };
      const auto gone_to_twin = [&] {
        return c < slab::kSlabClasses && of_bin(c + slab::kTwins) && slab_of(*at).is_mixed();
      };
      if (!heap::process.map.find(*at, page) || !(of_bin(c) || gone_to_twin())) {
        check(false, "TH-1 (not of the class)", c);
        continue;
      }
      const slab::SizeClass& info = slab::kClass[c];
      if (info.is_run()) continue;
      const slab::Slab& s = heap::process.slabs[heap::process.map.slab_index({page.value & ~(info.pages - 1)})];
      const auto offset =
          static_cast<std::size_t>(static_cast<char*>(*at) - static_cast<char*>(heap::process.map.address(s.first)));
      check(offset % info.size == 0 && !s.is_free(info.index_of(offset)), "TH-1 (free)", c);
    }
  }
  return broken;
}

inline std::string broken_lists(heap::ThreadHeap& h) {
  std::string broken;
  const auto check = [&](bool ok, const char* clause, std::uint32_t i) {
    if (!ok) broken += std::string(" ") + clause + " at slab " + std::to_string(i);
  };
  std::set<std::uint32_t> listed;
  for (unsigned c = 0; c < slab::kBins; ++c)
    for (unsigned b = 0; b < slab::kBuckets; ++b) {
      std::uint32_t before = 0;
      for (std::uint32_t i = h.bin_slabs[c].bucket[b]; i != 0; i = heap::process.slabs[i].next) {
        const slab::Slab& s = heap::process.slabs[i];
        if (!listed.insert(i).second) return broken + " HP-1 (cycle)";
        check(s.prev == before, "HP-1 (prev)", i);
        check(s.heap == h.index && s.size_class == c && s.wanted_bucket() == b, "HP-1 (wrong list)", i);
        before = i;
      }
    }
  std::set<std::uint32_t> pending;
  for (std::uint32_t i = h.pending.load(); i != 0; i = heap::process.slabs[i].pending_next.load()) {
    if (!pending.insert(i).second) return broken + " SL-3 (cycle)";
    check(heap::process.slabs[i].queued.load() != 0, "SL-3 (listed, not queued)", i);
  }
  for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) {
    const slab::Slab& s = heap::process.slabs[i];
    if (s.heap != h.index) continue;
    check((s.free_count != 0) == (listed.count(i) != 0), "HP-1 (membership)", i);
    check(!s.has_remote() || pending.count(i) != 0, "SL-3 (forgotten)", i);
  }
  return broken;
}

// The background thread merges what others freed, under the lock.
inline std::string broken_heap(heap::ThreadHeap& h) {
  if (h.state.load() != heap::HeapState::kActive) return broken_bins(h) + broken_lists(h);
  os::LockGuard hold(h.lock);
  return broken_bins(h) + broken_lists(h);
}

// Slabs of a class that a heap holds.
inline std::size_t slabs_of(const heap::ThreadHeap& h, unsigned size_class) {
  std::size_t n = 0;
  for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i) {
    const slab::Slab& s = heap::process.slabs[i];
    n += s.holder() == h.index && &s.size_info() == &slab::kClass[size_class] ? 1 : 0;
  }
  return n;
}

}  // namespace bm::test
