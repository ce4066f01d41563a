// hugepage_report.cc: see hugepage_report.h.  layer: pages
#include "pages/hugepage_report.h"

namespace bm::pages {
namespace {

void print_mib(TextSink& out, std::size_t pages) {
  constexpr std::size_t kMiBPages = (std::size_t{1} << 20) >> kPageShift;
  const std::size_t tenths = (pages * 10 + kMiBPages / 2) / kMiBPages;
  out << std::uint64_t{tenths / 10} << "." << std::uint64_t{tenths % 10} << " MiB";
}

void print_coverage(TextSink& out, const HugepageReport& r) {
  const int thousandths = r.coverage();
  if (!r.huge_known)
    out << "unknown";
  else if (thousandths < 0)
    out << "none";
  else
    out << std::uint64_t(thousandths / 10) << "." << std::uint64_t(thousandths % 10) << " %";
}

}  // namespace

Asked asked_for(const Section& section, BlockIndex b, bool explicit_huge) {
  if (explicit_huge) return Asked::kExplicit;
  return b.value - section.first.value < section.small ? Asked::kSmall : Asked::kHuge;
}

BlockPages count_pages(const PageBitmap& free, const PageBitmap& dirty, const os::BlockMemory& memory) {
  BlockPages n;
  for (std::size_t i = 0; i < PageBitmap::kWords; ++i) {
    const std::uint64_t waste = memory.resident[i] & free.word[i];
    n.resident += popcount(memory.resident[i]);
    n.waste += popcount(waste);
    n.unasked += popcount(waste & ~dirty.word[i]);
  }
  n.used = kPagesPerBlock - free.count();
  return n;
}

void HugepageReport::add(Asked asked, const BlockPages& pages, os::Huge backing) {
  ++pageblocks;
  in_use += pages.used != 0 ? 1 : 0;
  resident_pages += pages.resident;
  waste_pages += pages.waste;
  unasked_pages += pages.unasked;
  if (asked == Asked::kSmall) {
    small_pages += pages.resident;
    return;
  }
  if (pages.resident == 0) return;
  huge_known = huge_known && backing != os::Huge::kUnknown;
  if (backing == os::Huge::kYes) {
    ++huge;
    huge_pages += pages.resident;
  } else {
    ++split;
  }
}

int HugepageReport::coverage() const {
  const std::size_t beyond = resident_pages - small_pages;
  if (!huge_known || beyond == 0) return -1;
  return static_cast<int>(huge_pages * 1000 / beyond);
}

void print_hugepages(TextSink& out, const HugepageReport& r) {
  out << "coverage ";
  print_coverage(out, r);
  out << " of ";
  print_mib(out, r.resident_pages - r.small_pages);
  out << " resident, waste ";
  print_mib(out, r.waste_pages);
  out << " free but resident (";
  print_mib(out, r.unasked_pages);
  out << " of it never asked for), on small pages as asked ";
  print_mib(out, r.small_pages);
  out << "; pageblocks opened " << std::uint64_t{r.pageblocks} << ", in use " << std::uint64_t{r.in_use};
  if (r.huge_known) out << ", huge " << std::uint64_t{r.huge} << ", split " << std::uint64_t{r.split};
  out << "\n";
}

}  // namespace bm::pages
