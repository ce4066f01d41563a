// test_hugepages.cc: the report about this process's own heap, on hugepages, split, and without /proc.  layer: tests
#include <catch2/catch.hpp>

#include <string>

#include <fcntl.h>
#include <sys/resource.h>

#include "heap/hugepages.h"
#include "support/hugepage.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

namespace {

pages::HugepageReport report() {
  pages::HugepageReport r;
  REQUIRE(heap::report_hugepages(r));
  return r;
}

// A large block, and in it a pageblock for which a hugepage is wished.
struct LargeBlock {
  static constexpr std::size_t kBytes = 44 * kMiB;
  ~LargeBlock() { deallocate(start); }
  char* start = static_cast<char*>(heap::allocate_aligned(kBytes, kPageblockSize));
  char* inside = start + kBytes - kPageblockSize;
};

}  // namespace

TEST_CASE("a pageblock on a hugepage counts as such until one of its pages goes back", "[heap][hugepages]") {
  const LargeBlock block;
  if (!put_on_hugepage(block.inside)) return;
  const pages::HugepageReport whole = report();
  CHECK(whole.huge_known);
  CHECK(whole.huge >= 1);
  CHECK(whole.huge_pages == whole.huge * kPagesPerBlock);
  REQUIRE(os::linux_vm.purge(block.inside + kPageSize, kPageSize));
  const pages::HugepageReport split = report();
  CHECK(split.huge == whole.huge - 1);
  CHECK(split.split == whole.split + 1);
  CHECK(split.resident_pages == whole.resident_pages - 1);
  CHECK(split.waste_pages == whole.waste_pages);
  CHECK(split.in_use == whole.in_use);
}

TEST_CASE("memory that came with a hugepage and is in nobody's hands is waste, and unasked", "[heap][hugepages]") {
  heap::trim(0);
  const LargeBlock block;
  // One page of a further pageblock is in use; the hugepage brings the rest.
  void* const run = heap::allocate_aligned(kPageblockSize + kPageSize, kPageblockSize);
  char* const last = static_cast<char*>(run) + kPageblockSize;
  const pages::HugepageReport before = report();
  *last = 1;
  if (before.huge_known && os::linux_vm.collapse(last, kPageblockSize)) {
    const pages::HugepageReport after = report();
    CHECK(after.resident_pages == before.resident_pages + kPagesPerBlock);
    CHECK(after.waste_pages == before.waste_pages + kPagesPerBlock - 1);
    CHECK(after.unasked_pages == before.unasked_pages + kPagesPerBlock - 1);
    CHECK(after.huge == before.huge + 1);
  } else {
    WARN("no hugepage here: not tested");
  }
  deallocate(run);
}

TEST_CASE("what is resident and in use is no waste, on any pages", "[heap][hugepages]") {
  heap::trim(0);
  const pages::HugepageReport before = report();
  void* const p = allocate(6 * kMiB);
  std::memset(p, 1, 6 * kMiB);
  const pages::HugepageReport after = report();
  CHECK(after.resident_pages >= before.resident_pages + (6 * kMiB >> kPageShift));
  CHECK(after.in_use >= before.in_use + 3);
  CHECK(after.waste_pages - after.unasked_pages <= before.waste_pages);
  CHECK(after.pageblocks == zone_counters().opened_pages >> kPageblockOrder);
  deallocate(p);
}

TEST_CASE("where no file can be opened nothing is told, nor printed", "[heap][hugepages]") {
  deallocate(allocate(1));
  const Ending e = in_child([] {
    const rlimit none{0, 0};
    BM_CHILD_REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    heap::print_hugepages(2);
    pages::HugepageReport r;
    return !heap::report_hugepages(r);
  });
  CHECK(e.ok);
  CHECK(e.text.empty());
}

TEST_CASE("the line of the statistics", "[heap][hugepages]") {
  deallocate(allocate(1));
  const Ending e = in_child([] { return heap::print_hugepages(2), true; });
  CHECK(e.text.find("coverage ") == 0);
  CHECK(e.text.find('\n') == e.text.size() - 1);
  CHECK(in_child([] { return heap::print_statistics(2), true; }).text.find("\ncoverage ") != std::string::npos);
}
