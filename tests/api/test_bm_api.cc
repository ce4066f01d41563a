// test_bm_api.cc: the public C API, beside the malloc the test program has anyway.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <string>

#include <unistd.h>

#include "buddymalloc/buddymalloc.h"
#include "tests/api/test_support.h"

using namespace bm::test;

TEST_CASE("bm_* blocks are ours, live beside the program's own and may be written in full", "[api][bm]") {
  void* block = bm_malloc(100);
  REQUIRE(block != nullptr);
  CHECK(bm_owns(block) == 1);
  CHECK(bm_owns(nullptr) == 0);
  int on_the_stack = 0;
  CHECK(bm_owns(&on_the_stack) == 0);
  CHECK(bm_usable_size(&on_the_stack) == 0);
  CHECK(bm_usable_size(block) >= 100);
  std::memset(block, 1, bm_usable_size(block));
  block = bm_realloc(block, 10000);
  REQUIRE(block != nullptr);
  CHECK(all_bytes_are(block, 1, 100));
  bm_free(block);
  bm_free(nullptr);
  CHECK(bm_validate() == 0);
}

TEST_CASE("bm_calloc clears, bm_aligned_alloc aligns, both report errors", "[api][bm]") {
  void* block = bm_calloc(10, 10);
  CHECK(all_bytes_are(block, 0, 100));
  bm_free(block);
  CHECK(errno_after([] { CHECK(bm_calloc(hidden(SIZE_MAX), 2) == nullptr); }) == ENOMEM);
  block = bm_aligned_alloc(4096, 10);
  CHECK(aligned(block, 4096));
  bm_free(block);
  CHECK(errno_after([] { CHECK(bm_aligned_alloc(48, 10) == nullptr); }) == EINVAL);
  CHECK(errno_after([] { CHECK(bm_malloc(hidden(SIZE_MAX)) == nullptr); }) == ENOMEM);
}

TEST_CASE("bm_trim answers 0 or 1, bm_version is a version", "[api][bm]") {
  const int answer = bm_trim(0);
  CHECK((answer == 0 || answer == 1));
  CHECK(std::string(bm_version()) == "0.1.0");
}

TEST_CASE("bm_stats_print writes to the descriptor it is given", "[api][bm]") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  bm_stats_print(ends[1]);
  close(ends[1]);
  char text[256];
  CHECK(read(ends[0], text, sizeof text) > 0);
  close(ends[0]);
}
