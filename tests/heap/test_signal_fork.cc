// test_signal_fork.cc: a signal handler that interrupts malloc may fork; the child works in the handler or returns from it.
#include <catch2/catch.hpp>

#include <csignal>
#include <ctime>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

#include "support/single_step.h"
#include "tests/heap/churn.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

Table<256> blocks;

enum class Way { kWorkInHandler, kWorkAfterReturn };

// What a child does with the heap it finds.
bool childs_work() {
  BM_CHILD_REQUIRE(heap::validate() == 0);
  BM_CHILD_REQUIRE(blocks.clear());
  BM_CHILD_REQUIRE(visit_every_class());
  BM_CHILD_REQUIRE(heap::validate() == 0);
  return true;
}

void prepare_child() {
  for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) std::signal(s, SIG_DFL);
  alarm(30);
}

constexpr int kMostChildren = 1000;

struct Tally {
  int children = 0;
  int failed = 0;
};

void wait_for(pid_t pid, Tally& tally) {
  int status = 0;
  waitpid(pid, &status, 0);
  ++tally.children;
  if (status != 0) ++tally.failed;
}

// Forks after every n-th instruction of the piece; a child finishes the piece if it returns from the handler.
Tally fork_while(const std::function<void()>& piece, Way way, std::size_t every) {
  Tally tally;
  bool returned = false;
  std::size_t step = 0;
  single_step(piece, [&] {
    if (returned || tally.children == kMostChildren || ++step % every != 0) return;
    const pid_t pid = fork();
    if (pid != 0) return wait_for(pid, tally);
    prepare_child();
    if (way == Way::kWorkInHandler) _exit(childs_work() ? 0 : 1);
    returned = true;
  });
  if (returned) _exit(childs_work() ? 0 : 1);
  return tally;
}

void check_piece(const char* name, const std::function<void()>& prepare, const std::function<void()>& piece,
                 std::size_t every) {
  for (const Way way : {Way::kWorkInHandler, Way::kWorkAfterReturn}) {
    Random random(1);
    for (int k = 0; k < 1000; ++k) blocks.churn(random, 12);
    prepare();
    const Tally tally = fork_while(piece, way, every);
    INFO(name << (way == Way::kWorkInHandler ? ", child works in the handler" : ", child returns from the handler"));
    CHECK(tally.children > 20);
    CHECK(tally.failed == 0);
    CHECK(heap::validate() == 0);
    CHECK(blocks.clear());
  }
}

void* kept[2000];

}  // namespace

TEST_CASE("forks at any instruction of a refill with a new slab", "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  check_piece(
      "refill",
      [] {
        deallocate(std::exchange(kept[0], nullptr));
        flush_own();
      },
      [] { kept[0] = allocate(3584); }, 17);
  deallocate(kept[0]);
}

TEST_CASE("forks at any instruction of a bin that grows or gives back", "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  const auto prepare = [] {
    flush_own();
    for (int i = 0; i < 400; ++i) kept[i] = allocate(48);
    for (int i = 0; i < 380; ++i) deallocate(kept[i]);
  };
  check_piece(
      "flush", prepare,
      [] {
        for (int i = 380; i < 400; ++i) deallocate(kept[i]);
        flush_own();
      },
      97);
}

TEST_CASE("forks at any instruction of a run's life", "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  check_piece(
      "run", [] { heap::trim(0); },
      [] {
        void* p = allocate(3 * kMiB);
        p = heap::reallocate(p, 5 * kMiB);
        p = heap::reallocate(p, 2 * kMiB + 5000);
        deallocate(p);
      },
      97);
}

TEST_CASE("forks at any instruction of a free into another thread's heap", "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  const auto prepare = [] {
    std::thread([] {
      for (int i = 0; i < 70; ++i) kept[i] = allocate(2000);
    }).join();
  };
  check_piece(
      "remote free", prepare,
      [] {
        for (int i = 0; i < 70; ++i) deallocate(kept[i]);
      },
      997);
}

TEST_CASE("SL-3: a slab that an interrupted free is about to list is listed once, whatever the handler's child frees",
          "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  Worker owner;
  owner.run([] {
    for (int i = 0; i < 3; ++i) kept[i] = allocate(2000);  // of one slab
  });
  Tally tally;
  bool returned = false;
  single_step([] { deallocate(kept[0]); },
              [&] {
                if (returned) return;
                const pid_t pid = fork();
                if (pid != 0) return wait_for(pid, tally);
                prepare_child();
                heap::process.settle_fork();
                deallocate(kept[1]);
                returned = true;
              });
  if (returned) {
    deallocate(kept[2]);
    _exit(heap::validate() == 0 ? 0 : 1);  // walks the list: for ever, when the slab is on it twice
  }
  CHECK(tally.children > 20);
  CHECK(tally.failed == 0);
  for (int i = 1; i < 3; ++i) deallocate(kept[i]);
  CHECK(heap::validate() == 0);
}

TEST_CASE("forks at any instruction of a free: no block in use is in a bin", "[heap][fork][signal][native]") {
  if (!kCanSingleStep) return;
  // Each time the slot that the free fills still holds the pointer that was popped from it: a block in use.
  for (const std::size_t bytes : {48ul, 300'000ul})
    for (const bool other_threads : {false, true}) {
      void* freed = nullptr;
      std::thread([&] { freed = allocate(bytes); }).join();
      if (!other_threads) {
        deallocate(freed);
        flush_own();
        freed = allocate(bytes);
      }
      BlockHead* live[12];
      for (auto& b : live) b = new_block(bytes, 7);
      Tally tally;
      single_step([&] { deallocate(freed); },
                  [&] {
                    const pid_t pid = fork();
                    if (pid != 0) return wait_for(pid, tally);
                    prepare_child();
                    bool ok = true;
                    for (int k = 0; k < 4; ++k) ok &= new_block(bytes, 9) != nullptr;
                    for (const BlockHead* const b : live) ok &= b->seed == 7;
                    _exit(ok ? 0 : 1);
                  });
      INFO(bytes << (other_threads ? ", another thread's" : ", own"));
      CHECK(tally.children > 5);
      CHECK(tally.failed == 0);
      for (BlockHead* const b : live) CHECK(delete_block(b));
    }
}

namespace {

Way way;
std::atomic<pid_t> forked{0};
volatile std::sig_atomic_t returned_as_child = 0;

void fork_in_handler(int) {
  const pid_t pid = fork();
  if (pid != 0) {
    forked = pid;
    return;
  }
  prepare_child();
  if (way == Way::kWorkInHandler) _exit(childs_work() ? 0 : 1);
  returned_as_child = 1;
}

}  // namespace

TEST_CASE("forks by signal while this thread and another churn", "[heap][fork][signal][native]") {
  std::signal(SIGUSR1, fork_in_handler);
  std::atomic<bool> stop{false};
  const pthread_t self = pthread_self();
  std::thread churner([&] {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);  // children come first
    Random random(9);
    while (!stop) blocks.churn(random, 14);
  });
  for (const Way w : {Way::kWorkInHandler, Way::kWorkAfterReturn}) {
    way = w;
    Tally tally;
    std::thread sender([&] {
      for (int k = 0; k < 150; ++k) {
        forked = 0;
        pthread_kill(self, SIGUSR1);
        while (forked == 0) std::this_thread::yield();
        wait_for(forked, tally);
      }
      stop = true;
    });
    stop = false;
    Random random(8);
    bool ok = true;
    while (!stop) {
      ok &= blocks.churn(random, random.one_in(200) ? 22 : 14);
      if (returned_as_child == 0) continue;
      for (int k = 0; k < 100; ++k) ok &= blocks.churn(random, 14);
      _exit(ok && childs_work() ? 0 : 1);
    }
    sender.join();
    INFO((w == Way::kWorkInHandler ? "in the handler" : "after its return"));
    CHECK(ok);
    CHECK(tally.children == 150);
    CHECK(tally.failed == 0);
  }
  stop = true;
  churner.join();
  std::signal(SIGUSR1, SIG_DFL);
  CHECK(blocks.clear());
  CHECK(heap::validate() == 0);
}
