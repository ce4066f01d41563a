// runs.cc: see runs.h.  layer: heap
#include "heap/runs.h"

#include "heap/thread_heap_slow.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

// Above this a block gets a mapping of its own: the kernel then judges whether so much can be had at all.
constexpr std::size_t kOwnMapping = std::size_t{1} << 30;

}  // namespace

void* alloc_run(std::size_t bytes, std::size_t alignment, RunUse use, bool* zeroed) {
  if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX) return nullptr;
  if (zeroed != nullptr) *zeroed = true;  // of a mapping
  if (bytes > kOwnMapping) return process.direct.alloc(bytes, alignment);
  const std::size_t pages = bytes == 0 ? 1 : pages_for(bytes);
  const unsigned align_order = alignment <= kPageSize ? 0 : ceil_order(alignment >> kPageShift);
  pages::Run run;
  const auto placement = use == RunUse::kGrowing ? pages::Placement::kGrowing : pages::Placement::kSnug;
  const pages::Where where = process.local(current_heap());
  if (!process.nodes.alloc(where, pages, pages::Migratetype::kMovable, run, align_order, placement))
    return process.direct.alloc(bytes, alignment);
  process.map.set_run(run.first, pages);
  if (zeroed != nullptr) *zeroed = run.zeroed;
  return process.map.address(run.first);
}

void free_run(void* p, Pfn page, RunUse use) {
  if (process.map.entry(page) == pages::kMovableRun) os::fatal("free of a movable block, which has a handle", p);
  const std::size_t pages = process.map.run_pages(page);
  if (pages == 0) os::fatal("double free, or free of a pointer that no malloc returned", p);
  if ((reinterpret_cast<std::uintptr_t>(p) & (kPageSize - 1)) != 0) os::fatal("free of an invalid pointer", p);
  process.map.set_entry(page, 0);
  pages::Zone& zone = process.nodes.zone_of(page);
  use == RunUse::kGrowing ? zone.free_outgrown(page, pages) : zone.free(page, pages);
}

}  // namespace bm::heap
