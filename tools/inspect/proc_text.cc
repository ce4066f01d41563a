// proc_text.cc: see proc_text.h.  tool: inspect
#include "tools/inspect/proc_text.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string>

#include "tools/inspect/failure.h"

namespace bm::inspect {
namespace {

using pages::ZoneReport;
using Words = std::vector<std::string_view>;

constexpr std::string_view kPageBlockOrder = "Page block order: ";

// The words of a line, without the commas after them.
Words words_of(std::string_view line) {
  Words words;
  while (!line.empty()) {
    const std::size_t start = std::min(line.find_first_not_of(' '), line.size());
    const std::size_t end = std::min(line.find(' ', start), line.size());
    std::string_view word = line.substr(start, end - start);
    if (word.ends_with(',')) word.remove_suffix(1);
    if (!word.empty()) words.push_back(word);
    line.remove_prefix(end);
  }
  return words;
}

template <class F>
void for_each_line(std::string_view text, F f) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!f(words_of(line))) throw Failure("line not understood: " + std::string(line));
  }
}

bool number(std::string_view word, std::size_t& out) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), out);
  return error == std::errc{} && end == word.data() + word.size();
}

bool numbers(const Words& words, std::size_t from, std::size_t* out, std::size_t count) {
  if (words.size() != from + count) return false;
  for (std::size_t i = 0; i < count; ++i)
    if (!number(words[from + i], out[i])) return false;
  return true;
}

bool type_named(std::string_view name, unsigned& out) {
  const auto& names = pages::kMigratetypeNames;
  out = static_cast<unsigned>(std::find(names.begin(), names.end(), name) - names.begin());
  return out < pages::kMigratetypes;
}

// "Node", n, "zone", name: the zone of that name, added when it is new; null: the line does not begin so.
ZoneReport* zone_of(const Words& words, ProcText& text) {
  std::size_t node = 0;
  if (words.size() < 4 || words[0] != "Node" || !number(words[1], node) || words[2] != "zone") return nullptr;
  const std::string_view name = words[3];
  if (name.size() >= sizeof ZoneReport::name) return nullptr;
  for (ZoneReport& z : text.zones)
    if (z.node == node && z.name == name) return &z;
  ZoneReport& fresh = text.zones.emplace_back();
  fresh.node = static_cast<unsigned>(node);
  std::memset(fresh.name, 0, sizeof fresh.name);
  std::copy(name.begin(), name.end(), fresh.name);
  return &fresh;
}

bool type_order(const Words& words, std::size_t from, pages::TypeOrder& out) {
  if (words.size() != from + out.size()) return false;
  for (std::size_t i = 0; i < out.size(); ++i)
    if (!type_named(words[from + i], out[i])) return false;
  return true;
}

}  // namespace

ProcText parse_buddyinfo(std::string_view text) {
  ProcText out;
  for_each_line(text, [&out](const Words& words) {
    ZoneReport* const z = zone_of(words, out);
    return z != nullptr && numbers(words, 4, z->free_blocks[0], kReportOrders);
  });
  return out;
}

ProcText parse_pagetypeinfo(std::string_view text) {
  ProcText out;
  for_each_line(text, [&out](const Words& words) {
    std::size_t value = 0;
    unsigned type = 0;
    if (words.empty()) return true;
    if (words[0] == "Page") return words.size() == 4 && number(words[3], value) && value == kPageblockOrder;
    if (words[0] == "Pages") return words.size() == 4 && number(words[3], value) && value == kPagesPerBlock;
    if (words[0] == "Free") return words.size() == 8 + kReportOrders;
    if (words[0] == "Number") return type_order(words, 4, out.order);
    ZoneReport* const z = zone_of(words, out);
    if (z == nullptr) return false;
    if (words.size() > 6 && words[4] == "type")
      return type_named(words[5], type) && numbers(words, 6, z->free_blocks[type], kReportOrders);
    std::size_t blocks[pages::kMigratetypes];
    if (!numbers(words, 4, blocks, pages::kMigratetypes)) return false;
    for (std::size_t i = 0; i < pages::kMigratetypes; ++i) z->pageblocks[out.order[i]] = blocks[i];
    return true;
  });
  return out;
}

bool is_proc_text(std::string_view text) { return text.starts_with("Node ") || text.starts_with(kPageBlockOrder); }

ProcText parse_proc_text(std::string_view text) {
  return text.starts_with(kPageBlockOrder) ? parse_pagetypeinfo(text) : parse_buddyinfo(text);
}

}  // namespace bm::inspect
