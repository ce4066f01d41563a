// page_report.h: what there is to tell of a zone, and the kernel's texts for it.  layer: pages
// Plain values: filled under the zone's lock, from a copy of another process's memory or from a text of the kernel's; the
// printing knows nothing of where they come from. The texts are those of Linux 6.1 byte for byte, the blank at the end of
// a row of numbers included. No capped counts: where the kernel gives up at 100000 blocks, these are exact.
#pragma once

#include <array>
#include <cstddef>

#include "base/config.h"
#include "base/text_sink.h"
#include "pages/migratetype.h"

namespace bm::pages {

// The order in which pagetypeinfo prints the types. Some kernels have CMA before HighAtomic.
using TypeOrder = std::array<unsigned, kMigratetypes>;
inline constexpr TypeOrder kTypeOrder = {0, 1, 2, 3, 4, 5};

struct ZoneReport {
  unsigned node = 0;
  char name[16] = "Normal";
  std::size_t free_blocks[kMigratetypes][kReportOrders] = {};
  std::size_t pageblocks[kMigratetypes] = {};
  std::size_t free_pages = 0;
  std::size_t backed_free_pages = 0;  // of these: probably resident
  std::size_t start_pfn = 0;
  std::size_t spanned_pages = 0;   // reserved
  std::size_t present_pages = 0;   // opened by the frontier
  std::size_t managed_pages = 0;   // of these usable
  std::size_t protection[4] = {};  // set_protection(); in pages, from requests that may use each zone of the node
  std::size_t protections = 1;     // how many there are
  std::size_t boost = 0, min = 0, low = 0, high = 0;
  std::size_t reserved_highatomic = 0;

  std::size_t blocks_of_order(unsigned order) const {
    std::size_t sum = 0;
    for (const auto& row : free_blocks) sum += row[order];
    return sum;
  }
};

// A zone keeps one page in so many of those in the node's higher zones from requests that those could serve; as Linux.
inline constexpr std::size_t kLowmemReserveRatio = 256;
// Fills in protection for `count` zones, those of a node adjacent and the lowest first.
void set_protection(ZoneReport* zones, std::size_t count);

// Each for `count` zones, those of a node adjacent.
void print_buddyinfo(TextSink& out, const ZoneReport* zones, std::size_t count);
void print_pagetypeinfo(TextSink& out, const ZoneReport* zones, std::size_t count, const TypeOrder& order = kTypeOrder);
void print_zoneinfo(TextSink& out, const ZoneReport* zones, std::size_t count);
void print_extfrag_index(TextSink& out, const ZoneReport* zones, std::size_t count);
void print_unusable_index(TextSink& out, const ZoneReport* zones, std::size_t count);

// In thousandths. Why a request of that order would fail: towards 0 for lack of memory, towards 1000 for fragmentation;
// -1000 when it would not fail.
int fragmentation_index(const ZoneReport& zone, unsigned order);
// In thousandths: the part of free memory that is in blocks too small for the order.
int unusable_index(const ZoneReport& zone, unsigned order);

}  // namespace bm::pages
