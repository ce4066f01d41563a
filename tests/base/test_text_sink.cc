// test_text_sink.cc: columns as printf's, and texts longer than the buffer.  layer: tests
#include <catch2/catch.hpp>

#include <string>

#include "base/text_sink.h"

namespace {

void append(void* to, const char* text, std::size_t bytes) { static_cast<std::string*>(to)->append(text, bytes); }

}  // namespace

TEST_CASE("columns are printf's", "[text_sink]") {
  std::string text;
  {
    bm::TextSink out(append, &text);
    out.right(42, 6).left("ab", 4).right("cd", 3) << "|" << UINT64_MAX;
    out.right(1234567, 3).left("long", 2);
  }
  CHECK(text == "    42ab   cd|184467440737095516151234567long");
}

TEST_CASE("a text of any length arrives whole and in order", "[text_sink]") {
  std::string text;
  std::string expected;
  {
    bm::TextSink out(append, &text);
    for (std::uint64_t k = 0; k < 5000; ++k) {
      out << k << "\n";
      expected += std::to_string(k) + "\n";
    }
    CHECK(text.size() < expected.size());
  }
  CHECK(text == expected);
}
