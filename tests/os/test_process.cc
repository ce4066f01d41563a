// test_process.cc: a child knows that it is one, however it came about; threads and their ends.  layer: tests
#include "os/process.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/lock.h"
#include "os/syscall.h"
#include "os/vm.h"
#include "support/child.h"

namespace bm::os {
namespace {

using Claim = ForkSentinel::Claim;

struct Page {
  explicit Page(int fd = -1)
      : at(mmap(nullptr, granule(), PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE, fd,
                0)) {}
  ~Page() { munmap(at, granule()); }
  void* at;
};

bool told_once(ForkSentinel& s) {
  if (!s.forked() || s.claim() != Claim::kMine) return false;
  s.settle();
  return !s.forked() && s.claim() == Claim::kNone;
}

// Of several threads that find out at once, one settles, and the others wait until it has.
bool one_thread_settles(ForkSentinel& s) {
  std::atomic<int> claims = 0, early = 0;
  std::atomic<bool> settled = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      if (!s.forked()) return;
      if (s.claim() == Claim::kMine) {
        ++claims;
        usleep(20000);
        settled = true;
        s.settle();
      } else {
        early += !settled;
      }
    });
  for (std::thread& t : threads) t.join();
  return claims == 1 && early == 0 && !s.forked();
}

void check_children_of(ForkSentinel& s) {
  CHECK_FALSE(s.forked());
  CHECK(s.claim() == Claim::kNone);
  CHECK(test::in_child([&] { return told_once(s); }).ok);
  CHECK(test::in_child([&] { return told_once(s); }, [] { return _Fork(); }).ok);
  CHECK(test::in_child([&] { return told_once(s); }, test::fork_by_clone).ok);
  CHECK(test::in_child([&] { return one_thread_settles(s); }).ok);
  const auto grandchild = [&] { return told_once(s) && test::in_child([&] { return told_once(s); }).ok; };
  CHECK(test::in_child(grandchild).ok);
  CHECK_FALSE(s.forked());
}

TEST_CASE("before init nobody is a child", "[process]") {
  ForkSentinel s;
  CHECK_FALSE(s.forked());
}

TEST_CASE("fork, _Fork, raw clone, grandchildren: each child is told once", "[process][fork]") {
  Page page;
  ForkSentinel s;
  errno = EOWNERDEAD;
  s.init(page.at);
  CHECK(errno == EOWNERDEAD);
  check_children_of(s);
}

TEST_CASE("so also by process id where the OS cannot wipe a page", "[process][fork]") {
  const int fd = memfd_create("sentinel", 0);
  REQUIRE(ftruncate(fd, static_cast<off_t>(granule())) == 0);
  Page page(fd);  // of a file: MADV_WIPEONFORK is refused
  REQUIRE(madvise(page.at, granule(), MADV_WIPEONFORK) != 0);
  ForkSentinel s;
  errno = EOWNERDEAD;
  s.init(page.at);
  CHECK(errno == EOWNERDEAD);
  check_children_of(s);
  close(fd);
}

TEST_CASE("vfork shares the page: neither side is told", "[process][fork]") {
  Page page;
  ForkSentinel s;
  s.init(page.at);
  volatile bool told = false;
  if (const pid_t child = vfork(); child == 0) {
    told = s.forked();
    _exit(0);
  }
  CHECK_FALSE(told);
  CHECK_FALSE(s.forked());
}

TEST_CASE("threads have ids while they exist", "[process]") {
  CHECK(is_main_thread());
  CHECK(thread_exists(thread_id()));
  std::uint32_t other = 0;
  bool main_there = true, exists_there = false;
  std::thread([&] {
    other = thread_id();
    main_there = is_main_thread();
    exists_there = thread_exists(other);
  }).join();
  CHECK(other != thread_id());
  CHECK_FALSE(main_there);
  CHECK(exists_there);
  errno = EOWNERDEAD;
  for (int i = 0; thread_exists(other) && i < 1000; ++i) usleep(1000);  // join returns a little before the id goes
  CHECK_FALSE(thread_exists(other));
  CHECK(errno == EOWNERDEAD);
}

TEST_CASE("threads are counted", "[process]") {
  const std::uint32_t before = thread_count();
  REQUIRE(before >= 1);
  std::atomic<bool> done{false};
  std::thread other([&done] {
    while (!done) yield();
  });
  CHECK(thread_count() == before + 1);
  done = true;
  other.join();
  // A name may look like the fields behind it.
  char name[16] = {};
  prctl(PR_GET_NAME, name);
  prctl(PR_SET_NAME, "a) S 1 (b");
  CHECK(thread_count() >= 1);
  CHECK(thread_count() <= before + 1);
  prctl(PR_SET_NAME, name);
}

TEST_CASE("it is seen that the first thread has ended before others", "[process][native]") {
  const test::Ending e = test::in_child([] {
    if (!main_thread_runs()) return false;
    std::thread([] {
      for (int i = 0; i < 1000 && main_thread_runs(); ++i) usleep(10'000);
      _exit(main_thread_runs() ? 7 : 0);
    }).detach();
    system_call(SYS_exit, 0);  // as pthread_exit, without its exception
    return false;
  });
  CHECK(e.ok);
}

TEST_CASE("a hook runs once in the thread that ends", "[process]") {
  static std::uint32_t ran_in = 0;
  static int runs = 0;
  ran_in = 0, runs = 0;
  std::uint32_t id = 0;
  bool possible = false;
  std::thread([&] {
    id = thread_id();
    possible = at_thread_exit([](void* counter) { ++*static_cast<int*>(counter), ran_in = thread_id(); }, &runs);
  }).join();
  CHECK(possible);
  CHECK(runs == 1);
  CHECK(ran_in == id);
}

TEST_CASE("the coarse clock goes on, and a test's clock takes its place", "[process]") {
  const std::uint64_t start = coarse_ms();
  CHECK(start != 0);
  usleep(50'000);
  const std::uint64_t passed = coarse_ms() - start;
  CHECK(passed >= 30);
  CHECK(passed < 60'000);
  set_clock([] { return std::uint64_t{7}; });
  CHECK(coarse_ms() == 7);
  set_clock(nullptr);
  CHECK(coarse_ms() >= start);
}

TEST_CASE("environment: a value, null, and null before libc is ready", "[process]") {
  setenv("BM_TEST_VARIABLE", "1", 1);
  CHECK(std::strcmp(environment("BM_TEST_VARIABLE"), "1") == 0);
  unsetenv("BM_TEST_VARIABLE");
  CHECK(environment("BM_TEST_VARIABLE") == nullptr);
  char** const saved = environ;
  environ = nullptr;
  const char* const early = environment("PATH");
  environ = saved;
  CHECK(early == nullptr);
}

}  // namespace
}  // namespace bm::os
