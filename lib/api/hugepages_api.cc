// hugepages_api.cc: the function of <buddymalloc/hugepages.h>: pages to bytes, and errno.  layer: api
#include <cerrno>

#include "buddymalloc/hugepages.h"
#include "heap/hugepages.h"
#include "os/errno_guard.h"

int bm_hugepage_report(bm_hugepages* report) {
  if (report == nullptr) {
    errno = EINVAL;
    return -1;
  }
  bm::pages::HugepageReport r;
  bool told = false;
  {
    const bm::os::ErrnoGuard keep;
    told = bm::heap::report_hugepages(r);
  }
  if (!told) {
    errno = ENOSYS;
    return -1;
  }
  const auto bytes = [](std::size_t pages) { return pages << bm::kPageShift; };
  *report = {.pageblocks = r.pageblocks,
             .pageblocks_in_use = r.in_use,
             .pageblocks_huge = r.huge,
             .pageblocks_split = r.split,
             .resident_bytes = bytes(r.resident_pages),
             .small_bytes = bytes(r.small_pages),
             .huge_bytes = bytes(r.huge_pages),
             .waste_bytes = bytes(r.waste_pages),
             .unasked_bytes = bytes(r.unasked_pages),
             .huge_known = r.huge_known ? 1 : 0};
  return 0;
}
