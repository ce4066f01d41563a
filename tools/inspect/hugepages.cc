// hugepages.cc: see hugepages.h.  tool: inspect
#include "tools/inspect/hugepages.h"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tools/inspect/failure.h"
#include "tools/inspect/smaps.h"

namespace bm::inspect {
namespace {

using pages::Asked;

struct Range {
  std::uint64_t start;
  std::uint64_t end;
};

const char* backing_of(const BlockLine& b) {
  if (b.pages.resident == 0) return "none";
  return b.huge == os::Huge::kYes ? "huge" : b.huge == os::Huge::kNo ? "4K" : "?";
}

void print_head(TextSink& out) {
  out.left("# pageblock address", 26).right("type", 12).right("asked", 9).right("resident", 10);
  out.right("used", 6).right("waste", 7).right("unasked", 9).right("backing", 9) << "\n";
}

void print_block(TextSink& out, const BlockLine& b) {
  constexpr const char* kAsked[] = {"4K", "huge", "hugetlb"};
  char address[24] = {};
  Text(address, sizeof address - 1).hex(b.address);
  out.right(b.index.value, 11) << " ";
  out.left(address, 14).right(pages::kMigratetypeNames[pages::index(b.type)], 12);
  out.right(kAsked[static_cast<unsigned>(b.asked)], 9).right(b.pages.resident, 10).right(b.pages.used, 6);
  out.right(b.pages.waste, 7).right(b.pages.unasked, 9).right(backing_of(b), 9) << "\n";
}

// Of all areas that overlap with one of the ranges; areas end where other pages are asked for.
void count_by_smaps(const std::string& folder, const std::vector<Range>& ranges, pages::HugepageReport& report) {
  std::ifstream file(folder + "/smaps");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (text.empty()) return;  // not even that
  std::uint64_t bytes = 0;
  for (const SmapsArea& area : parse_smaps(text))
    if (std::any_of(ranges.begin(), ranges.end(),
                    [&](const Range& r) { return r.start < area.end && area.start < r.end; }))
      bytes += area.huge_bytes;
  report.huge_pages = std::min<std::size_t>(bytes >> kPageShift, report.resident_pages - report.small_pages);
  report.huge = report.huge_pages / kPagesPerBlock;
  report.split -= std::min(report.split, report.huge);
  report.huge_known = true;
}

}  // namespace

pages::HugepageReport look_at_hugepages(const HeapState& state, const std::string& folder,
                                        const std::function<void(const BlockLine&)>& each) {
  pages::HugepageReport report;
  std::vector<Range> wished;
  os::PageScan scan((folder + "/pagemap").c_str());
  state.for_each_pageblock([&](const pages::Section& s, BlockIndex b, const pages::Pageblock& d, bool explicit_huge) {
    const std::uint64_t address = s.base + (std::uint64_t{b.value - s.first.value} << kPageblockShift);
    os::BlockMemory memory;
    if (!scan.look(address, memory)) {
      state.check_alive();
      throw Failure(folder + "/pagemap cannot be read: it tells what memory the process has");
    }
    const BlockLine line{b,
                         address,
                         d.reported_type(),
                         pages::asked_for(s, b, explicit_huge),
                         pages::count_pages(d.free, d.dirty, memory),
                         memory.huge};
    report.add(line.asked, line.pages, line.huge);
    if (line.asked != Asked::kSmall) wished.push_back({address, address + kPageblockSize});
    each(line);
  });
  if (!report.huge_known) count_by_smaps(folder, wished, report);
  state.check_alive();  // the page tables of a process that has ended are empty
  return report;
}

void print_hugepages(TextSink& out, const HeapState& state, bool each_block) {
  const std::string folder = state.folder();
  if (folder.empty()) throw Failure("a core file does not tell what the system had behind its pages");
  std::vector<BlockLine> lines;
  const pages::HugepageReport report =
      look_at_hugepages(state, folder, [&](const BlockLine& b) { lines.push_back(b); });
  if (each_block) {
    print_head(out);
    for (const BlockLine& b : lines) print_block(out, b);
  }
  pages::print_hugepages(out, report);
}

}  // namespace bm::inspect
