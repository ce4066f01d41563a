// hugepages.cc: see hugepages.h.  layer: heap
#include "heap/hugepages.h"

#include "heap/process_heap.h"
#include "os/fatal.h"

namespace bm::heap {

bool report_hugepages(pages::HugepageReport& out) {
  out = {};
  if (!process.ready()) return true;
  process.settle_fork();
  os::PageScan scan("/proc/thread-self/pagemap");  // /proc/self is empty once the main thread has ended
  for (unsigned i = 0; i < process.map.section_count(); ++i) {
    const pages::Section& s = process.map.section(i);
    const bool explicit_huge = process.nodes.type_of(s.zone) == pages::ZoneType::kHugetlb;
    const std::uint32_t opened = __atomic_load_n(&s.opened, __ATOMIC_ACQUIRE);
    for (std::uint32_t k = 0; k < opened; ++k) {
      const BlockIndex b = s.first + k;
      pages::BlockView view;
      os::BlockMemory memory;
      if (!process.nodes.zone(s.zone).look(b, view)) continue;
      if (!scan.look(reinterpret_cast<std::uintptr_t>(process.map.address(first_pfn(b))), memory)) return false;
      out.add(pages::asked_for(s, b, explicit_huge), pages::count_pages(view.free, view.dirty, memory), memory.huge);
    }
  }
  return true;
}

void print_hugepages(int fd) {
  pages::HugepageReport report;
  if (!report_hugepages(report)) return;
  TextSink out([](void* to, const char* text, std::size_t n) { os::write_all(*static_cast<int*>(to), text, n); }, &fd);
  pages::print_hugepages(out, report);
}

}  // namespace bm::heap
