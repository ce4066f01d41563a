// slab_lists.cc: a heap's slabs: listed by occupancy while something in them is free, taken over, made, and given back.  layer: heap
#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

using slab::kClass;
using slab::SizeClass;
using slab::Slab;

// bytes; the 384 slabs of larger ones that come before paths are told apart may be 48 MiB, which whole pageblocks come back of as they
// drain: `memory pages 200 60` 180 MB instead of 206.
constexpr std::size_t kLargestMixed = 2048;

// Twins are expected to drain. Of the others, while nothing is told apart: many small objects share a slab, so that one survivor
// pins it; such slabs stay away from those of few. Afterwards they are what is rare, and with it lives what lives long.
pages::Migratetype migratetype_for(unsigned c) {
  constexpr unsigned kMany = 64;
  const bool drains =
      c >= slab::kTwins || (kClass[c].objects < kMany && !Lifetimes::tells_apart(process.slabs.limit()));
  return drains ? pages::Migratetype::kMovable : pages::Migratetype::kUnmovable;
}

// Written under the lock, looked at without one: is there anything to lock for?
void set_head(std::uint32_t& head, std::uint32_t slab_index) { __atomic_store_n(&head, slab_index, __ATOMIC_RELAXED); }

}  // namespace

bool ThreadHeap::twin_in_use(unsigned c) const {
  return c < slab::kTwins && !kClass[c].is_run() && bin_slabs[c + slab::kTwins].last_refill != 0;
}

// Before call paths were told apart, what drains lay in the class's own slabs. Once it is served from the twin's, these would be
// left half empty beside them: 1.3 times the memory of a heap of 12 MB (alloc-test-1). The few objects in them that live long stay there.
bool ThreadHeap::belongs_to_twin(const Slab& s) const { return s.is_mixed() && twin_in_use(s.size_class); }

// Of a slab that is made now. Once the twin is in use, what the class's own bin hands out must come back to that.
bool ThreadHeap::may_be_mixed(unsigned c) const {
  return c < slab::kTwins && kClass[c].size <= kLargestMixed && !Lifetimes::tells_apart(process.slabs.limit()) &&
         !twin_in_use(c);
}

// When the twin of that class is asked for the first time: what is partly free now. Those without a free object follow when they
// have one.
void ThreadHeap::hand_mixed_to_twin(unsigned c) {
  close_bin(c);
  for (const std::uint32_t head : bin_slabs[c].bucket)
    for (std::uint32_t i = head, next; i != 0; i = next) {
      next = process.slabs[i].next;
      if (!process.slabs[i].is_mixed()) continue;
      unlist(i);
      rebucket(i);
    }
}

void ThreadHeap::rebucket(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  if (s.bucket == slab::kUnlisted && belongs_to_twin(s)) {
    s.set_size_class(s.size_class + slab::kTwins);
    own_pages(s);
  }
  const std::uint8_t wanted = s.wanted_bucket();
  if (s.bucket == wanted) return;
  unlist(slab_index);
  s.bucket = wanted;
  if (wanted == slab::kUnlisted) return;
  std::uint32_t& head = bin_slabs[s.size_class].bucket[wanted];
  s.prev = 0;
  s.next = head;
  if (head != 0) process.slabs[head].prev = slab_index;
  set_head(head, slab_index);
}

void ThreadHeap::unlist(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  if (s.bucket == slab::kUnlisted) return;
  if (s.prev != 0)
    process.slabs[s.prev].next = s.next;
  else
    set_head(bin_slabs[s.size_class].bucket[s.bucket], s.next);
  if (s.next != 0) process.slabs[s.next].prev = s.prev;
  s.bucket = slab::kUnlisted;
}

std::uint32_t ThreadHeap::fullest(unsigned c) const {
  for (const std::uint32_t& head : bin_slabs[c].bucket)
    if (const std::uint32_t i = __atomic_load_n(&head, __ATOMIC_RELAXED); i != 0) return i;
  return 0;
}

// [TH-2] for all pages of the slab.
void ThreadHeap::own_pages(Slab& s) {
  const auto entry = static_cast<std::uint32_t>(front.tag + bin_offset(s.size_class));
  for (std::uint32_t k = 0; k < s.size_info().pages; ++k) process.map.set_entry(s.first + k, entry);
}

// Others may free into the slab meanwhile: what they note with the previous owner is passed on (drain_pending).
void ThreadHeap::take_over(ThreadHeap& from, std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  from.unlist(slab_index);
  own_pages(s);
  s.set_holder(index);
  rebucket(slab_index);
}

void ThreadHeap::adopt(ThreadHeap& from, std::uint32_t slab_index) {
  take_over(from, slab_index);
  merge_remote(process.slabs[slab_index]);
  rebucket(slab_index);
}

void ThreadHeap::take_over_all(ThreadHeap& from) {
  for (unsigned c = 0; c < slab::kBins; ++c)
    while (const std::uint32_t i = from.fullest(c)) take_over(from, i);
}

// What only other zones have is not listed.
bool ThreadHeap::take_pages(unsigned order, pages::Migratetype type, Pfn& out) {
  if (pages.alloc(follow_nearest(pages, pages_zone), order, type, out)) return true;
  pages::Run run;
  if (process.nodes.single() || !process.nodes.alloc(process.local(this), std::size_t{1} << order, type, run))
    return false;
  out = run.first;
  return true;
}

void ThreadHeap::give_back_pages(unsigned order, Pfn first) {
  pages::Zone& zone = process.nodes.zone_of(first);
  if (zone.number() == pages_zone)
    pages.free(zone, order, process.map.block(first.block()).migratetype, first);
  else
    zone.free(first, std::size_t{1} << order);
}

std::uint32_t ThreadHeap::new_slab(unsigned c) {
  const SizeClass& info = kClass[c];
  Pfn first;
  const std::uint32_t i = process.slabs.take(descriptors);
  if (i == 0) return 0;
  if (!take_pages(info.order, migratetype_for(c), first)) {
    process.slabs.give_back(descriptors, i);
    return 0;
  }
  Slab& s = process.slabs[i];
  s.first = first;
  s.set_size_class(c);
  s.set_mixed(may_be_mixed(c));
  s.bucket = slab::kUnlisted;
  s.fill();
  process.map.set_slab_index(first, i);
  own_pages(s);
  s.set_holder(index);
  rebucket(i);
  note_slab_free(std::int64_t{info.objects} * info.size);
  if (info.size > kLargeObject) note_turnover(-static_cast<std::int32_t>(info.slab_bytes()));
  return i;
}

void ThreadHeap::release_slab(std::uint32_t slab_index) {
  Slab& s = process.slabs[slab_index];
  const SizeClass& info = s.size_info();
  const Pfn first = s.first;
  unlist(slab_index);
  s.set_holder(0);
  for (std::uint32_t k = 0; k < info.pages; ++k) process.map.set_entry(first + k, 0);
  process.slabs.give_back(descriptors, slab_index);
  note_slab_free(-std::int64_t{info.objects} * info.size);
  give_back_pages(info.order, first);
}

}  // namespace bm::heap
