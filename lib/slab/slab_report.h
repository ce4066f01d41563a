// slab_report.h: how full the slabs of each size class are, and the kernel's text for it.  layer: slab
// From our own descriptors or from copies of another process's. Each descriptor is read whole words at a time, without a
// lock: a class's figures can be off by what changes meanwhile. An object in a thread's bin counts as active, as does one
// on a per-cpu slab in the kernel.
#pragma once

#include <cstddef>

#include "base/text_sink.h"
#include "slab/slab.h"

namespace bm::slab {

struct SlabReport {
  struct Row {
    std::size_t active_objects = 0;
    std::size_t slabs = 0;
  };
  Row row[kSlabClasses] = {};

  void add(const Slab& s);  // one that is not in use adds nothing
};

// "slabinfo - version: 2.1": a line for each class in use. Runs of more than kMaxSlabSize have no slabs.
void print_slabinfo(TextSink& out, const SlabReport& report);

}  // namespace bm::slab
