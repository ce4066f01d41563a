// reports.h: the kernel's reports about this process's own heap.  layer: heap
// Off every allocation path. Texts go to a file descriptor; write errors are ignored.
#pragma once

#include <cstddef>

#include "pages/page_report.h"

namespace bm::heap {

inline constexpr std::size_t kReportZones = 1;

// All zones, each under one hold of its lock; returns how many. None before the first use of the heap.
std::size_t report_zones(pages::ZoneReport (&out)[kReportZones]);

void print_buddyinfo(int fd);
void print_pagetypeinfo(int fd);
void print_zoneinfo(int fd);
void print_slabinfo(int fd);

}  // namespace bm::heap
