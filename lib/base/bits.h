// bits.h: the bit formulas used by more than one layer.  layer: base
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace bm {

constexpr std::size_t align_up(std::size_t n, std::size_t power_of_two) {
  return (n + power_of_two - 1) & ~(power_of_two - 1);
}
constexpr std::size_t align_down(std::size_t n, std::size_t power_of_two) { return n & ~(power_of_two - 1); }
constexpr bool is_power_of_two(std::size_t n) { return std::has_single_bit(n); }

// Smallest order o with 2^o >= n; 0 for n <= 1.
constexpr unsigned ceil_order(std::size_t n) { return n <= 1 ? 0U : static_cast<unsigned>(std::bit_width(n - 1)); }

// Without a call into libgcc, which std::popcount is where the processor's own instruction may not be assumed.
constexpr unsigned popcount(std::uint64_t w) {
  w -= (w >> 1) & 0x5555555555555555ULL;
  w = (w & 0x3333333333333333ULL) + ((w >> 2) & 0x3333333333333333ULL);
  w = (w + (w >> 4)) & 0x0F0F0F0F0F0F0F0FULL;
  return static_cast<unsigned>((w * 0x0101010101010101ULL) >> 56);
}

constexpr unsigned lowest_bit(std::uint64_t w) { return static_cast<unsigned>(std::countr_zero(w)); }
constexpr unsigned highest_bit(std::uint64_t w) { return 63U - static_cast<unsigned>(std::countl_zero(w)); }

// n ones from bit `first` on; first + n <= 64, n >= 1.
constexpr std::uint64_t bit_span(std::size_t first, std::size_t n) { return (~std::uint64_t{0} >> (64 - n)) << first; }

}  // namespace bm
