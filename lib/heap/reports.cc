// reports.cc: see reports.h.  layer: heap
#include "heap/reports.h"

#include "heap/state_root.h"
#include "os/fatal.h"
#include "slab/slab_report.h"

namespace bm::heap {
namespace {

void write_to_fd(void* fd, const char* text, std::size_t bytes) { os::write_all(*static_cast<int*>(fd), text, bytes); }

template <class Print>
void print_zones(int fd, Print print) {
  TextSink out(write_to_fd, &fd);
  for (unsigned node = 0; node < report_nodes(); ++node) {
    pages::ZoneReport zones[pages::kZoneTypes];
    const std::size_t count = report_zones(node, zones);
    print(out, zones, count);
  }
}

}  // namespace

// By way of the root, which a static program has only if something names it.
unsigned report_nodes() { return process.ready() ? bm_state_root.nodes->count() : 0; }

std::size_t report_zones(unsigned node, pages::ZoneReport (&out)[pages::kZoneTypes]) {
  process.settle_fork();
  std::size_t n = 0;
  for (unsigned type = 0; type < pages::kZoneTypes; ++type) {
    pages::Zone* const zone = process.nodes.node(node).zone(static_cast<pages::ZoneType>(type));
    if (zone == nullptr) continue;
    process.nodes.place(zone->number(), out[n]);
    zone->report(out[n++]);
  }
  pages::set_protection(out, n);
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
