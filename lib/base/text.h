// text.h: formatting into a caller's buffer, without libc and without allocating.  layer: base
// Used where stdio must not be: fatal messages, statistics from inside malloc. Overlong text is cut, never overrun.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm {

class Text {
 public:
  Text(char* buffer, std::size_t capacity) : out_(buffer), left_(capacity) {}

  Text& operator<<(const char* s) {
    while (*s != '\0') put(*s++);
    return *this;
  }
  Text& operator<<(std::uint64_t v) {
    char digits[20];
    unsigned n = 0;
    do digits[n++] = static_cast<char>('0' + v % 10);
    while ((v /= 10) != 0);
    while (n != 0) put(digits[--n]);
    return *this;
  }
  Text& operator<<(std::uint32_t v) { return *this << std::uint64_t{v}; }
  Text& hex(std::uint64_t v) {
    *this << "0x";
    unsigned shift = 60;
    while (shift != 0 && (v >> shift) == 0) shift -= 4;
    for (;; shift -= 4) {
      put("0123456789abcdef"[(v >> shift) & 15]);
      if (shift == 0) return *this;
    }
  }
  std::size_t size() const { return used_; }

 private:
  void put(char c) {
    if (left_ == 0) return;
    out_[used_++] = c;
    --left_;
  }
  char* out_;
  std::size_t left_;
  std::size_t used_ = 0;
};

}  // namespace bm
