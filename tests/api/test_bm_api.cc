// test_bm_api.cc: the public C API, beside the malloc the test program has anyway.
#include <catch2/catch.hpp>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

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

namespace {

std::string text_of(void (*print)(int fd)) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  print(ends[1]);
  close(ends[1]);
  std::string text(1 << 16, '\0');
  const ssize_t bytes = read(ends[0], text.data(), text.size());
  close(ends[0]);
  text.resize(bytes < 0 ? 0 : static_cast<std::size_t>(bytes));
  return text;
}

// The numbers behind the words of every line that has this word, added up by column.
std::vector<unsigned long> column_sums(const std::string& text, const std::string& word, unsigned words) {
  std::vector<unsigned long> sums(11);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("Node", 0) != 0 || line.find(word) == std::string::npos) continue;
    std::istringstream in(line);
    std::string skipped;
    for (unsigned k = 0; k < words; ++k) in >> skipped;
    unsigned long n = 0;
    for (unsigned long& sum : sums)
      if (in >> n) sum += n;
  }
  return sums;
}

}  // namespace

TEST_CASE("the reports in the kernel's formats agree with each other", "[api][bm]") {
  void* const block = bm_malloc(100);
  REQUIRE(block != nullptr);
  const std::string buddy = text_of(bm_buddyinfo);
  const std::string types = text_of(bm_pagetypeinfo);
  const std::string zone = text_of(bm_zoneinfo);
  CHECK(buddy.rfind("Node 0, zone   Normal ", 0) == 0);
  CHECK(types.rfind("Page block order: 9\nPages per block:  512\n\nFree pages count per migrate type at order ", 0) ==
        0);
  const auto by_order = column_sums(buddy, "zone", 4);
  CHECK(column_sums(types, "type", 6) == by_order);
  unsigned long pages = 0;
  for (unsigned order = 0; order < 11; ++order) pages += by_order[order] << order;
  CHECK(pages > 0);
  CHECK(zone.find("\n  pages free     " + std::to_string(pages) + "\n") != std::string::npos);
  const std::string slabs = text_of(bm_slabinfo);
  CHECK(slabs.rfind("slabinfo - version: 2.1\n", 0) == 0);
  CHECK(slabs.find("\nbm-" + std::to_string(bm_usable_size(block)) + " ") != std::string::npos);
  bm_free(block);
}

TEST_CASE("the reports keep errno, whatever becomes of the text", "[api][bm]") {
  for (auto* const print : {bm_buddyinfo, bm_pagetypeinfo, bm_zoneinfo, bm_slabinfo})
    CHECK(errno_after([print] { print(-1); }) == kUntouched);
}
