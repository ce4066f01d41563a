// reports.cc: see reports.h.  layer: heap
#include "heap/reports.h"

#include <algorithm>

#include "heap/state_root.h"
#include "os/fatal.h"
#include "slab/slab_report.h"

namespace bm::heap {
namespace {

void write_to_fd(void* fd, const char* text, std::size_t bytes) { os::write_all(*static_cast<int*>(fd), text, bytes); }

template <class Print>
void print_zones(int fd, Print print) {
  pages::ZoneReport zones[kReportZones];
  const std::size_t count = report_zones(zones);
  TextSink out(write_to_fd, &fd);
  print(out, zones, count);
}

}  // namespace

std::size_t report_zones(pages::ZoneReport (&out)[kReportZones]) {
  if (!process.ready()) return 0;
  process.settle_fork();
  std::size_t n = 0;
  for (const StateZone& z : bm_state_root.zones) {
    out[n].node = z.node;
    std::copy(std::begin(z.name), std::end(z.name), out[n].name);
    z.zone->report(out[n++]);
  }
  return n;
}

void print_buddyinfo(int fd) { print_zones(fd, pages::print_buddyinfo); }
void print_pagetypeinfo(int fd) {
  print_zones(fd,
              [](TextSink& out, const pages::ZoneReport* z, std::size_t n) { pages::print_pagetypeinfo(out, z, n); });
}
void print_zoneinfo(int fd) { print_zones(fd, pages::print_zoneinfo); }

void print_slabinfo(int fd) {
  slab::SlabReport report;
  if (process.ready()) {
    process.settle_fork();
    const std::uint32_t limit = process.slabs.limit();
    for (std::uint32_t i = 1; i < limit; ++i) report.add(process.slabs[i]);
  }
  TextSink out(write_to_fd, &fd);
  slab::print_slabinfo(out, report);
}

}  // namespace bm::heap
