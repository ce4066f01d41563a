// heap.cc: who serves a request that the fast path did not: a bin's refill, a page run, a mapping of its own.  layer: heap
#include "heap/heap.h"

#include <algorithm>
#include <cstring>

#include "heap/holes.h"
#include "heap/reclaim.h"
#include "heap/runs.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using slab::kClass;

// c: a class, or the twin of one. What the fast path leaves to the slow one although there may be objects in the bin.
void* take_ready(unsigned c) {
  Front* const f = t_state.front;
  if (f->tag == kNoTag) return nullptr;
  Bin& bin = f->bins[c];
  return *bin.top != nullptr ? *bin.top-- : nullptr;
}

// c: as above.
void* allocate_from_bin(unsigned c, CallPath path, bool* zeroed) {
  process.settle_fork();
  Reclaim reclaim(kClass[c].size);
  do {
    ThreadHeap* const h = heap_of_thread();
    void* p = h != nullptr ? h->allocate_miss(c, path, zeroed) : nullptr;
    // A page run needs no aligned block of a slab's size; a mapping of its own needs no page space.
    if (p == nullptr && reclaim.started() && kClass[c].is_run())
      p = alloc_run(kClass[c].size, kPageSize, RunUse::kPlain, zeroed);
    if (p != nullptr) {
      upkeep(SlowPath::kAlloc);
      return p;
    }
  } while (reclaim.next());
  return nullptr;
}

void* allocate_in_class(unsigned c, CallPath path, bool* zeroed) {
  if (c < slab::kSlabClasses) c += static_cast<unsigned>(lifetimes.way(path) / sizeof(Bin));
  void* const p = take_ready(c);
  return p != nullptr ? p : allocate_from_bin(c, path, zeroed);
}

void* allocate_beyond_classes(std::size_t bytes, std::size_t alignment, bool* zeroed) {
  process.settle_fork();
  if (!process.ensure_ready()) return nullptr;
  Reclaim reclaim(bytes);
  do {
    if (void* const p = alloc_run(bytes, alignment, RunUse::kPlain, zeroed); p != nullptr) {
      upkeep(SlowPath::kAlloc);
      return p;
    }
  } while (reclaim.next());
  return nullptr;
}

void free_remote(std::uint32_t entry, Pfn page, void* p) {
  const slab::SizeClass& info = kClass[(entry & kOffsetMask) / sizeof(Bin)];
  const std::uint32_t i = process.map.slab_index({page.value & ~(info.pages - 1)});
  slab::Slab& s = process.slabs[i];
  // Sections begin with pageblocks: a slab's address is as aligned as the number of its first page.
  const std::size_t offset = reinterpret_cast<std::uintptr_t>(p) & ((std::size_t{info.pages} << kPageShift) - 1);
  const unsigned object = info.index_of(offset);
  if (object >= info.objects || offset != std::size_t{object} * info.size) os::fatal("free of an invalid pointer", p);
  const std::uint32_t owner = entry / pages::kFirstOwnerEntry;
  if (process.is_samples(owner)) [[unlikely]]
    observation.freed(p);
  if (!s.put_remote(object)) os::fatal("double free", p);
  process.heap(owner).note_remote(i, object);
}

// Of a page that has an owner.
void deallocate_owned(std::uint32_t e, Pfn page, void* p) {
  ThreadHeap* const h = current_heap();
  const unsigned c = (e & kOffsetMask) / sizeof(Bin);
  const bool mine = h != nullptr && (e & ~kOffsetMask) == h->front.tag;
  if (kClass[c].is_run()) {
    // Whole pages have no neighbours to share a line with: the freeing thread keeps them for itself.
    if ((reinterpret_cast<std::uintptr_t>(p) & (kPageSize - 1)) != 0) os::fatal("free of an invalid pointer", p);
    if (h == nullptr) return free_run_object(p);
    if (!mine) process.map.set_entry(page, static_cast<std::uint32_t>(h->front.tag + bin_offset(c)));
  } else if (!mine) {
    return free_remote(e, page, p);
  }
  Bin& bin = h->front.bins[c];
  if (bin.top == bin.limit) return h->deallocate_overflow(c, p);
  bin.push(p);  // the fast path does not know pages beyond the first section
}

void deallocate_any(void* p) {
  const std::size_t index = process.map.fast_index(p);
  if (process.map.is_fast(index)) [[likely]] {
    const std::uint32_t e = process.map.entry_at(index);
    if (e >= pages::kFirstOwnerEntry) [[likely]]
      return deallocate_owned(e, {static_cast<std::uint32_t>(index)}, p);
  }
  Pfn page;
  if (!process.map.find(p, page)) {
    if (!process.direct.free(p)) os::fatal("free of a pointer that no malloc returned", p);
    return;
  }
  const std::uint32_t e = process.map.entry(page);
  if (e >= pages::kFirstOwnerEntry)
    deallocate_owned(e, page, p);
  else
    free_run(p, page);
}

}  // namespace

void* allocate_slow(std::size_t bytes, CallPath path) {
  if (bytes <= slab::kMaxClassSize) return allocate_in_class(slab::class_of(bytes), path, nullptr);
  return allocate_beyond_classes(bytes, kMinAlignment, nullptr);
}

void* allocate_zeroed(std::size_t bytes, CallPath path) {
  void* p = allocate_fast(bytes, path);
  bool zeroed = false;
  if (p == nullptr)
    p = bytes <= slab::kMaxClassSize ? allocate_in_class(slab::class_of(bytes), path, &zeroed)
                                     : allocate_beyond_classes(bytes, kMinAlignment, &zeroed);
  if (p != nullptr && !zeroed) std::memset(p, 0, bytes);
  return p;
}

void* allocate_aligned(std::size_t bytes, std::size_t alignment) {
  if (alignment <= kMinAlignment) {
    void* const p = allocate_fast(bytes);
    return p != nullptr ? p : allocate_slow(bytes);
  }
  if (bytes > PTRDIFF_MAX) return nullptr;
  const unsigned c = alignment <= kPageSize ? slab::class_of(bytes, alignment) : slab::kClasses;
  if (c == slab::kClasses) return allocate_beyond_classes(bytes, alignment, nullptr);
  void* const p = allocate_fast(kClass[c].size);
  return p != nullptr ? p : allocate_in_class(c, {}, nullptr);
}

void* allocate_hinted(std::size_t bytes, std::size_t alignment, Lifetime lifetime) {
  if (bytes > PTRDIFF_MAX) return nullptr;
  unsigned c = alignment <= kPageSize ? slab::class_of(bytes, alignment) : slab::kClasses;
  if (c == slab::kClasses) return allocate_beyond_classes(bytes, alignment, nullptr);
  if (c < slab::kSlabClasses && lifetime == Lifetime::kShort) c += slab::kTwins;
  void* const p = take_ready(c);
  return p != nullptr ? p : allocate_from_bin(c, {}, nullptr);
}

void deallocate_slow(void* p) {
  if (p == nullptr) return;
  process.settle_fork();
  deallocate_any(p);
  upkeep(SlowPath::kFree);
}

std::size_t usable_size(const void* p) {
  Pfn page;
  if (p == nullptr || !process.ready()) return 0;
  if (!process.map.find(p, page)) return process.direct.size(p);
  const std::uint32_t e = process.map.entry(page);
  if (e >= pages::kFirstOwnerEntry) return kClass[(e & kOffsetMask) / sizeof(Bin)].size;
  return process.map.run_pages(page) << kPageShift;
}

bool owns(const void* p) { return usable_size(p) != 0; }

bool trim(std::size_t keep_bytes) {
  if (!process.ready()) return false;
  process.settle_fork();
  process.ask_for_caches();
  drain_heaps();
  std::size_t keep_pages = keep_bytes >> kPageShift;
  std::size_t purged = 0;
  process.nodes.for_each_zone([&](pages::Zone& zone) {
    purged += zone.purge(keep_pages, true);
    keep_pages -= std::min(keep_pages, zone.counters().backed_free_pages);
  });
  if (keep_pages != 0) return purged != 0;
  purged += purge_holes(kWorthSplitting);
  process.nodes.for_each_zone([](pages::Zone& zone) {
    zone.shrink_reserve();
    zone.purge_entries();
  });
  process.purge_descriptors();
  return purged != 0;
}

}  // namespace bm::heap
