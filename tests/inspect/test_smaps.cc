// test_smaps.cc: the kernel's smaps, and texts that are none.  layer: tests
#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <string>

#include "tools/inspect/failure.h"
#include "tools/inspect/smaps.h"

namespace bm::inspect {
namespace {

constexpr const char* kText =
    "7f0000000000-7f0000400000 rw-p 00000000 00:00 0    [anon:buddymalloc]\n"
    "Size:               4096 kB\n"
    "AnonHugePages:      2048 kB\n"
    "VmFlags: rd wr mr mw me ac sd hg\n"
    "7f0000400000-7f0000401000 r--p 00000000 08:01 42   /lib/a: b.so\n"
    "AnonHugePages:         0 kB\n"
    "Private_Hugetlb:    1024 kB\n";

TEST_CASE("areas with their bytes on hugepages", "[smaps]") {
  const std::vector<SmapsArea> areas = parse_smaps(kText);
  REQUIRE(areas.size() == 2);
  CHECK(areas[0].start == 0x7f0000000000);
  CHECK(areas[0].end == 0x7f0000400000);
  CHECK(areas[0].huge_bytes == 2 << 20);
  CHECK(areas[1].huge_bytes == 1 << 20);
  CHECK(parse_smaps("").empty());
}

TEST_CASE("the smaps of this process", "[smaps]") {
  std::ifstream file("/proc/self/smaps");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  CHECK(parse_smaps(text).size() > 5);
}

TEST_CASE("a line that is not understood is named", "[smaps]") {
  for (const char* const bad : {"hello\n", "7f00 rw-p\n", "7f00-7e00 rw-p\n", "7f00-7fzz rw-p\n", "\n", "-7f00 rw-p\n",
                                "7f00-8f00\n", "AnonHugePages: 4 kB\n", "7f00-8f00 rw-p\nAnonHugePages: 4 MB\n",
                                "7f00-8f00 rw-p\nAnonHugePages: kB\n", "7f00-8f00 rw-p\nAnonHugePages:"}) {
    INFO(bad);
    CHECK_THROWS_WITH(parse_smaps(bad), Catch::StartsWith("smaps: line not understood: "));
  }
}

}  // namespace
}  // namespace bm::inspect
