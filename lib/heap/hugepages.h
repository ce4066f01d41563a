// hugepages.h: where this process's heap really is on hugepages.  layer: heap
#pragma once

#include "pages/hugepage_report.h"

namespace bm::heap {

// Each pageblock at a moment of its own, some microseconds for each. False: the OS does not tell (no /proc).
bool report_hugepages(pages::HugepageReport& out);
// One line, or none when the OS does not tell.
void print_hugepages(int fd);

}  // namespace bm::heap
