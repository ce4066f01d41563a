// test_malloc_info.cc: mallinfo, mallopt, malloc_info and malloc_trim.
#include <catch2/catch.hpp>

#include <climits>
#include <cstdio>
#include <string>

#include "api/malloc_api.h"
#include "api/malloc_info.h"
#include "heap/process_heap.h"
#include "support/child.h"
#include "tests/api/test_support.h"

namespace api = bm::api;
using namespace bm::test;

namespace {

std::size_t in_use() {
  const struct mallinfo2 info = api::read_mallinfo2();
  return info.uordblks + info.hblkhd;
}

std::string text_of_malloc_info() {
  char text[4096] = {};
  std::FILE* stream = fmemopen(text, sizeof text, "w");
  REQUIRE(stream != nullptr);
  CHECK(api::malloc_info(0, stream) == 0);
  std::fclose(stream);
  return text;
}

}  // namespace

TEST_CASE("mallinfo2 counts a block once, while it lives", "[api][info]") {
  for (const std::size_t size : {std::size_t{100000}, std::size_t{3} << 20, std::size_t{200} << 20}) {
    const std::size_t before = in_use();
    void* block = api::malloc(size);
    REQUIRE(block != nullptr);
    const std::size_t with_block = in_use();
    CHECK(with_block - before >= size);
    CHECK(with_block - before < size + size / 2);
    api::free(block);
    CHECK(in_use() == before);
  }
}

TEST_CASE("mallinfo agrees with mallinfo2 and never wraps", "[api][info]") {
  const struct mallinfo2 wide = api::read_mallinfo2();
  const struct mallinfo narrow = api::read_mallinfo();
  CHECK(narrow.arena == static_cast<int>(wide.arena > INT_MAX ? INT_MAX : wide.arena));
  CHECK(narrow.uordblks >= 0);
  CHECK(narrow.fordblks >= 0);
}

TEST_CASE("mallopt knows glibc's parameters", "[api][info]") {
  for (const int parameter : {M_MXFAST, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX, M_CHECK_ACTION,
                              M_PERTURB, M_ARENA_TEST, M_ARENA_MAX}) {
    CHECK(api::mallopt(parameter, 64) == 1);
  }
  CHECK(api::mallopt(M_MXFAST, -1) == 0);
  CHECK(api::mallopt(M_MXFAST, 161) == 0);
  CHECK(api::mallopt(-1000, 0) == 0);
}

TEST_CASE("malloc_info writes glibc's XML, and refuses options", "[api][info]") {
  const std::string text = text_of_malloc_info();
  CHECK(text.rfind("<malloc version=\"1\">\n", 0) == 0);
  CHECK(text.find("<heap nr=\"0\">") != std::string::npos);
  CHECK(text.find("<total type=\"mmap\"") != std::string::npos);
  CHECK(text.size() > 10);
  CHECK(text.substr(text.size() - 10) == "</malloc>\n");
  CHECK(api::malloc_info(1, stdout) == EINVAL);
}

TEST_CASE("malloc_info and malloc_stats tell of the buddy system, by order", "[api][info]") {
  api::free(api::malloc(1));
  const std::string text = text_of_malloc_info();
  const std::size_t element = text.find("<buddy node=\"0\" zone=\"Normal\" free=\"");
  REQUIRE(element != std::string::npos);
  std::size_t orders = 0;
  for (std::size_t at = element; (at = text.find("<blocks order=\"", at)) != std::string::npos; ++at) ++orders;
  CHECK(orders == 11 * bm::heap::process.nodes.zone_count());
  CHECK(text.find("</buddy>\n</malloc>\n") != std::string::npos);
  const Ending child = in_child([] { return api::malloc_stats(), true; });
  CHECK(child.ok);
  CHECK(child.text.find("Buddy node 0, zone Normal:\nfree pages       = ") != std::string::npos);
  CHECK(child.text.find("\nbacked by memory = ") != std::string::npos);
  CHECK(child.text.find("\ncoverage ") != std::string::npos);
}

TEST_CASE("malloc_trim answers 0 or 1 and keeps errno", "[api][info]") {
  int answer = -1;
  CHECK(errno_after([&] { answer = api::malloc_trim(0); }) == kUntouched);
  CHECK((answer == 0 || answer == 1));
}
