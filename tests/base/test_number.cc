// test_number.cc: digits at the head of a text.  layer: tests
#include <catch2/catch.hpp>

#include <string>
#include <tuple>

#include "base/number.h"

namespace bm {
namespace {

// What was read, and what is left behind it; -1: nothing, and nothing moved.
struct Reading {
  long long value;
  const char* rest;
};
Reading read(const char* text) {
  const char* at = text;
  std::size_t value = 77;
  if (read_number(at, value)) return {static_cast<long long>(value), at};
  CHECK(value == 77);
  return {-1, at};
}

TEST_CASE("a number ends with its digits", "[number]") {
  for (const auto& [text, value, rest] :
       {std::tuple{"0", 0LL, ""}, {"7 8", 7LL, " 8"}, {"0019kB", 19LL, "kB"}, {"4294967296", 4294967296LL, ""}}) {
    const Reading r = read(text);
    CHECK(r.value == value);
    CHECK(std::string(r.rest) == rest);
  }
}

TEST_CASE("no digit, a sign or a blank first is no number; nothing is moved", "[number]") {
  for (const char* const text : {"", " 1", "-1", "+1", "x1", "/", ":"}) {
    const Reading r = read(text);
    CHECK(r.value == -1);
    CHECK(r.rest == text);
  }
}

TEST_CASE("the largest number fits, the next does not", "[number]") {
  const char* at = "18446744073709551615";
  std::size_t value = 0;
  CHECK(read_number(at, value));
  CHECK(value == SIZE_MAX);
  CHECK(read("18446744073709551616").value == -1);
  CHECK(read("99999999999999999999999").value == -1);
}

}  // namespace
}  // namespace bm
