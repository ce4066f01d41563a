// reports.h: the kernel's reports about this process's own heap.  layer: heap
// Off every allocation path. Texts go to a file descriptor; write errors are ignored.
#pragma once

#include <cstddef>

#include "pages/node.h"
#include "pages/page_report.h"

namespace bm::heap {

// Nodes are 0 to report_nodes() - 1; none before the first use of the heap.
unsigned report_nodes();
// The zones of a node, the lowest first, each under one hold of its lock; returns how many.
std::size_t report_zones(unsigned node, pages::ZoneReport (&out)[pages::kZoneTypes]);

void print_buddyinfo(int fd);
void print_pagetypeinfo(int fd);
void print_zoneinfo(int fd);
void print_slabinfo(int fd);

}  // namespace bm::heap
