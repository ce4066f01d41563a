// test_os_refuses.cc: a program that has started goes on when the OS refuses everything: frees, a fork, and what it declares
// critical. Every page without memory behind it is made unreadable first: to touch one is to die.  layer: tests
#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "buddymalloc/reclaim.h"
#include "tests/page_faults/faulty_process.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kPage = BM_PAGE_SIZE;
constexpr std::size_t kSmall = 10'000;

// Bit 63 of a page's word in /proc/self/pagemap: it has memory.
class Pagemap {
 public:
  Pagemap() : fd_(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC)) {}
  ~Pagemap() { close(fd_); }
  Pagemap(const Pagemap&) = delete;
  Pagemap& operator=(const Pagemap&) = delete;
  bool readable() const { return fd_ >= 0; }
  bool backed(const char* page) const {
    std::uint64_t word = 0;
    const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(page) / kPage * sizeof word);
    return pread(fd_, &word, sizeof word, at) == sizeof word && (word >> 63) != 0;
  }

 private:
  int fd_;
};

// Of all that was ever committed, page space and metadata alike.
std::size_t forbid_unbacked(const FakeVm& vm, const Pagemap& pagemap) {
  std::size_t forbidden = 0;
  for (const VmCall& call : vm.calls()) {
    if (call.op != VmOp::kCommit && call.op != VmOp::kMap) continue;
    for (char *at = call.start, *const end = call.start + call.bytes; at < end;) {
      char* to = at;
      while (to < end && !pagemap.backed(to)) to += kPage;
      if (to != at) {
        if (mprotect(at, static_cast<std::size_t>(to - at), PROT_NONE) != 0) return 0;
        forbidden += static_cast<std::size_t>(to - at) / kPage;
      }
      at = to + kPage;
    }
  }
  return forbidden;
}

bool critical_kib(int count) {
  for (int k = 0; k < count; ++k) {
    void* const p = bm_pages_alloc(0, BM_PAGES_CRITICAL);
    BM_CHILD_REQUIRE(p != nullptr);
    std::memset(p, 1, 1024);
  }
  return true;
}

bool child_lives(void** blocks, std::size_t count) {
  const pid_t child = fork();
  BM_CHILD_REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);
    const bool ok = [&] {
      for (std::size_t k = 0; k < count; ++k) bm_free(blocks[k]);
      BM_CHILD_REQUIRE(critical_kib(8));
      BM_CHILD_REQUIRE(bm_validate() == 0);
      return true;
    }();
    _exit(ok ? 0 : 1);
  }
  int status = 0;
  BM_CHILD_REQUIRE(waitpid(child, &status, 0) == child);
  BM_CHILD_REQUIRE(status == 0);
  return true;
}

bool goes_on() {
  static void* blocks[2 * kSmall];
  FakeVm vm;
  const Pagemap pagemap;
  BM_CHILD_REQUIRE(pagemap.readable());
  // A program at work: its blocks have come and gone before.
  for (int round = 0; round < 3; ++round) {
    for (std::size_t k = 0; k < 2 * kSmall; ++k) {
      const std::size_t bytes = 16 + k % 32 * 16;
      BM_CHILD_REQUIRE((blocks[k] = bm_malloc(bytes)) != nullptr);
      std::memset(blocks[k], 1, bytes);
    }
    if (round < 2)
      for (void* const p : blocks) bm_free(p);
  }
  BM_CHILD_REQUIRE(heap::process.zone.counters().reserved_highatomic >= 16);
  std::size_t refusals = 0;
  vm.refuse = [&refusals](const VmCall&) { return ++refusals != 0; };
  BM_CHILD_REQUIRE(forbid_unbacked(vm, pagemap) > 100);
  for (std::size_t k = 0; k < kSmall; ++k) bm_free(blocks[k]);
  BM_CHILD_REQUIRE(critical_kib(1));
  BM_CHILD_REQUIRE(child_lives(blocks + kSmall, kSmall));
  BM_CHILD_REQUIRE(critical_kib(8));
  for (std::size_t k = kSmall; k < 2 * kSmall; ++k) bm_free(blocks[k]);
  BM_CHILD_REQUIRE(bm_pages_alloc_exact(std::size_t{1} << 33, BM_PAGES_CRITICAL) == nullptr && errno == ENOMEM);
  BM_CHILD_REQUIRE(refusals != 0);
  BM_CHILD_REQUIRE(bm_validate() == 0);
  return contract_kept(vm);
}

std::size_t asked = 0;

bool shrinkers_are_asked() {
  FakeVm vm;
  bm_pages_free(bm_pages_alloc(0, 0), 0);
  bm_shrinker* const s = bm_shrinker_register([](void*) { return ++asked, std::size_t{0}; },
                                              [](void*, std::size_t) { return BM_SHRINK_STOP; }, nullptr);
  BM_CHILD_REQUIRE(s != nullptr);
  vm.refuse = [](const VmCall&) { return true; };
  constexpr std::size_t kTooMuch = std::size_t{1} << 33;
  BM_CHILD_REQUIRE(bm_pages_alloc_exact(kTooMuch, 0) == nullptr && errno == ENOMEM && asked != 0);
  asked = 0;
  BM_CHILD_REQUIRE(bm_cma_reserve(kTooMuch, 0) == nullptr && errno == ENOMEM && asked != 0);
  bm_shrinker_unregister(s);
  return bm_validate() == 0;
}

}  // namespace

TEST_CASE("before pages or a contiguous range are refused, shrinkers are asked", "[page_faults]") {
  const Ending e = in_child(shrinkers_are_asked);
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

TEST_CASE("with the OS refusing memory, 10 000 frees, a fork and critical allocations succeed", "[page_faults]") {
  const Ending e = in_child(goes_on);
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}
