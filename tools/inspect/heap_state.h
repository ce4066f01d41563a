// heap_state.h: the heap of another process, by copying what its bm_state_root names.  tool: inspect
// The evaluation is the library's own (zone_report.h, slab_report.h); here is only how copies are made.
#pragma once

#include <string>
#include <vector>

#include "heap/state_root.h"
#include "pages/page_report.h"
#include "slab/slab_report.h"
#include "tools/inspect/memory.h"
#include "tools/inspect/remote_copy.h"
#include "tools/inspect/zone_copy.h"

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
  // Calls f(section, block, Pageblock's head, explicit hugepages) for the opened pageblocks, each zone from one such copy.
  template <class F>
  void for_each_pageblock(F f) const {
    const Copy<pages::Nodes> nodes(memory_, root_.nodes);
    for (unsigned zone = 0; zone < zone_count(nodes.value()); ++zone) {
      const bool explicit_huge = nodes.value().type_of(zone) == pages::ZoneType::kHugetlb;
      ZoneCopy(memory_, &nodes.value().zone(zone), root_.map)
          .for_each_block(
              [&](const pages::Section& s, BlockIndex b, const pages::Pageblock& d) { f(s, b, d, explicit_huge); });
    }
  }
  // In /proc; empty: a core file.
  std::string folder() const { return memory_.folder(); }
  // Throws Failure when the process has ended.
  void check_alive() const { initialised(); }

 private:
  void check_root() const;
  bool initialised() const;
  unsigned zone_count(const pages::Nodes& nodes) const;  // throws Failure when it cannot be
  const Memory& memory_;
  heap::StateRoot root_{};
};

}  // namespace bm::inspect
