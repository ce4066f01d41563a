// state_root.cc: the table of zones, for readers inside and outside.  layer: heap
#include "heap/state_root.h"

namespace heap = bm::heap;

constinit const heap::StateRoot bm_state_root = {
    .magic = "bm_state_root",
    .layout = heap::kStateLayout,
    .root_bytes = sizeof(heap::StateRoot),
    .library = BM_VERSION,
    .sizes = {},
    .zone_count = heap::kReportZones,
    .zones = {{.node = 0, .name = "Normal", .zone = &heap::process.zone, .map = &heap::process.map}},
    .slabs = &heap::process.slabs,
};
