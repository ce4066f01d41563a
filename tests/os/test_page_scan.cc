// test_page_scan.cc: what the kernel says of pages, by either way of asking.  layer: tests
#include <catch2/catch.hpp>

#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include <sys/utsname.h>
#include <unistd.h>

#include "os/page_scan.h"
#include "support/hugepage.h"

namespace bm::os {
namespace {

constexpr const char* kSelf = "/proc/thread-self/pagemap";

// One pageblock that nobody has touched, with another before it.
struct Block {
  explicit Block(bool huge) { linux_vm.advise_huge(map, 2 * kPageblockSize, huge); }
  ~Block() { linux_vm.release(map, 2 * kPageblockSize); }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(at); }
  BlockMemory look(const char* pagemap = kSelf) const {
    BlockMemory memory;
    REQUIRE(PageScan(pagemap).look(address(), memory));
    return memory;
  }
  char* map = static_cast<char*>(linux_vm.map(2 * kPageblockSize, kPageblockSize));
  char* at = map + kPageblockSize;
};

std::size_t resident(const BlockMemory& memory) {
  int n = 0;
  for (const std::uint64_t w : memory.resident) n += std::popcount(w);
  return static_cast<std::size_t>(n);
}
bool is_resident(const BlockMemory& memory, std::size_t page) {
  return (memory.resident[page / 64] >> page % 64 & 1) != 0;
}

// A file with the entries of one pageblock, as pagemap has them; no ioctl is possible on it.
struct PagemapFile {
  PagemapFile(std::uint64_t address, const std::uint64_t (&entries)[kPagesPerBlock], std::size_t bytes) {
    const int fd = mkstemp(path);
    REQUIRE(pwrite(fd, entries, bytes, static_cast<off_t>(address / kPageSize * 8)) == static_cast<ssize_t>(bytes));
    close(fd);
  }
  ~PagemapFile() { unlink(path); }
  PagemapFile(const PagemapFile&) = delete;
  PagemapFile& operator=(const PagemapFile&) = delete;
  char path[32] = "/tmp/buddymalloc-pagemap-XXXXXX";
};

TEST_CASE("a page is resident once it is written, not when it reads as zero, nor when it went back", "[page_scan]") {
  const Block block(false);
  CHECK(resident(block.look()) == 0);
  const bool scans = block.look().huge != Huge::kUnknown;
  for (const std::size_t page : {0u, 63u, 64u, 511u}) block.at[page * kPageSize] = 1;
  const volatile char* const read = block.at;
  CHECK(read[7 * kPageSize] == 0);
  const BlockMemory memory = block.look();
  for (const std::size_t page : {0u, 63u, 64u, 511u}) CHECK(is_resident(memory, page));
  if (scans) {
    CHECK(resident(memory) == 4);
    CHECK(memory.huge == Huge::kNo);
  }
  REQUIRE(linux_vm.purge(block.at + 63 * kPageSize, kPageSize));
  CHECK_FALSE(is_resident(block.look(), 63));
}

TEST_CASE("pages in many places are all seen", "[page_scan]") {
  const Block block(false);
  for (std::size_t page = 1; page < kPagesPerBlock; page += 2) block.at[page * kPageSize] = 1;
  const BlockMemory memory = block.look();
  CHECK(resident(memory) == kPagesPerBlock / 2);
  for (const std::uint64_t w : memory.resident) CHECK(w == 0xAAAAAAAAAAAAAAAA);
}

TEST_CASE("a hugepage is one until a page of it goes back", "[page_scan]") {
  const Block block(true);
  if (!test::put_on_hugepage(block.at)) return;
  CHECK(block.look().huge == Huge::kYes);
  CHECK(resident(block.look()) == kPagesPerBlock);
  REQUIRE(linux_vm.purge(block.at + 5 * kPageSize, kPageSize));
  const BlockMemory split = block.look();
  CHECK(split.huge == Huge::kNo);
  CHECK(resident(split) == kPagesPerBlock - 1);
  CHECK_FALSE(is_resident(split, 5));
}

TEST_CASE("Linux 6.7 and later tell of hugepages", "[page_scan][native]") {
  utsname system{};
  int major = 0, minor = 0;
  REQUIRE(uname(&system) == 0);
  REQUIRE(std::sscanf(system.release, "%d.%d", &major, &minor) == 2);
  if (std::pair(major, minor) >= std::pair(6, 7)) CHECK(Block(false).look().huge == Huge::kNo);
}

TEST_CASE("where the kernel cannot scan, presence is read and hugepages are unknown", "[page_scan]") {
  constexpr std::uint64_t kAddress = 3 * kPageblockSize, kPresent = std::uint64_t{1} << 63;
  std::uint64_t entries[kPagesPerBlock] = {};
  entries[0] = kPresent;
  entries[1] = kPresent >> 1;  // swapped out
  entries[300] = kPresent | 12345;
  const PagemapFile file(kAddress, entries, sizeof entries);
  PageScan scan(file.path);
  BlockMemory memory;
  REQUIRE(scan.look(kAddress, memory));
  CHECK(resident(memory) == 2);
  CHECK((is_resident(memory, 0) && is_resident(memory, 300)));
  CHECK(memory.huge == Huge::kUnknown);
  REQUIRE(scan.look(2 * kPageblockSize, memory));
  CHECK(resident(memory) == 0);
}

TEST_CASE("what is not all there is not told; errno stays", "[page_scan]") {
  const std::uint64_t entries[kPagesPerBlock] = {};
  const PagemapFile file(0, entries, sizeof entries - 8);
  errno = EOWNERDEAD;
  BlockMemory memory;
  CHECK_FALSE(PageScan(file.path).look(0, memory));
  PageScan nowhere("/nowhere/pagemap");
  CHECK_FALSE(nowhere.opened());
  CHECK_FALSE(nowhere.look(0, memory));
  CHECK(errno == EOWNERDEAD);
}

TEST_CASE("the file is closed again", "[page_scan]") {
  const int before = dup(0);
  { const PageScan scan(kSelf); }
  const int after = dup(0);
  CHECK(after == before + 1);
  close(before);
  close(after);
}

}  // namespace
}  // namespace bm::os
