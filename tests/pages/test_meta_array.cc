// test_meta_array.cc: growth from the front, and refusal.  layer: tests
#include "pages/meta_array.h"

#include <catch2/catch.hpp>

#include "support/fake_vm.h"

namespace bm::pages {
namespace {

using test::FakeVm;
using test::VmCall;
using test::VmOp;

constexpr std::size_t kReserved = 16 * MetaSpace::kStep;

struct Fixture {
  Fixture() { array.init(FakeVm::table, static_cast<char*>(FakeVm::table.reserve(kReserved, 4096)), kReserved); }
  FakeVm vm;
  MetaArray<std::uint64_t> array;
};

TEST_CASE("what is ensured is committed, zero, and stays where it is", "[meta_array]") {
  Fixture f;
  CHECK(f.array.capacity() == kReserved / 8);
  CHECK(f.array.committed() == 0);
  std::size_t ensured = 0;
  for (const std::size_t n :
       {std::size_t{1}, std::size_t{8192}, std::size_t{8193}, std::size_t{50000}, kReserved / 8}) {
    REQUIRE(f.array.ensure_count(n));
    CHECK(f.vm.committed(f.array.data(), n * 8));
    for (std::size_t i = ensured; i < n; ++i) REQUIRE(f.array[i] == 0);
    for (std::size_t i = 0; i < ensured; ++i) REQUIRE(f.array[i] == i);
    for (std::size_t i = 0; i < n; ++i) f.array[i] = i;
    ensured = n;
  }
}

TEST_CASE("growth is ahead of need: commits are logarithmic in the size", "[meta_array]") {
  Fixture f;
  for (std::size_t n = 1; n <= f.array.capacity(); ++n) REQUIRE(f.array.ensure_count(n));
  CHECK(f.vm.count(VmOp::kCommit) <= 16);
  const std::size_t before = f.vm.asked();
  CHECK(f.array.ensure_count(1));
  CHECK(f.vm.asked() == before);
}

TEST_CASE("beyond the reservation: refused, nothing asked", "[meta_array]") {
  Fixture f;
  const std::size_t before = f.vm.asked();
  CHECK_FALSE(f.array.ensure_count(f.array.capacity() + 1));
  CHECK_FALSE(f.array.ensure_count(SIZE_MAX / 4));
  CHECK_FALSE(f.array.ensure(kReserved + 1));
  CHECK(f.vm.asked() == before);
  CHECK(f.array.ensure_count(f.array.capacity()));
}

TEST_CASE("out of memory: refused, nothing changed, later it works", "[meta_array]") {
  Fixture f;
  REQUIRE(f.array.ensure_count(1));
  f.array[0] = 7;
  const std::size_t had = f.array.committed();
  f.vm.refuse = [](const VmCall&) { return true; };
  CHECK_FALSE(f.array.ensure_count(9000));
  CHECK(f.array.committed() == had);
  CHECK(f.array[0] == 7);
  f.vm.refuse = nullptr;
  CHECK(f.array.ensure_count(9000));
}

TEST_CASE("metadata: a commit ahead that is refused falls back to just what is needed", "[meta_array]") {
  Fixture f;
  REQUIRE(f.array.ensure(8 * MetaSpace::kStep));
  f.vm.refuse = [](const VmCall& c) { return c.bytes > MetaSpace::kStep; };
  CHECK(f.array.ensure(8 * MetaSpace::kStep + 1));
  CHECK(f.array.committed() == 9 * MetaSpace::kStep);
}

}  // namespace
}  // namespace bm::pages
