// units.h: page numbers and pageblock numbers as types, so that they never meet by accident.  layer: base
// A Pfn counts 4 KiB pages from the start of the allocator's own page space (0 = first page of the first section),
// a BlockIndex counts pageblocks there. Byte sizes and page counts stay std::size_t and say so in their names.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

#include "base/config.h"

namespace bm {

struct BlockIndex {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(BlockIndex, BlockIndex) = default;
  friend constexpr BlockIndex operator+(BlockIndex b, std::size_t n) {
    return {static_cast<std::uint32_t>(b.value + n)};
  }
};

struct Pfn {
  std::uint32_t value = 0;
  friend constexpr auto operator<=>(Pfn, Pfn) = default;
  friend constexpr Pfn operator+(Pfn p, std::size_t pages) { return {static_cast<std::uint32_t>(p.value + pages)}; }
  constexpr BlockIndex block() const { return {value >> kPageblockOrder}; }
  constexpr std::size_t offset() const { return value & (kPagesPerBlock - 1); }  // pages into its pageblock
};

constexpr Pfn first_pfn(BlockIndex b) { return {b.value << kPageblockOrder}; }

constexpr std::size_t pages_for(std::size_t bytes) {
  return (bytes >> kPageShift) + ((bytes & (kPageSize - 1)) != 0 ? 1U : 0U);
}

}  // namespace bm
