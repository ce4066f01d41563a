// test_fault_sweep.cc: every call to the OS fails once in turn, inside every public page operation: the operation works all
// the same or says ENOMEM, every invariant holds, and in the end nothing is in use.  layer: tests
#include <catch2/catch.hpp>

#include <pthread.h>

#include <cstdlib>
#include <cstring>

#include "tests/page_faults/faulty_process.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kPage = BM_PAGE_SIZE, kBlock = BM_PAGEBLOCK_SIZE;
constexpr unsigned kTypes[] = {BM_PAGES_UNMOVABLE, BM_PAGES_MOVABLE, BM_PAGES_RECLAIMABLE};

std::size_t refused = 0;

// False: a call failed with another error than ENOMEM, or succeeded and changed errno.
bool told_well(bool succeeded) {
  if (!succeeded) ++refused;
  const bool well = errno == (succeeded ? 0 : ENOMEM);
  errno = 0;
  return well;
}

bool clean() { return bm_validate() == 0; }

// Runs of every order and type, touched at both ends; whole, split, and as parts.
bool orders_and_parts() {
  void* run[BM_PAGES_MAX_ORDER + 1][3];
  for (unsigned order = 0; order <= BM_PAGES_MAX_ORDER; ++order)
    for (unsigned t = 0; t < 3; ++t) {
      const unsigned more = order % 3 == 0 ? BM_PAGES_ZERO : order % 3 == 1 ? BM_PAGES_CRITICAL : 0;
      char* const p = static_cast<char*>(run[order][t] = bm_pages_alloc(order, kTypes[t] | more));
      BM_CHILD_REQUIRE(told_well(p != nullptr));
      if (p == nullptr) continue;
      BM_CHILD_REQUIRE(more != BM_PAGES_ZERO || (p[0] == 0 && p[(kPage << order) - 1] == 0));
      p[0] = p[(kPage << order) - 1] = 1;
    }
  BM_CHILD_REQUIRE(clean());
  for (unsigned order = 0; order <= BM_PAGES_MAX_ORDER; ++order)
    for (unsigned t = 0; t < 3; ++t) {
      char* const p = static_cast<char*>(run[order][t]);
      if (t != 0 || order == 0 || p == nullptr) {
        bm_pages_free(p, order);
        continue;
      }
      bm_pages_split(p, order);
      bm_pages_free(p + (kPage << (order - 1)), order - 1);
      for (std::size_t k = 0; k < std::size_t{1} << (order - 1); ++k) bm_pages_free(p + k * kPage, 0);
    }
  return true;
}

// More than the marks let lie free: the purges are part of freeing.
bool exact_runs() {
  void* run[14];
  std::size_t bytes = 1;
  for (void*& p : run) {
    p = bm_pages_alloc_exact(bytes, BM_PAGES_MOVABLE);
    BM_CHILD_REQUIRE(told_well(p != nullptr));
    if (p != nullptr) std::memset(p, 1, bytes);
    bytes = bytes * 5 / 2 + 1;
    if (bytes > 8 * kBlock) bytes = 7 * kBlock - 1;
  }
  BM_CHILD_REQUIRE(clean());
  bytes = 1;
  for (void* const p : run) {
    bm_pages_free_exact(p, bytes);
    bytes = bytes * 5 / 2 + 1;
    if (bytes > 8 * kBlock) bytes = 7 * kBlock - 1;
  }
  return true;
}

bool contiguous_ranges() {
  void* const area = bm_cma_reserve(5 * kBlock, 0);
  BM_CHILD_REQUIRE(told_well(area != nullptr));
  if (area == nullptr) return true;
  void* const a = bm_cma_alloc(area, 3 * kBlock, 0);
  BM_CHILD_REQUIRE(told_well(a != nullptr) && a != nullptr);  // it was reserved: the OS is not asked
  void* const b = bm_cma_alloc(area, kPage, kBlock);
  BM_CHILD_REQUIRE(told_well(b != nullptr) && b != nullptr);
  BM_CHILD_REQUIRE(bm_cma_alloc(area, 3 * kBlock, 0) == nullptr && errno == ENOMEM);
  errno = 0;
  std::memset(a, 1, kBlock);
  bm_cma_free(area, a, 3 * kBlock);
  bm_cma_free(area, b, kPage);
  BM_CHILD_REQUIRE(bm_cma_release(area) == 0);
  return true;
}

bool isolation() {
  void* const run = bm_pages_alloc(10, BM_PAGES_RECLAIMABLE);
  BM_CHILD_REQUIRE(told_well(run != nullptr));
  if (run == nullptr) return true;
  BM_CHILD_REQUIRE(bm_pages_isolate(run, 2 * kBlock) == 0);
  bm_pages_free(run, 10);
  BM_CHILD_REQUIRE(clean());
  BM_CHILD_REQUIRE(bm_pages_unisolate(run, 2 * kBlock) == 0);
  return true;
}

bool one_life() {
  errno = 0;
  for (int round = 0; round < 2; ++round) {
    BM_CHILD_REQUIRE(orders_and_parts() && clean());
    BM_CHILD_REQUIRE(contiguous_ranges() && clean());
    BM_CHILD_REQUIRE(exact_runs() && clean());
    BM_CHILD_REQUIRE(isolation() && clean());
  }
  return true;
}

void* as_thread(void* ok) {
  *static_cast<bool*>(ok) = one_life();
  return ok;
}

// Another thread has a heap of its own, which costs the OS's leave too.
bool whole_life() {
  BM_CHILD_REQUIRE(one_life());
  bool ok = false;
  pthread_t other;
  BM_CHILD_REQUIRE(pthread_create(&other, nullptr, as_thread, &ok) == 0);
  pthread_join(other, nullptr);
  BM_CHILD_REQUIRE(ok);
  bm_trim(0);
  BM_CHILD_REQUIRE(clean());
  if (heap::process.ready()) BM_CHILD_REQUIRE(pages_in_use() == 0);
  return true;
}

constexpr const char* kEnd = "no such call";

Ending life_with_fault(std::size_t k, FaultVm::Kind kind) {
  return in_child([&] {
    setenv("BUDDYMALLOC_BACKGROUND", "0", 1);  // its purges would be calls at any time
    FaultVm vm(k, kind);
    const bool ok = whole_life() && contract_kept(vm);
    if (vm.asked() < k) {
      BM_CHILD_REQUIRE(refused == 0);
      std::fputs(kEnd, stderr);
    } else if (kind == FaultVm::kFromThenOn && k < 4) {
      BM_CHILD_REQUIRE(refused != 0);
    } else if (kind == FaultVm::kOnce) {
      refused = 0;
      BM_CHILD_REQUIRE(one_life() && refused == 0);  // it has recovered
    }
    return ok;
  });
}

void sweep(FaultVm::Kind kind) {
  std::size_t k = 0;
  for (Ending e; e.text != kEnd;) {
    e = life_with_fault(++k, kind);
    INFO("call " << k << ": " << e.text << " signal " << e.signal);
    REQUIRE(e.ok);
    REQUIRE(k < 1000);
  }
  CHECK(k > 12);  // the OS was asked for something
}

}  // namespace

TEST_CASE("the k-th call to the OS fails, for every k", "[page_faults]") { sweep(FaultVm::kOnce); }

TEST_CASE("all calls from the k-th on fail, for every k", "[page_faults]") { sweep(FaultVm::kFromThenOn); }
