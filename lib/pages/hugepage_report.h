// hugepage_report.h: what was asked of the OS for each pageblock, what is really there, and what that comes to.  layer: pages
// Plain values, as page_report.h: of this process's zones or of copies of another's.
#pragma once

#include <cstddef>

#include "base/text_sink.h"
#include "os/page_scan.h"
#include "pages/mem_map.h"
#include "pages/page_bitmap.h"

namespace bm::pages {

enum class Asked : unsigned char {
  kSmall,     // 4 KiB pages: the first part of the heap
  kHuge,      // a transparent hugepage
  kExplicit,  // one of those that the administrator set aside
};
Asked asked_for(const Section& section, BlockIndex b, bool explicit_huge);

// The counts of one pageblock, in pages.
struct BlockPages {
  std::size_t resident = 0;
  std::size_t used = 0;   // handed out, resident or not
  std::size_t waste = 0;  // resident and free
  // Of the waste, what nobody has touched since the OS last took it: it came with a hugepage, at a fault or when khugepaged
  // filled the block again.
  std::size_t unasked = 0;
};
BlockPages count_pages(const PageBitmap& free, const PageBitmap& dirty, const os::BlockMemory& memory);

struct HugepageReport {
  std::size_t pageblocks = 0;  // opened
  std::size_t in_use = 0;      // of them with a page in use
  std::size_t huge = 0;        // hugepages asked for, and there
  std::size_t split = 0;       // hugepages asked for, and small pages there: split since, or the OS had none to give
  std::size_t resident_pages = 0;
  std::size_t small_pages = 0;    // of the resident ones: where small pages were asked for
  std::size_t huge_pages = 0;     // of the resident ones: on hugepages that were asked for
  std::size_t waste_pages = 0;    // of the resident ones: free
  std::size_t unasked_pages = 0;  // of the waste: BlockPages::unasked
  bool huge_known = true;         // false: the OS did not tell of some pageblock; huge, split, huge_pages say nothing

  void add(Asked asked, const BlockPages& pages, os::Huge huge);
  // In thousandths: the part of the resident pages, beyond those on small pages as asked, that is on hugepages; -1: unknown
  // or there are none.
  int coverage() const;
};

// One line.
void print_hugepages(TextSink& out, const HugepageReport& report);

}  // namespace bm::pages
