// text_sink.h: text of any length through a small buffer, in printf's column formats.  layer: base
// Neither libc nor allocation: reports are written from inside malloc. Where the text goes is the caller's function.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/text.h"

namespace bm {

class TextSink {
 public:
  using Write = void (*)(void* to, const char* text, std::size_t bytes);
  TextSink(Write write, void* to) : write_(write), to_(to) {}
  ~TextSink() { flush(); }
  TextSink(const TextSink&) = delete;
  TextSink& operator=(const TextSink&) = delete;

  TextSink& operator<<(const char* s) {
    while (*s != '\0') put(*s++);
    return *this;
  }
  TextSink& operator<<(std::uint64_t v) { return right(v, 0); }
  // %<width>lu
  TextSink& right(std::uint64_t v, std::size_t width) {
    char digits[21] = {};
    Text(digits, sizeof digits - 1) << v;
    return right(digits, width);
  }
  // %<width>s
  TextSink& right(const char* s, std::size_t width) {
    for (std::size_t n = length(s); n < width; ++n) put(' ');
    return *this << s;
  }
  // %-<width>s
  TextSink& left(const char* s, std::size_t width) {
    *this << s;
    for (std::size_t n = length(s); n < width; ++n) put(' ');
    return *this;
  }
  void flush() {
    if (used_ != 0) write_(to_, buffer_, used_);
    used_ = 0;
  }

 private:
  static std::size_t length(const char* s) {
    std::size_t n = 0;
    while (s[n] != '\0') ++n;
    return n;
  }
  void put(char c) {
    if (used_ == sizeof buffer_) flush();
    buffer_[used_++] = c;
  }
  Write write_;
  void* to_;
  std::size_t used_ = 0;
  char buffer_[1024] = {};
};

}  // namespace bm
