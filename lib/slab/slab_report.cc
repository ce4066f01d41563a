// slab_report.cc: see slab_report.h.  layer: slab
#include "slab/slab_report.h"

#include "base/text.h"

namespace bm::slab {

void SlabReport::add(const Slab& s) {
  const unsigned c = s.size_class % kClasses;
  if (__atomic_load_n(&s.heap, __ATOMIC_RELAXED) == 0 || c >= kSlabClasses) return;
  std::size_t free_objects = 0;
  for (unsigned w = 0; w < kMapWords; ++w)
    free_objects += std::size_t(
        popcount(__atomic_load_n(&s.free[w], __ATOMIC_RELAXED) | s.remote[w].load(std::memory_order_relaxed)));
  ++row[c].slabs;
  if (free_objects < kClass[c].objects) row[c].active_objects += kClass[c].objects - free_objects;
}

void print_slabinfo(TextSink& out, const SlabReport& report) {
  out << "slabinfo - version: 2.1\n"
         "# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>"
         " : tunables <limit> <batchcount> <sharedfactor>"
         " : slabdata <active_slabs> <num_slabs> <sharedavail>\n";
  for (unsigned c = 0; c < kSlabClasses; ++c) {
    const SlabReport::Row& row = report.row[c];
    if (row.slabs == 0) continue;
    const SizeClass& info = kClass[c];
    char name[16] = {};
    Text(name, sizeof name - 1) << "bm-" << info.size;
    out.left(name, 17) << " ";
    out.right(row.active_objects, 6) << " ";
    out.right(row.slabs * info.objects, 6) << " ";
    out.right(info.size, 6) << " ";
    out.right(info.objects, 4) << " ";
    out.right(info.pages, 4) << " : tunables    0    0    0 : slabdata ";
    out.right(row.slabs, 6) << " ";
    out.right(row.slabs, 6) << "      0\n";
  }
}

}  // namespace bm::slab
