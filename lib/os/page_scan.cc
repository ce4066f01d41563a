// page_scan.cc: see page_scan.h.  layer: os
#include "os/page_scan.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "os/syscall.h"
#include "os/vm.h"

namespace bm::os {
namespace {

// From the kernel's include/uapi/linux/fs.h (Linux 6.7), which is newer than the headers of some systems we build on.
constexpr std::uint64_t kPageIsPresent = 1U << 3;
constexpr std::uint64_t kPageIsPfnZero = 1U << 5;  // the shared page of zeros: it costs nothing
constexpr std::uint64_t kPageIsHuge = 1U << 6;     // mapped as a hugepage, transparent or explicit

struct PageRegion {  // page_region
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t categories;
};

struct ScanArg {  // pm_scan_arg
  std::uint64_t size;
  std::uint64_t flags;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t walk_end;  // where it stopped: answered
  std::uint64_t regions;
  std::uint64_t regions_count;
  std::uint64_t max_pages;
  std::uint64_t category_inverted;
  std::uint64_t category_mask;
  std::uint64_t category_anyof_mask;
  std::uint64_t return_mask;
};
static_assert(sizeof(ScanArg) == 96);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, ScanArg);

constexpr std::uint64_t kEntryPresent = std::uint64_t{1} << 63;  // Documentation/admin-guide/mm/pagemap.rst

void mark(BlockMemory& out, std::size_t first, std::size_t pages) {
  for (std::size_t i = first; i < first + pages && i < kPagesPerBlock; ++i)
    out.resident[i / 64] |= std::uint64_t{1} << (i % 64);
}

}  // namespace

PageScan::PageScan(const char* pagemap) : file_(system_call(SYS_openat, AT_FDCWD, pagemap, O_RDONLY | O_CLOEXEC, 0)) {}

PageScan::~PageScan() {
  if (opened()) system_call(SYS_close, file_);
}

bool PageScan::look(std::uint64_t address, BlockMemory& out) {
  if (!opened()) return false;
  out = {};
  if (scans_ && scan(address, out)) return true;
  scans_ = false;
  out = {};
  return read_presence(address, out);
}

bool PageScan::scan(std::uint64_t address, BlockMemory& out) const {
  PageRegion found[32];
  ScanArg arg{};
  arg.size = sizeof arg;
  arg.end = address + kPageblockSize;
  arg.regions = reinterpret_cast<std::uintptr_t>(found);
  arg.regions_count = sizeof found / sizeof found[0];
  arg.category_inverted = kPageIsPfnZero;
  arg.category_mask = kPageIsPresent | kPageIsPfnZero;
  arg.return_mask = kPageIsHuge;
  out.huge = Huge::kNo;
  for (std::uint64_t at = address; at < arg.end; at = arg.walk_end) {
    arg.start = at;
    const long n = system_call(SYS_ioctl, file_, kPagemapScan, &arg);
    if (n < 0 || arg.walk_end <= at) return false;
    for (long i = 0; i < n; ++i) {
      mark(out, (found[i].start - address) >> kPageShift, (found[i].end - found[i].start) >> kPageShift);
      if ((found[i].categories & kPageIsHuge) != 0) out.huge = Huge::kYes;
    }
  }
  return true;
}

// One 64-bit entry for each page of the OS's size.
bool PageScan::read_presence(std::uint64_t address, BlockMemory& out) const {
  std::uint64_t entries[kPagesPerBlock] = {};
  const std::size_t os_page = granule();
  const std::size_t bytes = kPageblockSize / os_page * sizeof entries[0];
  if (system_call(SYS_pread64, file_, entries, bytes, address / os_page * sizeof entries[0]) !=
      static_cast<long>(bytes))
    return false;
  for (std::size_t i = 0; i < kPageblockSize / os_page; ++i)
    if ((entries[i] & kEntryPresent) != 0) mark(out, i * (os_page >> kPageShift), os_page >> kPageShift);
  return true;
}

}  // namespace bm::os
