// number.h: decimal digits at the head of a text.  layer: base
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm {

// The number that `at` begins with, `at` moved behind its digits. False, with nothing moved, where there is no digit or the
// number does not fit.
constexpr bool read_number(const char*& at, std::size_t& value) {
  const char* p = at;
  std::size_t v = 0;
  for (; *p >= '0' && *p <= '9'; ++p) {
    const auto digit = static_cast<std::size_t>(*p - '0');
    if (v > (SIZE_MAX - digit) / 10) return false;
    v = v * 10 + digit;
  }
  if (p == at) return false;
  at = p;
  value = v;
  return true;
}

}  // namespace bm
