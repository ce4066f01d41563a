// test_linux_vm.cc: the contract of vm.h, kept by Linux.  layer: tests
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/config.h"
#include "os/vm.h"
#include "support/child.h"

namespace bm::os {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// Whether memory can be written: the kernel says so without a fault.
bool writable(void* p) {
  int ends[2];
  if (pipe(ends) != 0) return false;
  const bool ok = write(ends[1], "x", 1) == 1 && read(ends[0], p, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return ok;
}

// Of the mapping that has this address.
std::size_t hugepage_bytes(const void* p) {
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    std::uintptr_t start = 0, end = 0;
    std::size_t kib = 0;
    if (std::sscanf(line.c_str(), "%zx-%zx ", &start, &end) == 2)
      here = reinterpret_cast<std::uintptr_t>(p) - start < end - start;
    else if (here && std::sscanf(line.c_str(), "AnonHugePages: %zu kB", &kib) == 1)
      return kib << 10;
  }
  return 0;
}

bool all_zero(const char* p, std::size_t bytes) { return p[0] == 0 && std::memcmp(p, p + 1, bytes - 1) == 0; }

TEST_CASE("reservations are aligned and unreadable until committed, then zero", "[linux_vm]") {
  for (const std::size_t alignment : {kPageSize, kPageblockSize, 64 * kMiB}) {
    auto* p = static_cast<char*>(linux_vm.reserve(4 * kMiB, alignment));
    REQUIRE(p != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
    CHECK_FALSE(writable(p));
    CHECK(linux_vm.commit(p + kMiB, kMiB));
    CHECK_FALSE(writable(p + kMiB - 1));
    CHECK_FALSE(writable(p + 2 * kMiB));
    CHECK(all_zero(p + kMiB, kMiB));
    CHECK((writable(p + kMiB) && writable(p + 2 * kMiB - 1)));
    linux_vm.release(p, 4 * kMiB);
    CHECK_FALSE(writable(p + kMiB));
  }
}

TEST_CASE("what is cut off around an aligned reservation goes back", "[linux_vm][native]") {
  rlimit was{};
  getrlimit(RLIMIT_AS, &was);
  const auto left_after = [](std::size_t bytes) {
    rlimit limit{std::size_t{8} << 30, RLIM_INFINITY};
    setrlimit(RLIMIT_AS, &limit);
    const std::size_t before = address_space_left();
    void* p = linux_vm.reserve(bytes, 256 * kMiB);
    return p != nullptr && before - address_space_left() == bytes;
  };
  CHECK(test::in_child([&] { return left_after(32 * kMiB); }).ok);
}

TEST_CASE("a purged range reads as zero and costs nothing", "[linux_vm]") {
  auto* p = static_cast<char*>(linux_vm.reserve(kMiB, kPageSize));
  REQUIRE(linux_vm.commit(p, kMiB));
  std::memset(p, 1, kMiB);
  REQUIRE(linux_vm.purge(p + 64 * 1024, 128 * 1024));
  unsigned char resident[256];
  REQUIRE(mincore(p, kMiB, resident) == 0);
  CHECK((resident[0] & 1) == 1);
  CHECK((resident[64 * 1024 / granule()] & 1) == 0);
  CHECK(all_zero(p + 64 * 1024, 128 * 1024));
  CHECK(p[64 * 1024 - 1] == 1);
  CHECK(p[192 * 1024] == 1);
  linux_vm.release(p, kMiB);
}

TEST_CASE("locked memory is not purged: false, contents unchanged", "[linux_vm][native]") {
  auto* p = static_cast<char*>(linux_vm.map(64 * 1024, kPageSize));
  std::memset(p, 1, 64 * 1024);
  REQUIRE(mlock(p, 4096) == 0);
  CHECK_FALSE(linux_vm.purge(p, 4096));
  CHECK(p[0] == 1);
  linux_vm.release(p, 64 * 1024);
}

TEST_CASE("mappings are zeroed, aligned, and keep their contents when they grow", "[linux_vm]") {
  auto* p = static_cast<char*>(linux_vm.map(3 * kMiB, kPageblockSize));
  REQUIRE(p != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(p) % kPageblockSize == 0);
  CHECK(all_zero(p, 3 * kMiB));
  std::memset(p, 7, 3 * kMiB);
  auto* q = static_cast<char*>(linux_vm.remap(p, 3 * kMiB, 64 * kMiB));
  REQUIRE(q != nullptr);
  CHECK((q[0] == 7 && std::memcmp(q, q + 1, 3 * kMiB - 1) == 0));
  CHECK(all_zero(q + 3 * kMiB, kMiB));
  auto* r = static_cast<char*>(linux_vm.remap(q, 64 * kMiB, kMiB));
  REQUIRE(r != nullptr);
  CHECK(r[kMiB - 1] == 7);
  CHECK_FALSE(writable(r + kMiB));
  linux_vm.release(r, kMiB);
}

TEST_CASE("no is an answer, and errno stays", "[linux_vm]") {
  errno = EOWNERDEAD;
  CHECK(linux_vm.reserve(std::size_t{1} << 60, kPageSize) == nullptr);
  CHECK(linux_vm.reserve(SIZE_MAX & ~(kPageblockSize - 1), kPageblockSize) == nullptr);
  CHECK(linux_vm.map(std::size_t{1} << 60, kPageSize) == nullptr);
  auto* p = static_cast<char*>(linux_vm.map(kMiB, kPageSize));
  CHECK(linux_vm.remap(p, kMiB, std::size_t{1} << 60) == nullptr);
  CHECK(writable(p));
  errno = EOWNERDEAD;
  linux_vm.release(p, kMiB);
  CHECK_FALSE(linux_vm.commit(p, kMiB));
  CHECK_FALSE(linux_vm.purge(p, kMiB));
  linux_vm.advise_huge(p, kMiB, true);
  linux_vm.release(p + 1, kMiB);
  CHECK_FALSE(linux_vm.collapse(p, kMiB));
  CHECK(linux_vm.resident(p, kMiB) == 0);
  CHECK(errno == EOWNERDEAD);
}

TEST_CASE("address_space_left: unlimited, by address space, by data", "[linux_vm][native]") {
  const auto left_under = [](__rlimit_resource_t which, std::size_t use) {
    const std::size_t limit_bytes = std::size_t{4} << 30;
    const rlimit limit{limit_bytes, RLIM_INFINITY};
    if (setrlimit(which, &limit) != 0) return false;
    errno = EOWNERDEAD;
    const std::size_t before = address_space_left();
    if (errno != EOWNERDEAD || before == 0 || before >= limit_bytes) return false;
    void* const fits = linux_vm.map(use, kPageSize);
    if (fits == nullptr || before - address_space_left() != use) return false;
    return linux_vm.map(before - use + 64 * kMiB, kPageSize) == nullptr;
  };
  if (rlimit now{}; getrlimit(RLIMIT_AS, &now) == 0 && now.rlim_cur == RLIM_INFINITY)
    CHECK(address_space_left() == SIZE_MAX);
  CHECK(test::in_child([&] { return left_under(RLIMIT_AS, 128 * kMiB); }).ok);
  CHECK(test::in_child([&] { return left_under(RLIMIT_DATA, 128 * kMiB); }).ok);
  // Already beyond the limit: nothing is left.
  CHECK(test::in_child([&] {
          const rlimit limit{kMiB, RLIM_INFINITY};
          return setrlimit(RLIMIT_AS, &limit) == 0 && address_space_left() == 0;
        }).ok);
}

TEST_CASE("resident counts the bytes that have memory; 0 when it cannot be told", "[linux_vm]") {
  auto* p = static_cast<char*>(linux_vm.reserve(kPageblockSize, kPageblockSize));
  linux_vm.advise_huge(p, kPageblockSize, false);
  REQUIRE(linux_vm.commit(p, kPageblockSize));
  CHECK(linux_vm.resident(p, kPageblockSize) == 0);
  std::memset(p + 64 * 1024, 1, 128 * 1024);
  CHECK(linux_vm.resident(p, kPageblockSize) == 128 * 1024);
  CHECK(linux_vm.resident(p, 128 * 1024) == 64 * 1024);
  CHECK(linux_vm.resident(p, 2 * kPageblockSize) == 0);  // more than it has room for
  linux_vm.release(p, kPageblockSize);
  CHECK(linux_vm.resident(p, kPageblockSize) == 0);
}

TEST_CASE("collapse keeps contents and fills holes with zeroes, or says no", "[linux_vm][native]") {
  auto* p = static_cast<char*>(linux_vm.reserve(kPageblockSize, kPageblockSize));
  REQUIRE(linux_vm.commit(p, kPageblockSize));
  std::memset(p, 7, kMiB);
  if (!linux_vm.collapse(p, kPageblockSize))
    WARN("no hugepage: Linux before 6.1, or no memory");
  else
    CHECK(linux_vm.resident(p, kPageblockSize) == kPageblockSize);
  CHECK((p[0] == 7 && std::memcmp(p, p + 1, kMiB - 1) == 0));
  CHECK(all_zero(p + kMiB, kMiB));
  linux_vm.release(p, kPageblockSize);
  CHECK_FALSE(linux_vm.collapse(p, kPageblockSize));
}

TEST_CASE("split keeps contents, and a hugepage is none afterwards", "[linux_vm][native]") {
  const Vm& vm = linux_vm;
  auto* const p = static_cast<char*>(vm.reserve(kPageblockSize, kPageblockSize));
  REQUIRE(vm.commit(p, kPageblockSize));
  vm.advise_huge(p, kPageblockSize, true);
  std::memset(p, 3, kPageblockSize);
  const bool huge = hugepage_bytes(p) == kPageblockSize;
  CHECK(vm.split(p));
  CHECK(hugepage_bytes(p) == 0);
  if (!huge) WARN("the kernel gave no hugepage");
  CHECK(std::all_of(p, p + kPageblockSize, [](char c) { return c == 3; }));
  vm.release(p, kPageblockSize);
}

TEST_CASE("memory that is moved takes its hugepages along; renewed, its place is part of the mapping again",
          "[linux_vm][native]") {
  const Vm& vm = linux_vm;
  auto* const p = static_cast<char*>(vm.reserve(4 * kPageblockSize, kPageblockSize));
  REQUIRE(vm.commit(p, 4 * kPageblockSize));
  vm.advise_huge(p, 4 * kPageblockSize, true);
  std::memset(p, 3, 4 * kPageblockSize);
  const bool huge = hugepage_bytes(p) == 4 * kPageblockSize;
  if (!huge) WARN("the kernel gave no hugepage");
  char* const to = p + 2 * kPageblockSize;
  p[kPageblockSize] = 5;
  REQUIRE(vm.move(p, to, kPageblockSize));
  CHECK(to[0] == 3);
  CHECK(p[kPageblockSize] == 5);
  CHECK(all_zero(p, kPageblockSize));
  if (huge) CHECK(hugepage_bytes(to) == kPageblockSize);
  CHECK(vm.renew(to, kPageblockSize));
  CHECK(all_zero(to, kPageblockSize));
  CHECK(to[kPageblockSize] == 3);
  if (huge) CHECK(hugepage_bytes(p) == 2 * kPageblockSize);  // one mapping, with what was not moved
  vm.release(p, 4 * kPageblockSize);
}

TEST_CASE("locked memory is neither moved to nor renewed", "[linux_vm][native]") {
  const Vm& vm = linux_vm;
  auto* const p = static_cast<char*>(vm.reserve(2 * kPageblockSize, kPageblockSize));
  REQUIRE(vm.commit(p, 2 * kPageblockSize));
  std::memset(p, 3, 2 * kPageblockSize);
  REQUIRE(mlock(p + kPageblockSize, kPageSize) == 0);
  CHECK_FALSE(vm.move(p, p + kPageblockSize, kPageblockSize));
  CHECK(p[0] == 3);
  CHECK_FALSE(vm.renew(p + kPageblockSize, kPageblockSize));
  CHECK(p[kPageblockSize] == 3);
  vm.release(p, 2 * kPageblockSize);
}

TEST_CASE("the granule is a multiple of the buddy page", "[linux_vm]") {
  CHECK(granule() % kPageSize == 0);
  CHECK(kPageblockSize % granule() == 0);
}

TEST_CASE("physical_memory is what the kernel counts", "[linux_vm]") {
  const long pages = sysconf(_SC_PHYS_PAGES);
  CHECK(physical_memory() == static_cast<std::size_t>(pages) * granule());
}

}  // namespace
}  // namespace bm::os
