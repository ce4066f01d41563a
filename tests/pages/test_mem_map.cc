// test_mem_map.cc: from any pointer to its page and back, and the lengths of runs.  layer: tests
#include "pages/mem_map.h"

#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using test::FakeVm;

// Three sections of eight blocks, the last half opened.
struct Fixture {
  Fixture() {
    BlockIndex got;
    REQUIRE(z.space.open(8, got));
    REQUIRE(z.space.open(8, got));
    REQUIRE(z.space.open(4, got));
    REQUIRE(z.map.section_count() == 3);
  }
  FakeVm vm;
  test::ZoneFixture z{FakeVm::table, test::space_of(8)};
};

TEST_CASE("find and address are inverse on every opened page of every section", "[mem_map]") {
  Fixture f;
  for (unsigned i = 0; i < 3; ++i) {
    const Section& s = f.z.map.section(i);
    for (std::size_t page = 0; page < s.opened * kPagesPerBlock; ++page) {
      const Pfn p = first_pfn(s.first) + page;
      auto* const at = static_cast<char*>(f.z.map.address(p));
      REQUIRE(reinterpret_cast<std::uintptr_t>(at) == s.base + page * kPageSize);
      Pfn low, high;
      REQUIRE((f.z.map.find(at, low) && f.z.map.find(at + kPageSize - 1, high)));
      REQUIRE((low == p && high == p));
    }
  }
}

TEST_CASE("foreign pointers are in no section", "[mem_map]") {
  Fixture f;
  Pfn out;
  int local = 0;
  CHECK_FALSE(f.z.map.find(&local, out));
  CHECK_FALSE(f.z.map.find(nullptr, out));
  CHECK_FALSE(f.z.map.find(reinterpret_cast<void*>(UINTPTR_MAX), out));
  const Section& last = f.z.map.section(2);
  CHECK(f.z.map.find(reinterpret_cast<char*>(last.base) + 4 * kPageblockSize - 1, out));
  CHECK_FALSE(f.z.map.find(reinterpret_cast<char*>(last.base) + 4 * kPageblockSize, out));  // reserved, not opened
  CHECK_FALSE(f.z.map.find(reinterpret_cast<char*>(last.base) - 1, out));
  MemMap empty;
  CHECK_FALSE(empty.find(&local, out));
}

TEST_CASE("section_of: by pageblock, none for the gaps and beyond", "[mem_map]") {
  Fixture f;
  for (std::uint32_t b = 0; b < 40; ++b) {
    const bool gap = b == 8 || b == 17 || b >= 26;
    const Section* s = f.z.map.section_of({b});
    CHECK((s == nullptr) == gap);
    if (s != nullptr) CHECK(s == &f.z.map.section(b / 9));
  }
  CHECK(f.z.map.address(first_pfn({8})) == nullptr);
}

TEST_CASE("the fast look-up covers the committed part of the first section, nothing else", "[mem_map]") {
  Fixture f;
  const Section& s = f.z.map.section(0);
  CHECK(f.z.map.fast_pages() == s.committed * kPagesPerBlock);
  auto* const base = reinterpret_cast<char*>(s.base);
  CHECK(f.z.map.fast_index(base) == 0);
  CHECK(f.z.map.fast_index(base + 5 * kPageSize + 17) == 5);
  int local = 0;
  CHECK(f.z.map.fast_index(&local) >= f.z.map.fast_pages());
  CHECK(f.z.map.fast_index(base - 1) >= f.z.map.fast_pages());
  CHECK(f.z.map.fast_index(nullptr) >= f.z.map.fast_pages());
  for (unsigned i = 1; i < 3; ++i)
    CHECK(f.z.map.fast_index(reinterpret_cast<void*>(f.z.map.section(i).base)) >= f.z.map.fast_pages());
  BlockIndex more;
  REQUIRE(f.z.space.open(30, more));  // a section larger than the first
  CHECK(f.z.map.fast_pages() == s.committed * kPagesPerBlock);
  f.z.map.set_entry({5}, 4711);
  CHECK(f.z.map.entry_at(5) == 4711);
}

TEST_CASE("a run's first page tells its length, at every length", "[mem_map]") {
  Fixture f;
  for (std::size_t n = 1; n <= 3000; ++n) {
    f.z.map.set_run(Pfn{1024}, n);
    REQUIRE(f.z.map.run_pages(Pfn{1024}) == n);
    REQUIRE(f.z.map.entry(Pfn{1024}) < kFirstOwnerEntry);
  }
  CHECK(f.z.map.entry(Pfn{1024}) == 1023);  // as the header, and whoever reads from outside, has it
  CHECK(f.z.map.run_pages(Pfn{1025}) == 0);
  f.z.map.set_entry({1024}, kFirstOwnerEntry);
  CHECK(f.z.map.run_pages(Pfn{1024}) == 0);
  f.z.map.set_entry({1024}, 0);
  CHECK(f.z.map.run_pages(Pfn{1024}) == 0);
}

TEST_CASE("entries and slab indices are apart", "[mem_map]") {
  Fixture f;
  f.z.map.set_entry({100}, 1);
  f.z.map.set_slab_index({100}, 2);
  CHECK(f.z.map.entry({100}) == 1);
  CHECK(f.z.map.slab_index({100}) == 2);
  CHECK(f.z.map.entry({101}) == 0);
  CHECK(f.z.map.slab_index({99}) == 0);
}

}  // namespace
}  // namespace bm::pages
