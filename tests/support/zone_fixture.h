// zone_fixture.h: a zone with all it stands on, over any Vm.  layer: tests
#pragma once

#include <catch2/catch.hpp>

#include "os/vm.h"
#include "pages/zone.h"
#include "support/random.h"

namespace bm::test {

using pages::Migratetype;
using pages::Placement;
using pages::Run;

inline constexpr Migratetype kUnmovable = Migratetype::kUnmovable;
inline constexpr Migratetype kMovable = Migratetype::kMovable;
inline constexpr Migratetype kReclaimable = Migratetype::kReclaimable;

// Sections of `blocks` pageblocks, all on small pages.
inline pages::AddressSpaceConfig space_of(std::size_t blocks, std::size_t capacity = 256) {
  pages::AddressSpaceConfig c;
  c.first_section_bytes = blocks << kPageblockShift;
  c.capacity_bytes = capacity << kPageblockShift;
  c.small_page_bytes = c.capacity_bytes << 1;
  return c;
}

struct ZoneFixture {
  explicit ZoneFixture(const os::Vm& vm, const pages::AddressSpaceConfig& config = space_of(32)) {
    ready = space.init(vm, config, map, area, 0, extra);
    zone.init(vm, map, space, area);
  }
  Run alloc(std::size_t pages, Migratetype type = kMovable, unsigned align_order = 0,
            Placement placement = Placement::kPacked) {
    Run run;
    REQUIRE(zone.alloc(pages, type, run, align_order, placement));
    REQUIRE(run.pages == pages);
    return run;
  }
  void free(const Run& run) { zone.free(run.first, run.pages); }
  char* at(Pfn p) const { return static_cast<char*>(map.address(p)); }
  pages::Pageblock& block(std::uint32_t b) const { return map.block({b}); }
  bool everything_free() {
    const auto c = zone.counters();
    return c.free_pages == c.opened_pages;
  }

  bool ready = false;
  char* extra = nullptr;
  pages::MemMap map;
  pages::FreeArea area;
  pages::AddressSpace space;
  pages::Zone zone;
};

inline constexpr std::size_t kBlock = kPagesPerBlock;

// Half are packed, nearly half snug, a few growing.
inline Placement any_placement(Random& random) {
  if (random.one_in(20)) return Placement::kGrowing;
  return random.one_in(2) ? Placement::kPacked : Placement::kSnug;
}

}  // namespace bm::test
