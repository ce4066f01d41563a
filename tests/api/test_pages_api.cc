// test_pages_api.cc: the public page API: alignment, what freeing accepts, errno, ranges, isolation, misuse.  layer: tests
#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "buddymalloc/movable.h"
#include "buddymalloc/pages.h"
#include "buddymalloc/pages.hpp"
#include "heap/page_api.h"
#include "support/child.h"
#include "support/random.h"
#include "tests/api/test_support.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kPage = BM_PAGE_SIZE, kBlockBytes = BM_PAGEBLOCK_SIZE;

char* plus(void* p, std::size_t bytes) { return static_cast<char*>(p) + bytes; }

pages::Migratetype type_at(const void* p) {
  Pfn page;
  if (!heap::process.map.find(p, page)) return pages::Migratetype::kIsolate;
  return heap::process.map.block(page.block()).migratetype;
}

// In pages; what threads hold ready counts as in use.
std::size_t pages_in_use() {
  pages::Zone::Counters c;
  heap::process.nodes.for_each_zone([&](pages::Zone& zone) { c += zone.counters(); });
  return c.opened_pages - c.free_pages;
}

void check_fatal(const char* message, const std::function<void()>& body) {
  const Ending o = in_child([&] {
    body();
    return true;
  });
  INFO("stderr: " << o.text);
  CHECK(o.signal == SIGABRT);
  CHECK(o.text.find(std::string("buddymalloc: ") + message) == 0);
}

constexpr const char* kBadFree =
    "bm_pages_free of pages that are free, of another order or not from bm_pages_alloc: 0x";

}  // namespace

TEST_CASE("runs of every order are aligned to their size, writable, and apart from malloc", "[api][pages]") {
  for (unsigned order = 0; order <= BM_PAGES_MAX_ORDER; ++order)
    for (const unsigned type : {BM_PAGES_UNMOVABLE, BM_PAGES_MOVABLE, BM_PAGES_RECLAIMABLE}) {
      const std::size_t bytes = kPage << order;
      void* const p = bm_pages_alloc(order, type);
      REQUIRE(p != nullptr);
      CHECK(aligned(p, bytes));
      CHECK(static_cast<unsigned>(type_at(p)) == type);
      std::memset(p, 1, bytes);
      CHECK(bm_owns(p) == 0);
      CHECK(bm_usable_size(p) == 0);
      CHECK(errno_after([&] { bm_pages_free(p, order); }) == kUntouched);
    }
  bm_pages_free(nullptr, 0);
  bm_pages_free_exact(nullptr, 5);
  CHECK(bm_validate() == 0);
}

TEST_CASE("zeroed pages are zero, from the thread's list and beyond", "[api][pages]") {
  for (unsigned order = 0; order <= BM_PAGES_MAX_ORDER; ++order)
    for (int k = 0; k < 3; ++k) {
      void* const p = bm_pages_alloc(order, BM_PAGES_MOVABLE | BM_PAGES_ZERO);
      REQUIRE(p != nullptr);
      CHECK(all_bytes_are(p, 0, kPage << order));
      std::memset(p, 0xFF, kPage << order);
      bm_pages_free(p, order);
    }
  void* const p = bm_pages_alloc_exact(5 * kPage, BM_PAGES_MOVABLE | BM_PAGES_ZERO | BM_PAGES_CRITICAL);
  CHECK(all_bytes_are(p, 0, 5 * kPage));
  bm_pages_free_exact(p, 5 * kPage);
}

TEST_CASE("arguments that are not allowed are EINVAL, what cannot be had is ENOMEM", "[api][pages]") {
  const auto refused = [](auto call) { return errno_after([&] { CHECK(call() == nullptr); }); };
  CHECK(refused([] { return bm_pages_alloc(BM_PAGES_MAX_ORDER + 1, 0); }) == EINVAL);
  CHECK(refused([] { return bm_pages_alloc(~0U, 0); }) == EINVAL);
  CHECK(refused([] { return bm_pages_alloc(0, 3); }) == EINVAL);
  for (unsigned bit = 7; bit < 32; bit = bit == 7 ? 16 : bit + 1)
    for (const unsigned flags : {1U << bit, BM_PAGES_MOVABLE | 1U << bit}) {
      CHECK(refused([=] { return bm_pages_alloc(0, flags); }) == EINVAL);
      CHECK(refused([=] { return bm_pages_alloc_exact(1, flags); }) == EINVAL);
      CHECK(refused([=] { return bm_cma_reserve(1, flags); }) == EINVAL);
    }
  CHECK(refused([] { return bm_pages_alloc(0, BM_PAGES_DMA32 | BM_PAGES_HUGETLB); }) == EINVAL);
  for (const unsigned flag : {BM_PAGES_MOVABLE, BM_PAGES_ZERO, BM_PAGES_CRITICAL})
    CHECK(refused([=] { return bm_cma_reserve(1, flag); }) == EINVAL);
  CHECK(refused([] { return bm_pages_alloc_exact(0, 0); }) == EINVAL);
  CHECK(refused([] { return bm_pages_alloc_exact(hidden(SIZE_MAX), 0); }) == ENOMEM);
  CHECK(refused([] { return bm_pages_alloc_exact(hidden(PTRDIFF_MAX), 0); }) == ENOMEM);
  CHECK(refused([] { return bm_cma_reserve(0, 0); }) == EINVAL);
  CHECK(refused([] { return bm_cma_reserve(hidden(SIZE_MAX), 0); }) == ENOMEM);
  CHECK(refused([] { return bm_cma_reserve(hidden(PTRDIFF_MAX), 0); }) == ENOMEM);
  CHECK(errno_after([] { bm_pages_free(bm_pages_alloc(3, 0), 3); }) == kUntouched);
}

TEST_CASE("exact runs take the pages they need and no more", "[api][pages]") {
  bm_trim(0);
  const std::size_t before = pages_in_use();
  for (const std::size_t bytes : {std::size_t{1}, 3 * kPage, 3 * kPage + 1, 100 * kPage, 3 * kBlockBytes + 5}) {
    const std::size_t n = (bytes + kPage - 1) / kPage;
    void* const p = bm_pages_alloc_exact(bytes, BM_PAGES_MOVABLE);
    REQUIRE(p != nullptr);
    CHECK(pages_in_use() == before + n);
    CHECK(aligned(p, kPage));
    std::memset(p, 1, n * kPage);
    bm_pages_free_exact(p, n * kPage);  // as many pages
    CHECK(pages_in_use() == before);
  }
  CHECK(bm_validate() == 0);
}

TEST_CASE("the pages of a split run are freed one by one or in aligned parts", "[api][pages]") {
  bm_trim(0);
  const std::size_t before = pages_in_use();
  for (const unsigned order : {0U, 1U, 4U, 9U, 10U}) {
    void* const p = bm_pages_alloc(order, BM_PAGES_UNMOVABLE);
    bm_pages_split(p, order);
    std::memset(p, 7, kPage << order);
    for (std::size_t k = 0; k < std::size_t{1} << order; ++k) bm_pages_free(plus(p, k * kPage), 0);
  }
  char* const p = static_cast<char*>(bm_pages_alloc(6, BM_PAGES_UNMOVABLE));
  bm_pages_split(p, 6);
  bm_pages_free(p + 32 * kPage, 5);
  bm_pages_free(p + 8 * kPage, 3);
  bm_pages_free(p + 4 * kPage, 2);
  for (const int k : {0, 1, 2, 3, 16, 17}) bm_pages_free(p + static_cast<std::size_t>(k) * kPage, 0);
  bm_pages_free(p + 18 * kPage, 1);
  bm_pages_free(p + 20 * kPage, 2);
  CHECK(bm_validate() == 0);
  bm_pages_free(p + 24 * kPage, 3);
  bm_trim(0);
  CHECK(pages_in_use() == before);
}

TEST_CASE("pages that another thread freed, or a thread that is gone kept, are not lost", "[api][pages]") {
  bm_trim(0);
  const std::size_t before = pages_in_use();
  std::vector<void*> all(300);
  for (auto& p : all) p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
  std::thread([&] {
    for (void* const p : all) bm_pages_free(p, 0);
    bm_pages_free(bm_pages_alloc(2, 0), 2);
  }).join();
  bm_trim(0);
  CHECK(pages_in_use() <= before + 8);  // the thread's own small objects may live in a slab
  CHECK(bm_validate() == 0);
}

TEST_CASE("random use of every function: no page twice, contents kept, nothing lost", "[api][pages]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  bm_trim(0);
  const std::size_t before = pages_in_use();
  struct Live {
    char* start;
    std::size_t pages;
    int order;  // -1: exact
    char mark;
  };
  std::vector<Live> live;
  Random random;
  const auto release = [](const Live& l) {
    bool ok = true;
    for (std::size_t k = 0; k < l.pages; ++k) ok &= l.start[k * kPage] == l.mark;
    if (l.order < 0)
      bm_pages_free_exact(l.start, l.pages * kPage);
    else
      bm_pages_free(l.start, static_cast<unsigned>(l.order));
    return ok;
  };
  for (int n = 0; n < 20000; ++n) {
    if (live.size() < 20 || (live.size() < 400 && random.one_in(2))) {
      Live l{nullptr, random.between(1, 40), -1, static_cast<char>(random.between(1, 100))};
      const auto type = static_cast<unsigned>(random.below(3));
      if (random.one_in(3)) {
        l.start = static_cast<char*>(bm_pages_alloc_exact(l.pages * kPage, type));
      } else {
        l.order = static_cast<int>(random.below(random.one_in(20) ? 11 : 6));
        l.pages = std::size_t{1} << l.order;
        l.start = static_cast<char*>(bm_pages_alloc(static_cast<unsigned>(l.order), type));
      }
      REQUIRE(l.start != nullptr);
      for (std::size_t k = 0; k < l.pages; ++k) l.start[k * kPage] = l.mark;
      if (l.order > 0 && random.one_in(4)) {  // its pages go their own ways
        bm_pages_split(l.start, static_cast<unsigned>(l.order));
        for (std::size_t k = 0; k < l.pages; ++k) live.push_back({l.start + k * kPage, 1, 0, l.mark});
        continue;
      }
      live.push_back(l);
    } else {
      std::swap(live[random.below(live.size())], live.back());
      REQUIRE(release(live.back()));
      live.pop_back();
    }
    if (random.one_in(2000)) REQUIRE(bm_validate() == 0);
    if (random.one_in(2000)) bm_trim(0);
  }
  for (const Live& l : live) CHECK(release(l));
  bm_trim(0);
  CHECK(pages_in_use() == before);
  CHECK(bm_validate() == 0);
}

TEST_CASE("a contiguous range serves large aligned requests, gives back, and ends when nothing is in use",
          "[api][cma]") {
  void* const area = bm_cma_reserve(3 * kBlockBytes - 5, 0);
  REQUIRE(area != nullptr);
  CHECK(aligned(area, 2 * kBlockBytes));
  CHECK(type_at(area) == pages::Migratetype::kCma);
  CHECK(type_at(plus(area, 3 * kBlockBytes - 1)) == pages::Migratetype::kCma);
  CHECK(type_at(plus(area, 3 * kBlockBytes)) != pages::Migratetype::kCma);
  void* const a = bm_cma_alloc(area, kBlockBytes + 1, 0);
  CHECK(a == area);
  void* const b = bm_cma_alloc(area, kPage, 64 * kPage);
  CHECK(b == plus(area, kBlockBytes + 64 * kPage));
  void* const c = bm_cma_alloc(area, 5, 1);
  CHECK(c == plus(area, kBlockBytes + kPage));
  std::memset(a, 1, kBlockBytes + 1);
  CHECK(bm_owns(a) == 0);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, 3 * kBlockBytes, 0) == nullptr); }) == ENOMEM);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, hidden(SIZE_MAX), 0) == nullptr); }) == ENOMEM);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, 0, 0) == nullptr); }) == EINVAL);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, 1, 48) == nullptr); }) == EINVAL);
  CHECK(errno_after([&] { CHECK(bm_cma_release(area) == -1); }) == EBUSY);
  CHECK(bm_validate() == 0);
  bm_cma_free(area, a, kBlockBytes + 1);
  bm_cma_free(area, b, kPage);
  CHECK(bm_cma_alloc(area, kBlockBytes, kBlockBytes) == area);
  CHECK(bm_cma_alloc(area, kBlockBytes, kBlockBytes) == plus(area, 2 * kBlockBytes));  // c is in the way
  bm_cma_free(area, c, 1);
  bm_cma_free(area, nullptr, 1);
  bm_cma_free(area, area, kBlockBytes);
  bm_cma_free(area, plus(area, 2 * kBlockBytes), kBlockBytes);
  CHECK(errno_after([&] { CHECK(bm_cma_release(area) == 0); }) == kUntouched);
  CHECK(type_at(area) == pages::Migratetype::kMovable);
  CHECK(bm_validate() == 0);
}

TEST_CASE("what is lent from a contiguous range and cannot be moved is EBUSY", "[api][cma]") {
  void* const area = bm_cma_reserve(kBlockBytes, 0);
  Pfn first;
  REQUIRE(heap::process.map.find(area, first));
  pages::Zone& zone = heap::process.nodes.zone_of(first);
  pages::Run lent;
  std::vector<pages::Run> others;
  for (;;) {  // a movable pageblock with room is preferred to the range
    REQUIRE(
        zone.alloc(64, pages::Migratetype::kMovable, lent, 0, pages::Placement::kPacked, pages::Request::kRelocatable));
    if (heap::process.map.address(lent.first) == area) break;
    others.push_back(lent);
  }
  void* const rest = bm_cma_alloc(area, kBlockBytes / 2, 0);
  CHECK(rest == plus(area, 64 * kPage));
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, kBlockBytes / 2, 0) == nullptr); }) == EBUSY);
  CHECK(errno_after([&] { CHECK(bm_cma_release(area) == -1); }) == EBUSY);
  zone.free(lent.first, lent.pages);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, kBlockBytes / 2, 0) == nullptr); }) == ENOMEM);
  bm_cma_free(area, rest, kBlockBytes / 2);
  CHECK(bm_cma_release(area) == 0);
  for (const auto& run : others) zone.free(run.first, run.pages);
}

TEST_CASE("what is lent from a contiguous range to blocks under handles moves away, unless pinned", "[api][cma]") {
  constexpr std::size_t kBytes = 8 * kPage;
  bm_trim(0);
  void* const area = bm_cma_reserve(3 * kBlockBytes, 0);
  const auto lent = [&](bm_movable block) {
    const auto* const at = static_cast<char*>(bm_movable_pin(block));
    bm_movable_unpin(block);
    return static_cast<std::size_t>(at - static_cast<char*>(area)) < 3 * kBlockBytes;
  };
  void* const ours = bm_cma_alloc(area, kPage, 0);
  std::vector<bm_movable> blocks;
  std::size_t in_area = 0;
  while (in_area < 100) {  // what other pageblocks have comes first
    blocks.push_back(bm_movable_alloc(kBytes));
    REQUIRE(blocks.back() != 0);
    std::memset(bm_movable_pin(blocks.back()), static_cast<int>(blocks.size() % 100), kBytes);
    bm_movable_unpin(blocks.back());
    in_area += lent(blocks.back()) ? 1 : 0;
    REQUIRE(blocks.size() < 20000);
  }
  for (std::size_t k = 0; k < blocks.size(); ++k)  // room to move to
    if (!lent(blocks[k])) bm_movable_free(std::exchange(blocks[k], 0));
  const auto pinned = std::find_if(blocks.begin(), blocks.end(), [&](bm_movable b) { return b != 0 && lent(b); });
  bm_movable_pin(*pinned);
  CHECK(errno_after([&] { CHECK(bm_cma_alloc(area, 3 * kBlockBytes - kPage, 0) == nullptr); }) == EBUSY);
  bm_movable_unpin(*pinned);
  bm_cma_free(area, ours, kPage);
  void* const all = bm_cma_alloc(area, 3 * kBlockBytes, 0);
  CHECK(all == area);
  for (std::size_t k = 0; k < blocks.size(); ++k) {
    if (blocks[k] == 0) continue;
    CHECK_FALSE(lent(blocks[k]));
    CHECK(all_bytes_are(bm_movable_pin(blocks[k]), static_cast<unsigned char>((k + 1) % 100), kBytes));
    bm_movable_unpin(blocks[k]);
    bm_movable_free(blocks[k]);
  }
  bm_cma_free(area, all, 3 * kBlockBytes);
  CHECK(bm_cma_release(area) == 0);
  CHECK(bm_validate() == 0);
}

TEST_CASE("nothing is allocated from isolated pageblocks, whoever freed pages there before or after",
          "[api][isolate]") {
  constexpr std::size_t kBytes = 2 * kBlockBytes;
  void* const run = bm_pages_alloc(10, BM_PAGES_MOVABLE);
  bm_pages_split(run, 10);
  const auto inside = [&](const void* p) {
    return static_cast<std::size_t>(static_cast<const char*>(p) - static_cast<char*>(run)) < kBytes;
  };
  for (std::size_t k = 0; k < 20; ++k) bm_pages_free(plus(run, k * kPage), 0);  // on this thread's list, in part
  bool others_had_some = false;
  std::thread([&] {
    for (std::size_t k = 20; k < 40; ++k) bm_pages_free(plus(run, k * kPage), 0);
    CHECK(errno_after([&] { CHECK(bm_pages_isolate(run, kBytes) == 0); }) == kUntouched);
    others_had_some = true;
  }).join();
  CHECK(others_had_some);
  CHECK(errno_after([&] { CHECK(bm_pages_isolate(plus(run, kBlockBytes), kBlockBytes) == -1); }) == EBUSY);
  for (std::size_t k = 40; k < 100; ++k) bm_pages_free(plus(run, k * kPage), 0);
  bm_pages_free(plus(run, kBlockBytes), 9);
  std::vector<void*> all(2000);
  for (auto& p : all) {
    p = bm_pages_alloc(0, BM_PAGES_MOVABLE);
    REQUIRE(p != nullptr);
    REQUIRE_FALSE(inside(p));
  }
  CHECK(bm_validate() == 0);
  CHECK(bm_pages_unisolate(run, kBytes) == 0);
  for (void* const p : all) bm_pages_free(p, 0);
  for (std::size_t k = 100; k < 512; ++k) bm_pages_free(plus(run, k * kPage), 0);
  CHECK(bm_validate() == 0);

  int on_stack = 0;
  const auto refused = [](void* start, std::size_t bytes) {
    return errno_after([&] { CHECK(bm_pages_isolate(start, bytes) == -1); }) == EINVAL &&
           errno_after([&] { CHECK(bm_pages_unisolate(start, bytes) == -1); }) == EINVAL;
  };
  CHECK(refused(run, 0));
  CHECK(refused(run, kPage));
  CHECK(refused(plus(run, kPage), kBlockBytes));
  CHECK(refused(&on_stack, kBlockBytes));
  CHECK(refused(nullptr, kBlockBytes));
  CHECK(refused(run, std::size_t{1} << 50));
  CHECK(refused(run, hidden(SIZE_MAX) & ~(kBlockBytes - 1)));
}

TEST_CASE("misuse of pages ends the program with a message", "[api][pages][fatal]") {
  const auto alloc = [](unsigned order) { return bm_pages_alloc(order, BM_PAGES_MOVABLE); };
  for (const unsigned order : {0U, 3U, 5U, 10U}) {
    check_fatal(kBadFree, [&] {
      void* const p = alloc(order);
      bm_pages_free(p, order);
      bm_pages_free(p, order);
    });
    check_fatal(kBadFree, [&] { bm_pages_free(alloc(order), order + 1); });
    check_fatal(kBadFree, [&] { bm_pages_free(plus(alloc(order), 8), order); });
    if (order != 0) check_fatal(kBadFree, [&] { bm_pages_free(alloc(order), order - 1); });
    if (order != 0) check_fatal(kBadFree, [&] { bm_pages_free(plus(alloc(order), kPage), 0); });
  }
  check_fatal(kBadFree, [&] { bm_pages_free(alloc(0), 99); });
  check_fatal(kBadFree, [&] {
    int on_stack = 0;
    bm_pages_free(&on_stack, 0);
  });
  check_fatal(kBadFree, [&] {
    alignas(4096) static char foreign[4096];
    bm_pages_free(foreign, 0);
  });
  check_fatal(kBadFree, [] { bm_pages_free(bm_aligned_alloc(4096, 4096), 0); });
  check_fatal(kBadFree, [] { bm_pages_free(bm_malloc(3 << 20), 0); });
  check_fatal(kBadFree, [] { bm_pages_free(bm_pages_alloc_exact(4096, 0), 0); });
  // parts of a split run
  const auto split = [&](unsigned order) {
    void* const p = alloc(order);
    bm_pages_split(p, order);
    return p;
  };
  check_fatal(kBadFree, [&] { bm_pages_free(plus(split(3), kPage), 1); });  // not aligned
  check_fatal(kBadFree, [&] {
    void* const p = split(3);
    bm_pages_free(plus(p, 3 * kPage), 0);
    bm_pages_free(p, 2);
  });
  check_fatal("bm_pages_split of pages that are free, of another order or not from bm_pages_alloc: 0x",
              [&] { bm_pages_split(split(3), 3); });
  check_fatal("bm_pages_split", [&] { bm_pages_split(alloc(3), 2); });
  check_fatal("bm_pages_split", [&] { bm_pages_split(alloc(3), 77); });
  // exact runs
  constexpr const char* kBadExact =
      "bm_pages_free_exact of pages that are free, of another size or not from bm_pages_alloc_exact: 0x";
  check_fatal(kBadExact, [] { bm_pages_free_exact(bm_pages_alloc_exact(3 * kPage, 0), 4 * kPage); });
  check_fatal(kBadExact, [&] { bm_pages_free_exact(alloc(0), kPage); });
  check_fatal(kBadExact, [] {
    void* const p = bm_pages_alloc_exact(3 * kPage, 0);
    bm_pages_free_exact(p, 3 * kPage);
    bm_pages_free_exact(p, 3 * kPage);
  });
  // contiguous ranges
  constexpr const char* kBadCma =
      "bm_cma_free of pages that are free, of another size or area, or not from bm_cma_alloc: 0x";
  check_fatal(kBadCma, [] {
    void* const area = bm_cma_reserve(kBlockBytes, 0);
    bm_cma_free(area, bm_cma_alloc(area, kPage, 0), 2 * kPage);
  });
  check_fatal(kBadCma, [] {
    void* const area = bm_cma_reserve(kBlockBytes, 0);
    void* const other = bm_cma_reserve(kBlockBytes, 0);
    bm_cma_free(area, bm_cma_alloc(other, kPage, 0), kPage);
  });
  constexpr const char* kNoArea = "no area of bm_cma_reserve begins at: 0x";
  check_fatal(kNoArea, [] {
    void* const area = bm_cma_reserve(2 * kBlockBytes, 0);
    bm_cma_alloc(plus(area, kBlockBytes), kPage, 0);
  });
  check_fatal(kNoArea, [] {
    void* const area = bm_cma_reserve(kBlockBytes, 0);
    bm_cma_release(area);
    bm_cma_release(area);
  });
  check_fatal(kNoArea, [&] { bm_cma_alloc(alloc(10), kPage, 0); });
}

TEST_CASE("malloc's free and realloc do not take pages", "[api][pages][fatal]") {
  for (auto* const make : {+[] { return bm_pages_alloc(0, 0); }, +[] { return bm_pages_alloc(7, 0); },
                           +[] { return bm_pages_alloc_exact(5000, 0); },
                           +[] { return bm_cma_alloc(bm_cma_reserve(kBlockBytes, 0), 10000, 0); }}) {
    check_fatal("double free, or free of a pointer that no malloc returned: 0x", [&] { bm_free(make()); });
    check_fatal("realloc of a pointer that no malloc returned: 0x", [&] { bm_realloc(make(), 10); });
  }
  check_fatal("double free, or free of a pointer that no malloc returned: 0x", [] {
    void* const p = bm_pages_alloc(3, 0);
    bm_pages_split(p, 3);
    bm_free(p);
  });
}

TEST_CASE("a child of a fork frees what its thread had and allocates on", "[api][pages][fork]") {
  std::vector<void*> all(200);
  for (auto& p : all) p = bm_pages_alloc(1, BM_PAGES_MOVABLE);
  const Ending e = in_child([&] {
    for (void* const p : all) bm_pages_free(p, 1);
    for (auto& p : all) p = bm_pages_alloc(1, BM_PAGES_MOVABLE);
    return std::set<void*>(all.begin(), all.end()).size() == all.size() && bm_validate() == 0;
  });
  INFO(e.text);
  CHECK(e.ok);
  for (void* const p : all) bm_pages_free(p, 1);
}

TEST_CASE("a PageRun gives its pages back once", "[api][pages]") {
  using buddymalloc::PageRun;
  bm_trim(0);
  const std::size_t before = pages_in_use();
  {
    PageRun a = PageRun::of_order(5), b = PageRun::of_bytes(3 * kPage + 1, BM_PAGES_MOVABLE | BM_PAGES_ZERO), none;
    REQUIRE(a);
    REQUIRE(b);
    CHECK_FALSE(none);
    CHECK(a.size() == kPage << 5);
    CHECK(b.size() == 4 * kPage);
    CHECK(all_bytes_are(b.data(), 0, b.size()));
    none = std::move(a);
    CHECK(none.size() == kPage << 5);
    CHECK(a.size() == 0);  // NOLINT: moved from on purpose
    a = std::move(b);
    b = std::move(none);
    void* const mine = b.release();
    CHECK_FALSE(b);
    bm_pages_free(mine, 5);
    CHECK(errno_after([] { CHECK_FALSE(PageRun::of_order(0, 3)); }) == EINVAL);
  }
  bm_trim(0);
  CHECK(pages_in_use() == before);
}
