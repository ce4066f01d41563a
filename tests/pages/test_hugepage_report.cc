// test_hugepage_report.cc: what is asked for a pageblock, its counts, their sums, and the line.  layer: tests
#include <catch2/catch.hpp>

#include <string>

#include "pages/hugepage_report.h"
#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using namespace test;
using os::Huge;

std::string line_of(const HugepageReport& report) {
  std::string text;
  {
    TextSink out([](void* to, const char* t, std::size_t n) { static_cast<std::string*>(to)->append(t, n); }, &text);
    print_hugepages(out, report);
  }
  return text;
}

TEST_CASE("small pages are asked for at the start of the first section only", "[hugepage_report]") {
  FakeVm vm;
  AddressSpaceConfig config = space_of(8);
  config.small_page_bytes = 2 * kPageblockSize;
  ZoneFixture z(FakeVm::table, config);
  z.alloc(12 * kBlock);
  z.alloc(7 * kBlock);
  REQUIRE(z.map.section_count() >= 2);
  const Section& first = z.map.section(0);
  CHECK(asked_for(first, first.first + 0, false) == Asked::kSmall);
  CHECK(asked_for(first, first.first + 1, false) == Asked::kSmall);
  CHECK(asked_for(first, first.first + 2, false) == Asked::kHuge);
  const Section& second = z.map.section(1);
  CHECK(asked_for(second, second.first, false) == Asked::kHuge);
  CHECK(asked_for(second, second.first, true) == Asked::kExplicit);
}

TEST_CASE("a small first section has no more blocks on small pages than it has", "[hugepage_report]") {
  FakeVm vm;
  ZoneFixture z(FakeVm::table, space_of(4));
  CHECK(z.map.section(0).small == z.map.section(0).blocks);
}

TEST_CASE("a pageblock's pages: resident, used, free and resident, and of these the untouched", "[hugepage_report]") {
  PageBitmap free, dirty;
  os::BlockMemory memory;
  free.set(100, 412);
  dirty.set(0, 200);
  memory.resident[0] = ~std::uint64_t{0};  // 0 to 63: used
  memory.resident[2] = 0xFF;               // 128 to 135: free and dirty
  memory.resident[7] = 0x7;                // 448 to 450: free and clean
  const BlockPages n = count_pages(free, dirty, memory);
  CHECK(n.resident == 64 + 8 + 3);
  CHECK(n.used == 100);
  CHECK(n.waste == 8 + 3);
  CHECK(n.unasked == 3);
}

TEST_CASE("sums, and the coverage of what was asked for", "[hugepage_report]") {
  HugepageReport r;
  CHECK(r.coverage() == -1);
  r.add(Asked::kSmall, {512, 512, 0, 0}, Huge::kNo);
  CHECK(r.coverage() == -1);  // small pages were wished for
  r.add(Asked::kHuge, {512, 500, 12, 2}, Huge::kYes);
  r.add(Asked::kExplicit, {512, 512, 0, 0}, Huge::kYes);
  r.add(Asked::kHuge, {256, 0, 256, 0}, Huge::kNo);
  r.add(Asked::kHuge, {0, 0, 0, 0}, Huge::kNo);
  CHECK(r.pageblocks == 5);
  CHECK(r.in_use == 3);
  CHECK(r.huge == 2);
  CHECK(r.split == 1);
  CHECK(r.resident_pages == 3 * 512 + 256);
  CHECK(r.small_pages == 512);
  CHECK(r.huge_pages == 1024);
  CHECK(r.waste_pages == 268);
  CHECK(r.unasked_pages == 2);
  CHECK(r.coverage() == 800);
  CHECK(
      line_of(r) ==
      "coverage 80.0 % of 5.0 MiB resident, waste 1.0 MiB free but resident (0.0 MiB of it never asked for), on small "
      "pages as asked 2.0 MiB; pageblocks opened 5, in use 3, huge 2, split 1\n");
}

TEST_CASE("unknown is unknown, where it matters", "[hugepage_report]") {
  HugepageReport r;
  r.add(Asked::kSmall, {512, 512, 0, 0}, Huge::kUnknown);
  r.add(Asked::kHuge, {0, 0, 0, 0}, Huge::kUnknown);
  CHECK(r.huge_known);
  CHECK(line_of(r).find("coverage none of 0.0 MiB") == 0);
  r.add(Asked::kHuge, {512, 512, 0, 0}, Huge::kUnknown);
  CHECK_FALSE(r.huge_known);
  CHECK(r.coverage() == -1);
  CHECK(line_of(r).find("coverage unknown of 2.0 MiB") == 0);
  CHECK(line_of(r).find("split") == std::string::npos);
}

}  // namespace
}  // namespace bm::pages
