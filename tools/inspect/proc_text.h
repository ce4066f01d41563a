// proc_text.h: reads the kernel's buddyinfo and pagetypeinfo texts, of any machine.  tool: inspect
// Columns and rows go by their names: some kernels have CMA before HighAtomic. Throws Failure with the line that is not
// understood.
#pragma once

#include <string_view>
#include <vector>

#include "pages/page_report.h"

namespace bm::inspect {

struct ProcText {
  std::vector<pages::ZoneReport> zones;
  pages::TypeOrder order = pages::kTypeOrder;  // in which the text has the types
};

// The text has no types: all blocks are counted in the first row.
ProcText parse_buddyinfo(std::string_view text);
ProcText parse_pagetypeinfo(std::string_view text);
// Either of them, by its first line.
bool is_proc_text(std::string_view text);
ProcText parse_proc_text(std::string_view text);

}  // namespace bm::inspect
