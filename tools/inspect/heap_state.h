// heap_state.h: the heap of another process, by copying what its bm_state_root names.  tool: inspect
// The evaluation is the library's own (zone_report.h, slab_report.h); here is only how copies are made.
#pragma once

#include <optional>
#include <vector>

#include "heap/state_root.h"
#include "pages/page_report.h"
#include "slab/slab_report.h"
#include "tools/inspect/memory.h"

namespace bm::inspect {

class HeapState {
 public:
  // Throws Failure: not on buddymalloc, another layout, not initialised yet.
  explicit HeapState(const Memory& memory);

  struct Zones {
    std::vector<pages::ZoneReport> reports;
    bool consistent = true;  // false: a core file, written while a zone was being changed
  };
  // Each zone from one consistent copy. Throws Failure when a running process changes it too fast for that.
  Zones zones() const;
  slab::SlabReport slabs() const;

 private:
  void check_root() const;
  bool initialised() const;
  const Memory& memory_;
  heap::StateRoot root_{};
};

}  // namespace bm::inspect
