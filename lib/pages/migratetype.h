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
  kHighAtomic,   // reserved and backed, for critical requests when the OS refuses memory
  kCma,          // a contiguous range for a later request, lent to what can be moved or dropped
  kIsolate,      // nothing is allocated from here: in no free set
};
inline constexpr unsigned kPcpTypes = 3;     // the types on per-thread lists; pageblocks change among these implicitly
inline constexpr unsigned kListedTypes = 5;  // the types with free sets
inline constexpr unsigned kMigratetypes = 6;

// As /proc/pagetypeinfo prints them.
inline constexpr std::array<const char*, kMigratetypes> kMigratetypeNames = {"Unmovable",  "Movable", "Reclaimable",
                                                                             "HighAtomic", "CMA",     "Isolate"};

constexpr unsigned index(Migratetype t) { return static_cast<unsigned>(t); }
constexpr bool is_pcp_type(Migratetype t) { return index(t) < kPcpTypes; }

// Where a request of a type may take pages from when its own pageblocks and the address space have none; as Linux.
inline constexpr std::array<std::array<Migratetype, 2>, kPcpTypes> kFallbacks = {{
    {Migratetype::kReclaimable, Migratetype::kMovable},
    {Migratetype::kReclaimable, Migratetype::kUnmovable},
    {Migratetype::kUnmovable, Migratetype::kMovable},
}};

}  // namespace bm::pages
