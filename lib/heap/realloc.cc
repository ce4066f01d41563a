// realloc.cc: growing and shrinking in place before moving.  layer: heap
#include <algorithm>
#include <cstring>

#include "heap/heap.h"
#include "heap/limit.h"
#include "heap/runs.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

using slab::kClass;

// A block that is a run of pages and cannot grow where it is has neighbours that do the same, perhaps, and is expected to grow on.
constexpr std::size_t kGrowingFrom = slab::kMaxSlabSize;

// Memory behind whole pageblocks moves with a run; only what is left of it is copied. With several nodes it would stay where it
// was, against the wish for the new place. False: nothing done.
bool move_memory(void* p, std::size_t bytes, void* fresh) {
  Pfn from, to;
  const std::size_t blocks = bytes >> kPageblockShift;
  if (blocks == 0 || !process.nodes.single() || !process.map.find(p, from) || !process.map.find(fresh, to) ||
      from.offset() != 0 || to.offset() != 0)
    return false;
  pages::Zone& zone = process.nodes.zone_of(from);
  if (&zone != &process.nodes.zone_of(to) || !zone.move(from.block(), to.block(), blocks)) return false;
  const std::size_t moved = blocks << kPageblockOrder;
  const std::size_t rest = pages_for(bytes) - moved;
  if (rest != 0) std::memcpy(process.map.address(to + moved), process.map.address(from + moved), rest << kPageShift);
  process.map.set_entry(from, 0);
  zone.free_moved(from.block(), blocks);
  if (rest != 0) zone.free_outgrown(from + moved, rest);
  return true;
}

// Its contents are in a longer one. False: not a plain run, nothing done.
bool free_outgrown(void* p) {
  Pfn page;
  if (!process.map.find(p, page) || process.map.run_pages(page) == 0) return false;
  free_run(p, page, RunUse::kGrowing);
  upkeep(SlowPath::kFree);
  return true;
}

void* move(void* p, std::size_t old_bytes, std::size_t bytes, CallPath path) {
  void* fresh = nullptr;
  const bool growing = bytes > old_bytes && old_bytes > kGrowingFrom;
  if (growing) {
    fresh = alloc_run(bytes, kMinAlignment, RunUse::kGrowing, nullptr);
    if (fresh != nullptr && move_memory(p, old_bytes, fresh)) return fresh;
  }
  if (fresh == nullptr) fresh = allocate_fast(bytes, path);
  if (fresh == nullptr) fresh = allocate_slow(bytes, path);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, p, std::min(old_bytes, bytes));
  if (!(growing && free_outgrown(p)) && !deallocate_fast(p)) deallocate_slow(p);
  return fresh;
}

// A plain run is resized by the page.
bool resize_run(Pfn first, std::size_t pages, std::size_t bytes) {
  const std::size_t wanted = pages_for(bytes);
  pages::Zone& zone = process.nodes.zone_of(first);
  if (wanted == pages) return true;
  if (wanted < pages) {
    process.map.set_run(first, wanted);
    zone.free(first + wanted, pages - wanted);
    return true;
  }
  if (!zone.extend(first, pages, wanted)) return false;
  process.map.set_run(first, wanted);
  return true;
}

// An object of a run class takes over the pages behind it and becomes one of the larger class, or a plain run.
bool grow_run_object(Pfn first, std::uint32_t entry, std::size_t pages, std::size_t bytes) {
  pages::Zone& zone = process.nodes.zone_of(first);
  if (bytes <= slab::kMaxClassSize) {
    const unsigned larger = slab::class_of(bytes);
    if (zone.extend(first, pages, kClass[larger].pages)) {
      process.map.set_entry(first, static_cast<std::uint32_t>((entry & ~kOffsetMask) + bin_offset(larger)));
      return true;
    }
  }
  if (!zone.extend(first, pages, pages_for(bytes))) return false;
  process.map.set_run(first, pages_for(bytes));
  return true;
}

void* resize_or_move(void* p, std::size_t bytes, CallPath path) {
  Pfn page;
  if (!process.map.find(p, page)) {
    const std::size_t old = process.direct.size(p);
    if (old == 0) os::fatal("realloc of a pointer that no malloc returned", p);
    if (bytes > slab::kMaxClassSize)
      if (void* const q = process.direct.resize(p, bytes); q != nullptr) return q;
    return move(p, old, bytes, path);
  }
  const std::uint32_t e = process.map.entry(page);
  if (e < pages::kFirstOwnerEntry) {
    if (e == pages::kMovableRun) os::fatal("realloc of a movable block, which has a handle", p);
    const std::size_t pages = process.map.run_pages(page);
    if (pages == 0) os::fatal("realloc of a pointer that no malloc returned", p);
    const std::size_t old = pages << kPageShift;
    const bool to_class = bytes < old / 2 && bytes <= slab::kMaxSlabSize;
    if (!to_class && resize_run(page, pages, bytes)) return p;
    return move(p, old, bytes, path);
  }
  const slab::SizeClass& info = kClass[(e & kOffsetMask) / sizeof(Bin)];
  if (bytes <= info.size && (bytes > info.size / 2 || info.size <= 64)) return p;
  if (info.is_run() && bytes > info.size && grow_run_object(page, e, info.pages, bytes)) return p;
  return move(p, info.size, bytes, path);
}

}  // namespace

void* reallocate(void* p, std::size_t bytes, CallPath path) {
  process.settle_fork();
  if (bytes > PTRDIFF_MAX) return nullptr;
  limit.expect(bytes);
  if (void* const q = resize_or_move(p, bytes, path); q != nullptr) return q;
  // What was given up in vain for a second block may do for growing this one.
  return process.budget.limited() ? resize_or_move(p, bytes, path) : nullptr;
}

}  // namespace bm::heap
