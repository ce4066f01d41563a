// test_thread.cc: a thread of our own, and its doorbell.  layer: tests
#include "os/thread.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <thread>

#include <pthread.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "os/process.h"

namespace bm::os {
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> ran;
char name[16];
std::atomic<int> unblocked;

void look_around() {
  prctl(PR_GET_NAME, name);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  int n = 0;
  for (int s = 1; s < 32; ++s) n += s != SIGKILL && s != SIGSTOP && sigismember(&mask, s) == 0;
  for (int s = SIGRTMIN; s <= SIGRTMAX; ++s) n += sigismember(&mask, s) == 0;
  unblocked = n;
  ran = true;
}

TEST_CASE("a thread of our own has its name and takes no signal; the starter's mask stays", "[os_thread][threads]") {
  ran = false;
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  REQUIRE(start_thread(look_around, "bm-test"));
  while (!ran) std::this_thread::yield();
  CHECK(std::string(name) == "bm-test");
  CHECK(unblocked == 0);
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int s = 1; s < 32; ++s) CHECK(sigismember(&before, s) == sigismember(&after, s));
}

TEST_CASE("a ring before the sleep is not lost, and wakes once", "[os_thread]") {
  Doorbell bell;
  bell.ring();
  bell.ring();
  const auto start = Clock::now();
  bell.wait(60'000);
  CHECK(Clock::now() - start < std::chrono::seconds(30));
  bell.wait(20);
  CHECK(Clock::now() - start >= std::chrono::milliseconds(20));
}

TEST_CASE("a ring wakes the sleeper", "[os_thread][threads]") {
  Doorbell bell;
  std::atomic<bool> woken{false};
  const auto start = Clock::now();
  std::thread sleeper([&] {
    bell.wait(60'000);
    woken = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  bell.ring();
  sleeper.join();
  CHECK(woken);
  CHECK(Clock::now() - start < std::chrono::seconds(30));
}

}  // namespace
}  // namespace bm::os
