// test_direct_maps.cc: mappings of their own: found by their start only, counted exactly, resized, refused cleanly.
#include <catch2/catch.hpp>

#include <cstring>
#include <thread>
#include <vector>

#include "heap/direct_maps.h"
#include "os/vm.h"

using namespace bm;
using heap::DirectMaps;

namespace {

constexpr std::size_t kBig = std::size_t{3} << 20;

void* map_nothing(std::size_t, std::size_t) { return nullptr; }
void* map_nothing_huge(std::size_t bytes, std::size_t alignment) {
  return alignment > kPageSize ? nullptr : os::linux_vm.map(bytes, alignment);
}
void* remap_nothing(void*, std::size_t, std::size_t) { return nullptr; }

struct Fixture {
  explicit Fixture(std::size_t n = std::size_t{1} << 20) : bytes(n) {
    storage = static_cast<char*>(vm.reserve(bytes, pages::MetaSpace::kStep));
    REQUIRE(storage != nullptr);
    maps.init(vm, storage, bytes);
  }
  ~Fixture() { os::linux_vm.release(storage, bytes); }

  os::Vm vm = os::linux_vm;
  std::size_t bytes;
  char* storage;
  DirectMaps maps;
};

}  // namespace

TEST_CASE("a mapping is known by its start, counted, and forgotten when freed", "[heap][direct_maps]") {
  Fixture f;
  auto* const p = static_cast<char*>(f.maps.alloc(kBig + 1, 16));
  REQUIRE(p != nullptr);
  CHECK(f.maps.size(p) == align_up(kBig + 1, os::granule()));
  CHECK(f.maps.size(p + os::granule()) == 0);
  CHECK(f.maps.size(nullptr) == 0);
  CHECK(f.maps.count() == 1);
  CHECK(f.maps.total_bytes() == f.maps.size(p));
  p[0] = p[kBig] = 1;
  CHECK_FALSE(f.maps.free(p + 16));
  CHECK(f.maps.free(p));
  CHECK_FALSE(f.maps.free(p));
  CHECK(f.maps.size(p) == 0);
  CHECK(f.maps.count() == 0);
  CHECK(f.maps.total_bytes() == 0);
}

TEST_CASE("a mapping is aligned as asked and reads as zero", "[heap][direct_maps]") {
  Fixture f;
  for (std::size_t alignment = 1; alignment <= std::size_t{64} << 20; alignment *= 2) {
    auto* const p = static_cast<char*>(f.maps.alloc(kBig, alignment));
    REQUIRE(p != nullptr);
    CHECK(reinterpret_cast<std::uintptr_t>(p) % alignment == 0);
    CHECK((p[0] == 0 && p[kBig - 1] == 0));
    std::memset(p, 1, kBig);
    REQUIRE(f.maps.free(p));
  }
}

TEST_CASE("sizes beyond reason are refused and leave nothing behind", "[heap][direct_maps]") {
  Fixture f;
  CHECK(f.maps.alloc(SIZE_MAX, 16) == nullptr);
  CHECK(f.maps.alloc(std::size_t{PTRDIFF_MAX} + 1, 16) == nullptr);
  CHECK(f.maps.alloc(PTRDIFF_MAX, 16) == nullptr);
  CHECK(f.maps.alloc(4096, std::size_t{1} << 63) == nullptr);
  CHECK(f.maps.alloc(4096, std::size_t{1} << 62) == nullptr);
  CHECK(f.maps.count() == 0);
  CHECK(f.maps.total_bytes() == 0);
}

TEST_CASE("hundreds of mappings in few buckets are all found again", "[heap][direct_maps]") {
  Fixture f;
  std::vector<void*> all;
  for (std::size_t i = 0; i < 700; ++i) {
    all.push_back(f.maps.alloc((i + 1) * os::granule(), 16));
    REQUIRE(all.back() != nullptr);
  }
  for (std::size_t i = 0; i < all.size(); i += 2) REQUIRE(f.maps.free(all[i]));
  for (std::size_t i = 0; i < all.size(); ++i)
    REQUIRE(f.maps.size(all[i]) == (i % 2 == 0 ? 0 : (i + 1) * os::granule()));
  for (std::size_t i = 1; i < all.size(); i += 2) REQUIRE(f.maps.free(all[i]));
  CHECK(f.maps.count() == 0);
}

TEST_CASE("resize keeps contents and the count, over growing, shrinking and moving", "[heap][direct_maps]") {
  Fixture f;
  auto* p = static_cast<unsigned char*>(f.maps.alloc(kBig, 16));
  auto* const neighbour = static_cast<unsigned char*>(f.maps.alloc(kBig, 16));
  REQUIRE((p != nullptr && neighbour != nullptr));
  for (std::size_t i = 0; i < kBig; ++i) p[i] = static_cast<unsigned char>(i * 7 + (i >> 12));
  for (const std::size_t size : {2 * kBig, 40 * kBig, kBig / 2, kBig / 2 + 1, kBig / 2 + 1}) {
    p = static_cast<unsigned char*>(f.maps.resize(p, size));
    REQUIRE(p != nullptr);
    CHECK(f.maps.size(p) == align_up(size, os::granule()));
    CHECK(f.maps.count() == 2);
    CHECK(f.maps.total_bytes() == f.maps.size(p) + kBig);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < kBig / 2; ++i) wrong += p[i] != static_cast<unsigned char>(i * 7 + (i >> 12));
    CHECK(wrong == 0);
    p[size - 1] = static_cast<unsigned char>((size - 1) * 7 + ((size - 1) >> 12));
  }
  CHECK(f.maps.free(p));
  CHECK(f.maps.free(neighbour));
  CHECK(f.maps.resize(neighbour, kBig) == nullptr);
}

TEST_CASE("what the OS refuses changes nothing", "[heap][direct_maps]") {
  Fixture f;
  f.vm.map = map_nothing;
  for (int k = 0; k < 10; ++k) CHECK(f.maps.alloc(kBig, 16) == nullptr);
  CHECK(f.maps.count() == 0);
  f.vm.map = map_nothing_huge;  // space is short: no hugepage's alignment, but the block
  void* const p = f.maps.alloc(kBig, 16);
  REQUIRE(p != nullptr);
  CHECK(f.maps.alloc(kBig, std::size_t{8} << 20) == nullptr);  // an alignment that was asked for is no wish
  f.vm.remap = remap_nothing;
  CHECK(f.maps.resize(p, 2 * kBig) == nullptr);
  CHECK(f.maps.size(p) == kBig);
  CHECK(f.maps.free(p));
  CHECK(f.maps.total_bytes() == 0);
}

TEST_CASE("records run out after the reservation's number and come back", "[heap][direct_maps]") {
  Fixture f(pages::MetaSpace::kStep);
  std::vector<void*> all;
  while (void* const p = f.maps.alloc(1, 16)) all.push_back(p);
  CHECK(all.size() == pages::MetaSpace::kStep / 24 - 1);
  CHECK(f.maps.free(all.back()));
  all.back() = f.maps.alloc(1, 16);
  CHECK(all.back() != nullptr);
  for (void* const p : all) REQUIRE(f.maps.free(p));
}

TEST_CASE("threads that map and unmap at once end with nothing", "[heap][direct_maps][threads]") {
  Fixture f;
  std::atomic<int> lost{0};
  const auto churn = [&] {
    std::vector<void*> mine;
    for (std::size_t k = 0; k < 3000; ++k) {
      if (mine.size() < 8) {
        mine.push_back(f.maps.alloc((k % 5 + 1) * os::granule(), 16));
        if (mine.back() == nullptr) ++lost;
      } else if (k % 4 == 0) {
        if ((mine[3] = f.maps.resize(mine[3], (k % 9 + 1) * os::granule())) == nullptr) ++lost;
      } else {
        if (!f.maps.free(mine[k % 8])) ++lost;
        mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(k % 8));
      }
    }
    for (void* const p : mine)
      if (!f.maps.free(p)) ++lost;
  };
  std::thread a(churn);
  std::thread b(churn);
  churn();
  a.join();
  b.join();
  CHECK(lost == 0);
  CHECK(f.maps.count() == 0);
  CHECK(f.maps.total_bytes() == 0);
}
