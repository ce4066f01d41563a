// holes.cc: see holes.h.  layer: heap
#include "heap/holes.h"

#include <algorithm>

#include "heap/thread_heap_slow.h"
#include "os/vm.h"

namespace bm::heap {
namespace {

using slab::SizeClass;
using slab::Slab;

// Calls f(class, index of the descriptor, first page) for what look like slabs in a pageblock. Nothing is locked: which of them
// are slabs, f finds out.
template <class F>
void for_each_slab(BlockIndex b, F f) {
  const Pfn start = first_pfn(b);
  for (std::size_t at = 0, length; at < kPagesPerBlock; at += length) {
    const std::uint32_t e = process.map.entry(start + at);
    length = e == 0 || e > kPagesPerBlock ? 1 : e;
    if (e < pages::kFirstOwnerEntry) continue;
    const SizeClass& info = slab::kClass[(e & kOffsetMask) / sizeof(Bin)];
    length = info.pages;
    const std::uint32_t i = process.map.slab_index(start + at);
    if (!info.is_run() && i != 0 && i < process.slabs.limit()) f(info, i, start + at);
  }
}

std::size_t idle_pages(const Slab& s, const SizeClass& info) {
  std::size_t n = 0;
  for (unsigned k = 0; k < info.pages; ++k) n += slab::page_idle(s, info, k);
  return n;
}

std::size_t purge_idle_pages(const Slab& s) {
  const SizeClass& info = s.size_info();
  auto* const start = static_cast<char*>(process.map.address(s.first));
  std::size_t purged = 0;
  for (unsigned k = 0, n = 0; k < info.pages; k += n + 1) {
    for (n = 0; k + n < info.pages && slab::page_idle(s, info, k + n);) ++n;
    if (n == 0) continue;
    char* const at = start + (std::size_t{k} << kPageShift);
    const std::size_t bytes = std::size_t{n} << kPageShift;
    const std::size_t there = os::system_vm().resident(at, bytes);  // what has gone already is not counted again
    if (there != 0 && os::system_vm().purge(at, bytes)) purged += there >> kPageShift;
  }
  return purged;
}

// Under the lock of the heap that has the slab, nobody takes an object out of it.
std::size_t purge_in_slab(std::uint32_t slab_index, Pfn first) {
  const Slab& s = process.slabs[slab_index];
  const std::uint32_t holder = s.holder();
  if (holder == 0 || holder > process.heap_count()) return 0;
  ThreadHeap& h = process.heap(holder);
  std::size_t purged = 0;
  const auto purge = [&] {
    const HeapState state = h.state.load();
    const bool usable = state == HeapState::kActive || state == HeapState::kAbandoned;
    if (usable && s.holder() == holder && s.first == first) purged = purge_idle_pages(s);
  };
  if (&h == current_heap()) {
    const OwnerGuard hold(h);
    purge();
    return purged;
  }
  {
    const HelperGuard hold(h);
    purge();
  }
  h.help_abandoned();
  return purged;
}

std::size_t purge_block(pages::Zone& zone, BlockIndex b, std::size_t least) {
  std::size_t idle = zone.holes_of(b);
  for_each_slab(b, [&](const SizeClass& info, std::uint32_t i, Pfn) { idle += idle_pages(process.slabs[i], info); });
  if (idle < least) return 0;
  std::size_t purged = zone.purge_holes_of(b);
  for_each_slab(b, [&](const SizeClass&, std::uint32_t i, Pfn first) { purged += purge_in_slab(i, first); });
  return purged;
}

}  // namespace

bool purge_holes(HoleWalk& walk, std::uint32_t blocks, std::size_t least_pages) {
  for (; walk.section < process.map.section_count(); ++walk.section, walk.block = 0) {
    const pages::Section& s = process.map.section(walk.section);
    pages::Zone& zone = process.nodes.zone(s.zone);
    for (const std::uint32_t opened = __atomic_load_n(&s.opened, __ATOMIC_ACQUIRE); walk.block < opened; ++walk.block) {
      if (blocks-- == 0) return true;
      const BlockIndex b = s.first + walk.block;
      walk.purged += purge_block(zone, b, zone.on_small_pages(b) ? 1 : least_pages);
    }
  }
  return false;
}

std::size_t purge_holes(std::size_t least_pages) {
  HoleWalk walk;
  purge_holes(walk, UINT32_MAX, least_pages);
  return walk.purged;
}

bool IdleObjects::note(std::uint64_t now, std::size_t free, std::size_t opened) {
  free_.note(free);
  free_.advance(now, free);
  const std::size_t least = std::max(kLeast, opened / kShare);
  const std::size_t idle = free_.low();
  purged_ = std::min(purged_, idle);
  waiting_ = free >= purged_ + least;
  const bool more = idle >= purged_ + least;
  const bool again = purged_ >= least && now - purged_at_ >= kAgain;
  if (!more && !again) return false;
  purged_ = idle;
  purged_at_ = now;
  waiting_ = false;
  return true;
}

}  // namespace bm::heap
