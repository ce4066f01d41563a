// malloc_info.cc: mallinfo, mallopt, malloc_info, malloc_stats, malloc_trim.  layer: api
// The figures are read once, before any output: stdio may allocate while it prints.
#include "api/malloc_info.h"

#include <cerrno>
#include <climits>

#include "heap/heap.h"
#include "heap/hugepages.h"
#include "heap/reports.h"
#include "os/errno_guard.h"

namespace bm::api {
namespace {

heap::Statistics read_statistics() {
  const os::ErrnoGuard keep;
  heap::Statistics figures{};
  heap::statistics(figures);
  return figures;
}

// glibc counts a direct mapping in hblkhd only; the heap counts it among the live bytes too.
std::size_t live_in_pages(const heap::Statistics& figures) { return figures.live_bytes - figures.mapped_bytes; }

int saturated(std::size_t value) { return value > INT_MAX ? INT_MAX : static_cast<int>(value); }

// What the buddy system of a node has free, read before anything is printed of it.
struct Zones {
  explicit Zones(unsigned node) {
    const os::ErrnoGuard keep;
    count = heap::report_zones(node, report);
  }
  pages::ZoneReport report[pages::kZoneTypes];
  std::size_t count;
};

// An element beyond glibc's: free blocks by order of each zone.
bool write_buddy(std::FILE* stream, const Zones& zones) {
  bool good = true;
  for (std::size_t i = 0; i < zones.count; ++i) {
    const pages::ZoneReport& z = zones.report[i];
    good = good && std::fprintf(stream, "<buddy node=\"%u\" zone=\"%s\" free=\"%zu\" backed=\"%zu\">\n", z.node, z.name,
                                z.free_pages, z.backed_free_pages) >= 0;
    for (unsigned order = 0; order < kReportOrders; ++order)
      good =
          good && std::fprintf(stream, "<blocks order=\"%u\" count=\"%zu\"/>\n", order, z.blocks_of_order(order)) >= 0;
    good = good && std::fputs("</buddy>\n", stream) >= 0;
  }
  return good;
}

void write_zone_statistics(const Zones& zones) {
  for (std::size_t i = 0; i < zones.count; ++i) {
    const pages::ZoneReport& z = zones.report[i];
    std::fprintf(stderr,
                 "Buddy node %u, zone %s:\nfree pages       = %10zu\nbacked by memory = %10zu\nby order         =",
                 z.node, z.name, z.free_pages, z.backed_free_pages);
    for (unsigned order = 0; order < kReportOrders; ++order) std::fprintf(stderr, " %zu", z.blocks_of_order(order));
    std::fputs("\n", stderr);
  }
}

void write_hugepages(const pages::HugepageReport& report) {
  TextSink out([](void*, const char* text, std::size_t n) { std::fwrite(text, 1, n, stderr); }, nullptr);
  pages::print_hugepages(out, report);
}

// glibc allows fast bins up to this size and refuses more.
constexpr int kMaxMxfast = 80 * static_cast<int>(sizeof(std::size_t)) / 4;

}  // namespace

struct mallinfo2 read_mallinfo2() {
  const heap::Statistics figures = read_statistics();
  struct mallinfo2 info {};
  info.arena = figures.committed_bytes;
  info.hblks = figures.mapped_count;
  info.hblkhd = figures.mapped_bytes;
  info.uordblks = live_in_pages(figures);
  info.fordblks = figures.free_bytes;
  info.keepcost = figures.backed_free_bytes;
  return info;
}

struct mallinfo read_mallinfo() {
  const struct mallinfo2 wide = read_mallinfo2();
  struct mallinfo info {};
  info.arena = saturated(wide.arena);
  info.hblks = saturated(wide.hblks);
  info.hblkhd = saturated(wide.hblkhd);
  info.uordblks = saturated(wide.uordblks);
  info.fordblks = saturated(wide.fordblks);
  info.keepcost = saturated(wide.keepcost);
  return info;
}

int mallopt(int parameter, int value) {
  switch (parameter) {
    case M_MXFAST: return value >= 0 && value <= kMaxMxfast ? 1 : 0;
    case M_TRIM_THRESHOLD:
    case M_TOP_PAD:
    case M_MMAP_THRESHOLD:
    case M_MMAP_MAX:
    case M_CHECK_ACTION:
    case M_PERTURB:
    case M_ARENA_TEST:
    case M_ARENA_MAX: return 1;
    default: return 0;
  }
}

int malloc_info(int options, std::FILE* stream) {
  if (options != 0) return EINVAL;
  const heap::Statistics figures = read_statistics();
  // glibc prints these four lines for each heap and for the sum of all; there is one heap here.
  constexpr const char* kHeapFormat =
      "<malloc version=\"1\">\n"
      "<heap nr=\"0\">\n"
      "<sizes>\n"
      "</sizes>\n"
      "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
      "<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
      "<system type=\"current\" size=\"%zu\"/>\n"
      "<system type=\"max\" size=\"%zu\"/>\n"
      "<aspace type=\"total\" size=\"%zu\"/>\n"
      "<aspace type=\"mprotect\" size=\"%zu\"/>\n"
      "</heap>\n";
  constexpr const char* kSumFormat =
      "<total type=\"fast\" count=\"0\" size=\"0\"/>\n"
      "<total type=\"rest\" count=\"0\" size=\"%zu\"/>\n"
      "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
      "<system type=\"current\" size=\"%zu\"/>\n"
      "<system type=\"max\" size=\"%zu\"/>\n"
      "<aspace type=\"total\" size=\"%zu\"/>\n"
      "<aspace type=\"mprotect\" size=\"%zu\"/>\n";
  const int heap_written = std::fprintf(stream, kHeapFormat, figures.free_bytes, figures.committed_bytes,
                                        figures.peak_committed_bytes, figures.reserved_bytes, figures.committed_bytes);
  if (heap_written < 0) return errno;
  const int sum_written = std::fprintf(stream, kSumFormat, figures.free_bytes, figures.mapped_count,
                                       figures.mapped_bytes, figures.committed_bytes, figures.peak_committed_bytes,
                                       figures.reserved_bytes, figures.committed_bytes);
  if (sum_written < 0) return errno;
  for (unsigned node = 0; node < heap::report_nodes(); ++node)
    if (!write_buddy(stream, Zones(node))) return errno;
  return std::fputs("</malloc>\n", stream) < 0 ? errno : 0;
}

void malloc_stats() {
  const heap::Statistics figures = read_statistics();
  const os::ErrnoGuard keep;
  pages::HugepageReport hugepages;
  const bool told = heap::report_hugepages(hugepages);
  std::fprintf(stderr,
               "Arena 0:\n"
               "system bytes     = %10zu\n"
               "in use bytes     = %10zu\n"
               "Total (incl. mmap):\n"
               "system bytes     = %10zu\n"
               "in use bytes     = %10zu\n"
               "max mmap regions = %10zu\n"
               "max mmap bytes   = %10zu\n",
               figures.committed_bytes, live_in_pages(figures), figures.committed_bytes + figures.mapped_bytes,
               figures.live_bytes, figures.mapped_count, figures.mapped_bytes);
  for (unsigned node = 0; node < heap::report_nodes(); ++node) write_zone_statistics(Zones(node));
  if (told) write_hugepages(hugepages);
}

int malloc_trim(std::size_t keep_bytes) {
  const os::ErrnoGuard keep;
  return heap::trim(keep_bytes) ? 1 : 0;
}

}  // namespace bm::api
