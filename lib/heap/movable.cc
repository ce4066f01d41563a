// movable.cc: see movable.h.  layer: heap
#include "heap/movable.h"

#include "base/text.h"
#include "heap/reclaim.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/fatal.h"

namespace bm::heap {
namespace {

bool alloc_pages(std::size_t pages, pages::Run& run) {
  using pages::Migratetype, pages::Placement, pages::Request;
  const pages::Where where = process.local(current_heap());
  Reclaim reclaim(pages << kPageShift);
  do {
    if (process.nodes.alloc(where, pages, Migratetype::kMovable, run, 0, Placement::kPacked, Request::kRelocatable))
      return true;
  } while (reclaim.next());
  return false;
}

}  // namespace

std::uint64_t movable_alloc(std::size_t bytes) {
  process.settle_fork();
  const std::size_t pages = pages_for(bytes);
  if (pages > UINT32_MAX || !process.ensure_ready()) return 0;
  const std::uint32_t index = process.handles.take();
  if (index == 0) return 0;
  pages::Run run;
  if (!alloc_pages(pages, run)) {
    process.handles.give_back(index);
    return 0;
  }
  process.map.set_slab_index(run.first, index);
  process.map.set_entry(run.first, pages::kMovableRun);
  const std::uint64_t handle = process.handles.open(index, run.first, pages);
  upkeep(SlowPath::kAlloc);
  return handle;
}

void movable_free(std::uint64_t handle) {
  process.settle_fork();
  const std::size_t pages = process.handles.pages(handle);
  const Pfn first = process.handles.close(handle);
  process.map.set_entry(first, 0);
  process.nodes.zone_of(first).free(first, pages);
  process.handles.give_back(static_cast<std::uint32_t>(handle));
  upkeep(SlowPath::kFree);
}

void* movable_pin(std::uint64_t handle) { return process.map.address(process.handles.pin(handle)); }
void movable_unpin(std::uint64_t handle) { process.handles.unpin(handle); }
std::size_t movable_size(std::uint64_t handle) { return process.handles.pages(handle) << kPageShift; }

// A record counts when its block stayed where it is meanwhile.
int validate_handles() {
  using State = HandleTable::State;
  const HandleTable& handles = process.handles;
  int broken = 0;
  for (std::uint32_t i = 1; i < handles.limit(); ++i) {
    const HandleTable::Word w = handles.word(i);
    bool ok = w.pins() == 0 || w.state() == State::kLive;  // [HT-1]
    if (w.state() != State::kFree)
      ok &= process.map.entry(w.page()) == pages::kMovableRun && process.map.slab_index(w.page()) == i;  // [HT-2]
    const HandleTable::Word now = handles.word(i);
    if (ok || now.generation() != w.generation() || now.state() != w.state() || now.page() != w.page()) continue;
    ++broken;
    char buffer[128];
    Text text(buffer, sizeof buffer);
    text << "buddymalloc: invariant HT-1 or HT-2 broken, handle " << i << "\n";
    os::write_all(2, buffer, text.size());
  }
  return broken;
}

}  // namespace bm::heap
