// test_text.cc: formatting without libc.  layer: tests
#include <catch2/catch.hpp>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "base/text.h"
#include "support/random.h"

namespace bm {
namespace {

template <class F>
std::string text(F f) {
  char buffer[64];
  Text out(buffer, sizeof buffer);
  f(out);
  return std::string(buffer, out.size());
}

TEST_CASE("numbers come out as printf writes them", "[text]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  test::Random random;
  for (int round = 0; round < 1000; ++round) {
    std::uint64_t v = random.bits() >> random.below(64);
    if (round == 0) v = 0;
    if (round == 1) v = UINT64_MAX;
    char expected[64];
    std::snprintf(expected, sizeof expected, "%" PRIu64, v);
    REQUIRE(text([&](Text& t) { t << v; }) == expected);
    std::snprintf(expected, sizeof expected, "0x%" PRIx64, v);
    REQUIRE(text([&](Text& t) { t.hex(v); }) == expected);
  }
  CHECK(text([](Text& t) { t << std::uint32_t{4294967295U}; }) == "4294967295");
}

TEST_CASE("parts are strung together", "[text]") {
  CHECK(text([](Text& t) {
          t << "a" << std::uint64_t{7} << ""
            << "b";
        }) == "a7b");
}

TEST_CASE("overlong text is cut and the buffer never overrun", "[text]") {
  for (std::size_t capacity = 0; capacity <= 12; ++capacity) {
    char buffer[16];
    std::fill_n(buffer, sizeof buffer, '#');
    Text out(buffer, capacity);
    out << "abc" << std::uint64_t{12345};
    out.hex(0x678);
    CHECK(std::string(buffer, out.size()) == std::string("abc123450x678").substr(0, capacity));
    CHECK(std::string(buffer + capacity, sizeof buffer - capacity) == std::string(sizeof buffer - capacity, '#'));
  }
}

}  // namespace
}  // namespace bm
