// test_code.cc: what lies in the program, and what does not.  layer: tests
#include <catch2/catch.hpp>

#include <memory>

#include "os/code.h"

using bm::os::in_program;

namespace {

std::uintptr_t address_of(const volatile void* p) { return reinterpret_cast<std::uintptr_t>(p); }
const char constant[16] = {};

}  // namespace

TEST_CASE("code and constants of the program and its libraries are in it, nothing else is", "[code]") {
  const int local = 0;
  const auto object = std::make_unique<int>(0);
  const auto code = reinterpret_cast<std::uintptr_t>(&in_program);
  if (!in_program(code)) {
    WARN("libc cannot tell what is in the program: not tested");
    return;
  }
  CHECK(in_program(address_of(constant)));
  CHECK(in_program(reinterpret_cast<std::uintptr_t>(&std::abort)));
  CHECK_FALSE(in_program(address_of(&local)));
  CHECK_FALSE(in_program(address_of(object.get())));
  for (const std::uintptr_t none :
       {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{4096}, UINTPTR_MAX, UINTPTR_MAX / 2})
    CHECK_FALSE(in_program(none));
}
