// smaps.h: reads the kernel's /proc/PID/smaps.  tool: inspect
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace bm::inspect {

struct SmapsArea {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t huge_bytes;  // mapped as hugepages, transparent and explicit
};

// Throws Failure with the line that is not understood. Fields that are not needed may be any.
std::vector<SmapsArea> parse_smaps(std::string_view text);

}  // namespace bm::inspect
