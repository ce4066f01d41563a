// state_root.cc: where readers start, inside and outside.  layer: heap
#include "heap/state_root.h"

namespace heap = bm::heap;

constinit const heap::StateRoot bm_state_root = {
    .magic = "bm_state_root",
    .layout = heap::kStateLayout,
    .root_bytes = sizeof(heap::StateRoot),
    .library = BM_VERSION,
    .sizes = {},
    .nodes = &heap::process.nodes,
    .map = &heap::process.map,
    .slabs = &heap::process.slabs,
};
