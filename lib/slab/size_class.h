// size_class.h: the size classes, as a table built and checked at compile time for every size.  layer: slab
// [SC-1] every class size is a multiple of 16, sizes ascend strictly
// [SC-2] a request of n bytes wastes at most 15 bytes for n <= 128, else at most 12.5 % of what it takes (its share of the
//        slab's unusable tail included)
// [SC-3] a slab holds at most kMaxObjects objects and the reciprocal multiply gives the exact index for each of them
// Classes up to kMaxSlabSize are cut from slabs; above, an object is a page run of its own ("run class").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/bits.h"
#include "base/config.h"

namespace bm::slab {

inline constexpr unsigned kMaxObjects = 256;                        // objects in a slab
inline constexpr std::size_t kTableLimit = 1024;                    // bytes; classes up to here by the 16-byte table
inline constexpr std::size_t kMaxSlabSize = std::size_t{64} << 10;  // bytes; above: run classes
inline constexpr std::size_t kMaxClassSize = std::size_t{1} << 20;  // bytes; above: no class
inline constexpr unsigned kClasses = 112;
inline constexpr unsigned kReciprocalShift = 35;

struct SizeClass {
  std::uint32_t size = 0;        // bytes
  std::uint32_t reciprocal = 0;  // index = offset * reciprocal >> kReciprocalShift
  std::uint16_t objects = 0;     // per slab; 1 for run classes
  std::uint8_t order = 0;        // of the slab's pages; slab classes only
  std::uint32_t pages = 0;       // of the slab or run

  constexpr std::size_t slab_bytes() const { return std::size_t{pages} << kPageShift; }
  constexpr bool is_run() const { return size > kMaxSlabSize; }
  constexpr unsigned index_of(std::size_t offset) const {
    return static_cast<unsigned>((offset * reciprocal) >> kReciprocalShift);
  }
};

namespace detail {

constexpr std::size_t kSteps = 8;  // classes per doubling: 12.5 %

// Pages a slab should have at least: small enough to empty, large enough to amortise a refill. The descriptors of those of
// 8 KiB are a 64th of them: 400 MB of objects of 100 bytes took 5 MB more.
constexpr unsigned wished_order(std::size_t size) {
  if (size <= 2048) return 2;
  if (size <= 8192) return 3;
  return size <= 32768 ? 4 : 5;
}

// [SC-2] for the smallest request of a class, given the class below.
constexpr bool wastes_little(std::size_t size, std::size_t size_below, std::size_t slab_bytes) {
  const std::size_t request = size_below + 1;
  const std::size_t taken = slab_bytes / (slab_bytes / size);
  return request <= 128 ? size - request <= 15 : (taken - request) * 8 <= taken;
}

constexpr SizeClass cut_from_slab(std::size_t size, std::size_t size_below) {
  unsigned order = wished_order(size);
  while ((kPageSize << order) / size > kMaxObjects) --order;
  while (!wastes_little(size, size_below, kPageSize << order)) ++order;
  SizeClass c;
  c.size = static_cast<std::uint32_t>(size);
  c.order = static_cast<std::uint8_t>(order);
  c.pages = 1U << order;
  c.objects = static_cast<std::uint16_t>((kPageSize << order) / size);
  c.reciprocal = static_cast<std::uint32_t>(((std::uint64_t{1} << kReciprocalShift) + size - 1) / size);
  return c;
}

constexpr SizeClass run_class(std::size_t size) {
  SizeClass c;
  c.size = static_cast<std::uint32_t>(size);
  c.pages = static_cast<std::uint32_t>(size >> kPageShift);
  c.objects = 1;
  return c;
}

consteval std::array<SizeClass, kClasses> make_classes() {
  std::array<SizeClass, kClasses> table{};
  unsigned n = 0;
  std::size_t below = 0;
  const auto add = [&](std::size_t size) {
    table[n++] = size > kMaxSlabSize ? run_class(size) : cut_from_slab(size, below);
    below = size;
  };
  for (std::size_t s = 16; s <= 128; s += 16) add(s);
  for (std::size_t base = 128; base < 8192; base *= 2)
    for (std::size_t k = 1; k <= kSteps; ++k) add(base + k * base / kSteps);
  // 8 to 64 KiB: fractions of 128, 256 or 512 KiB, so that a slab of that or, where the fraction is even, of half or less has no tail
  for (std::size_t slab = std::size_t{128} << 10; slab <= std::size_t{512} << 10; slab *= 2)
    for (std::size_t parts = 2 * kSteps - 1; parts >= kSteps; --parts) add(align_down(slab / parts, 128));
  for (std::size_t base = kMaxSlabSize; base < kMaxClassSize; base *= 2)
    for (std::size_t k = 1; k <= kSteps; ++k) add(base + k * base / kSteps);
  return table;
}

}  // namespace detail

inline constexpr unsigned kSlabClasses = 8 + 6 * 8 + 3 * 8;
// Behind the classes come the twins of the slab classes: the same sizes once more, in slabs of their own.
inline constexpr unsigned kTwins = kClasses;  // of the first
inline constexpr unsigned kBins = kClasses + kSlabClasses;

namespace detail {

consteval std::array<SizeClass, kBins> with_twins() {
  const std::array<SizeClass, kClasses> classes = make_classes();
  std::array<SizeClass, kBins> table{};
  for (unsigned c = 0; c < kBins; ++c) table[c] = classes[c % kClasses];
  return table;
}

}  // namespace detail

inline constexpr std::array<SizeClass, kBins> kClass = detail::with_twins();

namespace detail {

// Class by (bytes + 127) / 128 for requests of 1 KiB to kMaxSlabSize.
consteval std::array<std::uint8_t, kMaxSlabSize / 128 + 1> make_medium_table() {
  std::array<std::uint8_t, kMaxSlabSize / 128 + 1> t{};
  unsigned c = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    while (kClass[c].size < i * 128) ++c;
    t[i] = static_cast<std::uint8_t>(c);
  }
  return t;
}

}  // namespace detail

inline constexpr auto kMediumTable = detail::make_medium_table();

// The class that serves `bytes` <= kMaxClassSize.
constexpr unsigned class_of(std::size_t bytes) {
  if (bytes <= 128) return bytes == 0 ? 0 : static_cast<unsigned>((bytes - 1) / 16);
  if (bytes <= kTableLimit) {
    const unsigned top = highest_bit(bytes - 1);  // 2^top < bytes <= 2^(top+1)
    return (top - 7) * 8 + 8 + static_cast<unsigned>(((bytes - 1) >> (top - 3)) & 7);
  }
  if (bytes <= kMaxSlabSize) return kMediumTable[(bytes + 127) / 128];
  const unsigned top = highest_bit(bytes - 1);
  return kSlabClasses + (top - 16) * 8 + static_cast<unsigned>(((bytes - 1) >> (top - 3)) & 7);
}

namespace detail {

consteval bool classes_are_sound() {
  for (unsigned c = 0; c < kClasses; ++c) {
    const SizeClass& k = kClass[c];
    if (k.size % kMinAlignment != 0 || (c != 0 && k.size <= kClass[c - 1].size)) return false;  // SC-1
    if (k.objects == 0 || k.objects > kMaxObjects) return false;                                // SC-3
    if (!k.is_run())
      for (std::size_t i = 0; i < k.objects; ++i)
        if (k.index_of(i * k.size) != i || k.index_of(i * k.size + k.size - 1) != i) return false;
    // SC-2, at the smallest request of the class, where waste is largest
    const std::size_t n = c == 0 ? 1 : kClass[c - 1].size + 1;
    if (class_of(n) != c || class_of(k.size) != c) return false;
    if (!wastes_little(k.size, n - 1, k.slab_bytes())) return false;
  }
  return kClass[kClasses - 1].size == kMaxClassSize && kClass[kSlabClasses - 1].size == kMaxSlabSize;
}
static_assert(classes_are_sound());

}  // namespace detail

// The class that serves `bytes` with objects at multiples of `alignment` (a power of two up to a page): its size is a
// multiple of the alignment, so that no interior pointer is ever handed out. kClasses: none.
constexpr unsigned class_of(std::size_t bytes, std::size_t alignment) {
  const std::size_t rounded = align_up(bytes == 0 ? 1 : bytes, alignment);
  if (rounded < bytes || rounded > kMaxClassSize) return kClasses;
  unsigned c = class_of(rounded);
  while (c < kClasses && kClass[c].size % alignment != 0) ++c;
  return c;
}

}  // namespace bm::slab
