// migratetype.h: what a pageblock's pages are expected to do, and where to look when a type has none.  layer: pages
// The types group pages by expected lifetime so that whole pageblocks empty together; the fallback order is a table.
#pragma once

#include <array>
#include <cstdint>

namespace bm::pages {

enum class Migratetype : std::uint8_t {
  kUnmovable,    // expected to live long
  kMovable,      // expected to drain
  kReclaimable,  // the allocator itself can take it back
};
inline constexpr unsigned kMigratetypes = 3;

constexpr unsigned index(Migratetype t) { return static_cast<unsigned>(t); }

// Where a request of a type may take pages from when its own pageblocks and the address space have none; as Linux.
inline constexpr std::array<std::array<Migratetype, 2>, kMigratetypes> kFallbacks = {{
    {Migratetype::kReclaimable, Migratetype::kMovable},
    {Migratetype::kReclaimable, Migratetype::kUnmovable},
    {Migratetype::kUnmovable, Migratetype::kMovable},
}};

}  // namespace bm::pages
