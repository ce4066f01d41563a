// smaps.cc: see smaps.h.  tool: inspect
#include "tools/inspect/smaps.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "tools/inspect/failure.h"

namespace bm::inspect {
namespace {

// Takes a number off the front; false: there is none.
bool take_number(std::string_view& text, std::uint64_t& out, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc{};
}

// "7f0000000000-7f0000200000 rw-p ..."
bool parse_head(std::string_view line, SmapsArea& out) {
  if (!take_number(line, out.start, 16) || !line.starts_with('-')) return false;
  line.remove_prefix(1);
  return take_number(line, out.end, 16) && line.starts_with(' ') && out.start < out.end;
}

// "  2048 kB"
bool parse_kib(std::string_view text, std::uint64_t& bytes) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  if (!take_number(text, bytes, 10) || text != " kB") return false;
  bytes <<= 10;
  return true;
}

}  // namespace

std::vector<SmapsArea> parse_smaps(std::string_view text) {
  std::vector<SmapsArea> areas;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view field = line.substr(0, line.find(':'));
    const bool is_head = line.find_first_of(" :") == line.find(' ');  // a field's name ends with its colon
    SmapsArea area{};
    std::uint64_t bytes = 0;
    bool understood = true;
    if (is_head) {
      understood = parse_head(line, area);
      areas.push_back(area);
    } else if (field == "AnonHugePages" || field == "Private_Hugetlb" || field == "Shared_Hugetlb") {
      understood = !areas.empty() && parse_kib(line.substr(field.size() + 1), bytes);
      if (understood) areas.back().huge_bytes += bytes;
    }
    if (!understood) throw Failure("smaps: line not understood: " + std::string(line));
  }
  return areas;
}

}  // namespace bm::inspect
