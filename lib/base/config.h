// config.h: the page geometry every layer shares.  layer: base
// Page and pageblock are fixed on every architecture (a buddy page is 4 KiB even where the OS page is 64 KiB); only
// the granule in which the OS takes memory back is read at run time (os::granule()).
// Tests build lib/pages a second time with a smaller pageblock, whose states can be enumerated (docs/testing.md).
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm {

inline constexpr unsigned kPageShift = 12;
inline constexpr std::size_t kPageSize = std::size_t{1} << kPageShift;  // bytes
#ifdef BM_PAGEBLOCK_ORDER
inline constexpr unsigned kPageblockOrder = BM_PAGEBLOCK_ORDER;
#else
inline constexpr unsigned kPageblockOrder = 9;  // 2^9 pages = one 2 MiB hugepage
#endif
inline constexpr std::size_t kPagesPerBlock = std::size_t{1} << kPageblockOrder;  // pages
inline constexpr unsigned kPageblockShift = kPageShift + kPageblockOrder;
inline constexpr std::size_t kPageblockSize = std::size_t{1} << kPageblockShift;  // bytes
inline constexpr unsigned kReportOrders = 11;                                     // orders 0..10, as the kernel prints
inline constexpr std::size_t kCacheLine = 64;                                     // bytes
inline constexpr std::size_t kMinAlignment = 16;                                  // of every object, as glibc on LP64

}  // namespace bm
