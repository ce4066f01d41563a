// test_pages_place.cc: pages of a certain zone or node. Zones stay once made: each test in a process of its own.
// layer: tests
#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "buddymalloc/pages.h"
#include "heap/page_api.h"
#include "support/child.h"
#include "tests/api/test_support.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kPage = BM_PAGE_SIZE, kBlockBytes = BM_PAGEBLOCK_SIZE;
constexpr std::uintptr_t k4GiB = std::uintptr_t{1} << 32;

void check_child(const std::function<bool()>& body) {
  const Ending e = in_child(body);
  INFO(e.text);
  CHECK(e.ok);
}

bool in_zone(const void* p, const char* name) {
  const char* const zone = bm_pages_zone(p);
  return zone != nullptr && std::strcmp(zone, name) == 0;
}

bool below_4_gib(const void* p, std::size_t bytes) { return reinterpret_cast<std::uintptr_t>(p) + bytes <= k4GiB; }

// Pages the system has set aside and nobody has claimed, of 2 MiB.
long free_hugepages() {
  FILE* const f = std::fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "r");
  long n = 0;
  if (f != nullptr) {
    if (std::fscanf(f, "%ld", &n) != 1) n = 0;
    std::fclose(f);
  }
  return n;
}

}  // namespace

TEST_CASE("DMA32: below 4 GiB at every order, exact and contiguous; freed and reused", "[api][place]") {
  check_child([] {
    for (unsigned order = 0; order <= BM_PAGES_MAX_ORDER; ++order) {
      void* const p = bm_pages_alloc(order, BM_PAGES_DMA32 | BM_PAGES_MOVABLE | BM_PAGES_ZERO);
      BM_CHILD_REQUIRE(p != nullptr && below_4_gib(p, kPage << order) && in_zone(p, "DMA32"));
      BM_CHILD_REQUIRE(all_bytes_are(p, 0, kPage << order));
      std::memset(p, 1, kPage << order);
      BM_CHILD_REQUIRE(bm_validate() == 0);
      bm_pages_free(p, order);
    }
    void* const exact = bm_pages_alloc_exact(3 * kPage, BM_PAGES_DMA32);
    BM_CHILD_REQUIRE(exact != nullptr && below_4_gib(exact, 3 * kPage));
    void* const area = bm_cma_reserve(3 * kBlockBytes, BM_PAGES_DMA32);
    BM_CHILD_REQUIRE(area != nullptr && below_4_gib(area, 3 * kBlockBytes) && in_zone(area, "DMA32"));
    void* const part = bm_cma_alloc(area, kBlockBytes, 0);
    BM_CHILD_REQUIRE(part != nullptr);
    std::memset(part, 1, kBlockBytes);
    bm_cma_free(area, part, kBlockBytes);
    BM_CHILD_REQUIRE(bm_cma_release(area) == 0);
    bm_pages_free_exact(exact, 3 * kPage);
    // Others are served elsewhere, from the thread's lists too.
    for (int k = 0; k < 100; ++k) {
      void* const p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
      BM_CHILD_REQUIRE(in_zone(p, "Normal"));
    }
    BM_CHILD_REQUIRE(bm_validate() == 0);
    return true;
  });
}

TEST_CASE("DMA32: more than there is below 4 GiB is ENOMEM, and nothing else is taken for it", "[api][place][native]") {
  check_child([] {
    std::size_t got = 0;
    errno = 0;
    while (void* const p = bm_pages_alloc_exact(std::size_t{64} << 20, BM_PAGES_DMA32)) {
      BM_CHILD_REQUIRE(below_4_gib(p, std::size_t{64} << 20));
      ++got;
    }
    BM_CHILD_REQUIRE(errno == ENOMEM && got >= 1 && got < 64);
    BM_CHILD_REQUIRE(bm_pages_alloc(4, BM_PAGES_MOVABLE) != nullptr);
    BM_CHILD_REQUIRE(bm_validate() == 0);
    return true;
  });
}

TEST_CASE("HUGETLB: explicit hugepages while there are some, else as without", "[api][place]") {
  check_child([] {
    const long before = free_hugepages();
    void* const p = bm_pages_alloc(9, BM_PAGES_HUGETLB | BM_PAGES_MOVABLE);
    BM_CHILD_REQUIRE(p != nullptr && in_zone(p, before > 0 ? "Hugetlb" : "Normal"));
    std::memset(p, 1, kBlockBytes);
    BM_CHILD_REQUIRE(before == 0 || free_hugepages() < before);
    // As much again as could be set aside: the rest is of the next zone, and all can be written.
    for (long k = 0; k < before + 3; ++k) {
      void* const more = bm_pages_alloc(9, BM_PAGES_HUGETLB | BM_PAGES_MOVABLE);
      BM_CHILD_REQUIRE(more != nullptr);
      std::memset(more, 2, kBlockBytes);
      if (k == before + 2) BM_CHILD_REQUIRE(in_zone(more, "Normal"));
    }
    bm_pages_free(p, 9);
    BM_CHILD_REQUIRE(bm_validate() == 0);
    return true;
  });
}

TEST_CASE("nodes: the one that is named comes first, and this node only means it", "[api][place]") {
  const unsigned nodes = bm_pages_nodes();
  REQUIRE(nodes >= 1);
  for (unsigned n = 0; n < nodes; ++n)
    for (const unsigned only : {0U, BM_PAGES_THISNODE}) {
      void* const p = bm_pages_alloc(2, BM_PAGES_NODE(n) | only);
      REQUIRE(p != nullptr);
      CHECK(bm_pages_node(p) == static_cast<int>(n));
      std::memset(p, 1, kPage << 2);
      void* const exact = bm_pages_alloc_exact(5 * kPage, BM_PAGES_NODE(n) | only | BM_PAGES_RECLAIMABLE);
      CHECK(bm_pages_node(exact) == static_cast<int>(n));
      void* const area = bm_cma_reserve(kBlockBytes, BM_PAGES_NODE(n) | only);
      CHECK(bm_pages_node(area) == static_cast<int>(n));
      bm_pages_free(p, 2);
      bm_pages_free_exact(exact, 5 * kPage);
      CHECK(bm_cma_release(area) == 0);
    }
  void* const here = bm_pages_alloc(1, BM_PAGES_THISNODE);
  void* const listed = bm_pages_alloc(1, 0);
  CHECK(bm_pages_node(here) == bm_pages_node(listed));
  bm_pages_free(here, 1);
  bm_pages_free(listed, 1);
  CHECK(errno_after([=] { CHECK(bm_pages_alloc(0, BM_PAGES_NODE(nodes)) == nullptr); }) == EINVAL);
  CHECK(errno_after([=] { CHECK(bm_cma_reserve(kPage, BM_PAGES_NODE(nodes)) == nullptr); }) == EINVAL);
  CHECK(bm_validate() == 0);
}

TEST_CASE("DMA32 belongs to the first node: this node only, on another, is ENOMEM", "[api][place]") {
  if (bm_pages_nodes() == 1) return;
  check_child([] {
    const unsigned last = bm_pages_nodes() - 1;
    errno = 0;
    BM_CHILD_REQUIRE(bm_pages_alloc(0, BM_PAGES_DMA32 | BM_PAGES_NODE(last) | BM_PAGES_THISNODE) == nullptr);
    BM_CHILD_REQUIRE(errno == ENOMEM);
    BM_CHILD_REQUIRE(bm_pages_node(bm_pages_alloc(0, BM_PAGES_DMA32 | BM_PAGES_NODE(last))) == 0);
    return true;
  });
}

TEST_CASE("where a page is: of any of ours, malloc's too; other addresses are EINVAL", "[api][place]") {
  void* const page = bm_pages_alloc(0, 0);
  void* const block = bm_malloc(100);
  for (const void* const p : {page, block}) {
    CHECK(errno_after([=] { CHECK(bm_pages_node(p) >= 0); }) == kUntouched);
    CHECK(errno_after([=] { CHECK(in_zone(p, "Normal")); }) == kUntouched);
  }
  bm_free(block);
  bm_pages_free(page, 0);
  CHECK(in_zone(page, "Normal"));  // free now
  int local = 0;
  for (const void* const p : {static_cast<const void*>(&local), static_cast<const void*>(nullptr)}) {
    CHECK(errno_after([=] { CHECK(bm_pages_node(p) == -1); }) == EINVAL);
    CHECK(errno_after([=] { CHECK(bm_pages_zone(p) == nullptr); }) == EINVAL);
  }
}
