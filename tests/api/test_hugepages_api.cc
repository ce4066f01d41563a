// test_hugepages_api.cc: <buddymalloc/hugepages.h>: bytes, errno.  layer: tests
#include <catch2/catch.hpp>

#include <cstring>

#include <sys/resource.h>

#include "buddymalloc/hugepages.h"
#include "heap/hugepages.h"
#include "support/child.h"
#include "test_support.h"

using namespace bm;
using namespace bm::test;

TEST_CASE("bm_hugepage_report says in bytes what the heap says in pages", "[api][hugepages]") {
  constexpr std::size_t kBytes = 40 << 20;
  void* const block = bm_malloc(kBytes);
  std::memset(block, 1, kBytes);
  void* const freed = bm_malloc(3 << 20);
  std::memset(freed, 1, 3 << 20);
  bm_free(freed);
  bm_hugepages r;
  pages::HugepageReport pages;
  CHECK(errno_after([&] { CHECK(bm_hugepage_report(&r) == 0); }) == kUntouched);
  REQUIRE(heap::report_hugepages(pages));
  CHECK(r.pageblocks == pages.pageblocks);
  CHECK(r.pageblocks_in_use == pages.in_use);
  CHECK(r.pageblocks_huge == pages.huge);
  CHECK(r.pageblocks_split == pages.split);
  CHECK(r.resident_bytes == pages.resident_pages * 4096);
  CHECK(r.resident_bytes >= kBytes);
  CHECK(r.small_bytes == pages.small_pages * 4096);
  CHECK(r.huge_bytes == pages.huge_pages * 4096);
  CHECK(r.waste_bytes == pages.waste_pages * 4096);
  CHECK(r.waste_bytes != 0);
  CHECK(r.unasked_bytes == pages.unasked_pages * 4096);
  CHECK((r.huge_known != 0) == pages.huge_known);
  bm_free(block);
}

TEST_CASE("bm_hugepage_report: no place for the answer, and no answer", "[api][hugepages]") {
  errno = kUntouched;
  CHECK(bm_hugepage_report(nullptr) == -1);
  CHECK(errno == EINVAL);
  bm_free(bm_malloc(1));
  const Ending e = in_child([] {
    const rlimit none{0, 0};
    bm_hugepages r;
    BM_CHILD_REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
    return bm_hugepage_report(&r) == -1 && errno == ENOSYS;
  });
  INFO(e.text);
  CHECK(e.ok);
}
