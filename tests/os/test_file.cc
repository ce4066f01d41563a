// test_file.cc: small files in whole.  layer: tests
#include <catch2/catch.hpp>

#include <cerrno>
#include <string>

#include "os/file.h"

namespace bm::os {
namespace {

TEST_CASE("a file is read as text, cut to the buffer; errno stays", "[file]") {
  char whole[64];
  char cut[4] = {};
  errno = EOWNERDEAD;
  REQUIRE(read_file("/proc/sys/kernel/ostype", whole, sizeof whole));
  CHECK(std::string(whole) == "Linux\n");
  REQUIRE(read_file("/proc/sys/kernel/ostype", cut, sizeof cut));
  CHECK(std::string(cut) == "Lin");
  CHECK(errno == EOWNERDEAD);
}

TEST_CASE("a file that is not there, is empty or cannot be read is told", "[file]") {
  char text[8];
  errno = EOWNERDEAD;
  CHECK_FALSE(read_file("/proc/no/such", text, sizeof text));
  CHECK_FALSE(read_file("/dev/null", text, sizeof text));
  CHECK_FALSE(read_file("/proc", text, sizeof text));
  CHECK(errno == EOWNERDEAD);
}

}  // namespace
}  // namespace bm::os
