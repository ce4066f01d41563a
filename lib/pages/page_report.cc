// page_report.cc: the kernel's formats.  layer: pages
#include "pages/page_report.h"

#include "base/text.h"

namespace bm::pages {
namespace {

void print_zone_head(TextSink& out, const ZoneReport& z) {
  out << "Node " << std::uint64_t{z.node} << ", zone ";
  out.right(z.name, 8) << " ";
}

// As "%d.%03d", which for a negative fraction prints the sign in the middle, as the kernel does.
void print_thousandths(TextSink& out, int value, std::size_t width) {
  const auto number = [&out](int v, std::size_t digits, std::size_t columns) {
    char text[16] = {};
    Text t(text, sizeof text - 1);
    const auto magnitude = static_cast<std::uint32_t>(v < 0 ? -v : v);
    if (v < 0) t << "-";
    const std::size_t used = t.size() + (magnitude < 10 ? 1U : magnitude < 100 ? 2U : 3U);
    for (std::size_t n = used; n < digits; ++n) t << "0";
    t << magnitude;
    out.right(text, columns);
  };
  number(value / 1000, 1, width);
  out << ".";
  number(value % 1000, 3, 0);
  out << " ";
}

struct Contiguity {
  std::size_t free_pages = 0;
  std::size_t blocks = 0;
  std::size_t suitable = 0;  // blocks of the order that the larger ones contain
};

Contiguity contiguity(const ZoneReport& zone, unsigned order) {
  Contiguity c;
  for (unsigned o = 0; o < kReportOrders; ++o) {
    const std::size_t blocks = zone.blocks_of_order(o);
    c.blocks += blocks;
    c.free_pages += blocks << o;
    if (o >= order) c.suitable += blocks << (o - order);
  }
  return c;
}

void print_free_counts(TextSink& out, const ZoneReport* zones, std::size_t count, const TypeOrder& order) {
  out.left("Free pages count per migrate type at order", 43) << " ";
  for (unsigned o = 0; o < kReportOrders; ++o) out.right(o, 6) << " ";
  out << "\n";
  for (const ZoneReport* z = zones; z != zones + count; ++z)
    for (const unsigned type : order) {
      (out << "Node ").right(z->node, 4) << ", zone ";
      (out.right(z->name, 8) << ", type ").right(kMigratetypeNames[type], 12) << " ";
      for (const std::size_t blocks : z->free_blocks[type]) out.right(blocks, 6) << " ";
      out << "\n";
    }
}

void print_block_counts(TextSink& out, const ZoneReport* zones, std::size_t count, const TypeOrder& order) {
  (out << "\n").left("Number of blocks type ", 23);
  for (const unsigned type : order) out.right(kMigratetypeNames[type], 12) << " ";
  out << "\n";
  for (const ZoneReport* z = zones; z != zones + count; ++z) {
    print_zone_head(out, *z);
    for (const unsigned type : order) out.right(z->pageblocks[type], 12) << " ";
    out << "\n";
  }
}

void print_field(TextSink& out, const char* name, std::size_t pages) {
  (out << "\n        ").left(name, 9) << std::uint64_t{pages};
}

void print_statistic(TextSink& out, const char* name, std::size_t pages) {
  (out << "\n      ").left(name, 12) << " " << std::uint64_t{pages};
}

// How many of the zones, from the first on, are of its node.
std::size_t zones_of_node(const ZoneReport* zones, std::size_t count) {
  std::size_t here = 1;
  while (here < count && zones[here].node == zones->node) ++here;
  return here;
}

}  // namespace

void set_protection(ZoneReport* zones, std::size_t count) {
  while (count != 0) {
    const std::size_t here = zones_of_node(zones, count);
    for (std::size_t i = 0; i < here; ++i) {
      std::size_t above = 0;
      zones[i].protections = here;
      for (std::size_t k = 0; k < here; ++k) {
        if (k > i) above += zones[k].managed_pages;
        zones[i].protection[k] = above / kLowmemReserveRatio;
      }
    }
    zones += here;
    count -= here;
  }
}

int fragmentation_index(const ZoneReport& zone, unsigned order) {
  const Contiguity c = contiguity(zone, order);
  if (c.blocks == 0) return 0;
  if (c.suitable != 0) return -1000;
  return 1000 - static_cast<int>((1000 + ((c.free_pages * 1000) >> order)) / c.blocks);
}

int unusable_index(const ZoneReport& zone, unsigned order) {
  const Contiguity c = contiguity(zone, order);
  if (c.free_pages == 0) return 1000;
  return static_cast<int>((c.free_pages - (c.suitable << order)) * 1000 / c.free_pages);
}

void print_buddyinfo(TextSink& out, const ZoneReport* zones, std::size_t count) {
  for (const ZoneReport* z = zones; z != zones + count; ++z) {
    print_zone_head(out, *z);
    for (unsigned o = 0; o < kReportOrders; ++o) out.right(z->blocks_of_order(o), 6) << " ";
    out << "\n";
  }
}

void print_pagetypeinfo(TextSink& out, const ZoneReport* zones, std::size_t count, const TypeOrder& order) {
  while (count != 0) {
    const std::size_t here = zones_of_node(zones, count);
    out << "Page block order: " << std::uint64_t{kPageblockOrder} << "\n"
        << "Pages per block:  " << std::uint64_t{kPagesPerBlock} << "\n\n";
    print_free_counts(out, zones, here, order);
    print_block_counts(out, zones, here, order);
    zones += here;
    count -= here;
  }
}

void print_zoneinfo(TextSink& out, const ZoneReport* zones, std::size_t count) {
  for (const ZoneReport* z = zones; z != zones + count; ++z) {
    (out << "Node " << std::uint64_t{z->node} << ", zone ").right(z->name, 8);
    out << "\n  pages free     " << std::uint64_t{z->free_pages};
    print_field(out, "boost", z->boost);
    print_field(out, "min", z->min);
    print_field(out, "low", z->low);
    print_field(out, "high", z->high);
    print_field(out, "spanned", z->spanned_pages);
    print_field(out, "present", z->present_pages);
    print_field(out, "managed", z->managed_pages);
    print_field(out, "cma", z->pageblocks[index(Migratetype::kCma)] << kPageblockOrder);
    out << "\n        protection: (" << std::uint64_t{z->protection[0]};
    for (std::size_t i = 1; i < z->protections; ++i) out << ", " << std::uint64_t{z->protection[i]};
    out << ")";
    print_statistic(out, "nr_free_pages", z->free_pages);
    print_statistic(out, "nr_backed_free", z->backed_free_pages);
    print_statistic(out, "nr_reserved_highatomic", z->reserved_highatomic);
    out << "\n  pagesets\n  node_unreclaimable:  0\n  start_pfn:           " << std::uint64_t{z->start_pfn} << "\n";
  }
}

void print_extfrag_index(TextSink& out, const ZoneReport* zones, std::size_t count) {
  for (const ZoneReport* z = zones; z != zones + count; ++z) {
    print_zone_head(out, *z);
    for (unsigned o = 0; o < kReportOrders; ++o) print_thousandths(out, fragmentation_index(*z, o), 2);
    out << "\n";
  }
}

void print_unusable_index(TextSink& out, const ZoneReport* zones, std::size_t count) {
  for (const ZoneReport* z = zones; z != zones + count; ++z) {
    print_zone_head(out, *z);
    for (unsigned o = 0; o < kReportOrders; ++o) print_thousandths(out, unusable_index(*z, o), 0);
    out << "\n";
  }
}

}  // namespace bm::pages
