// test_lock.cc: mutual exclusion, and waiting in the kernel.  layer: tests
#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include "os/lock.h"

namespace bm::os {
namespace {

static_assert(sizeof(Lock) == 4);

double cpu_seconds() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

TEST_CASE("one holder at a time", "[lock]") {
  Lock lock;
  CHECK_FALSE(lock.held());
  lock.lock();
  CHECK(lock.held());
  CHECK_FALSE(lock.try_lock());
  lock.unlock();
  CHECK(lock.try_lock());
  lock.unlock();
  {
    const LockGuard hold(lock);
    CHECK(lock.held());
  }
  CHECK_FALSE(lock.held());
}

TEST_CASE("contending threads lose no increment", "[lock]") {
  Lock lock;
  volatile std::uint64_t counter = 0;
  constexpr std::uint64_t kThreads = 4, kRounds = 200000;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (std::uint64_t i = 0; i < kRounds; ++i) {
        const LockGuard hold(lock);
        counter = counter + 1;
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(counter == kThreads * kRounds);
  CHECK_FALSE(lock.held());
}

TEST_CASE("waiters sleep, keep errno, and each is woken", "[lock]") {
  Lock lock;
  lock.lock();
  constexpr int kWaiters = 3;
  std::atomic<int> passed = 0, errno_changed = 0, spun = 0;
  std::vector<std::thread> waiters;
  for (int i = 0; i < kWaiters; ++i)
    waiters.emplace_back([&] {
      const double before = cpu_seconds();
      errno = EOWNERDEAD;
      lock.lock();
      errno_changed += errno != EOWNERDEAD;
      spun += cpu_seconds() - before > 0.01;
      ++passed;
      lock.unlock();
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  CHECK(passed == 0);
  lock.unlock();
  for (std::thread& t : waiters) t.join();
  CHECK(passed == kWaiters);
  CHECK(errno_changed == 0);
  CHECK(spun == 0);
}

TEST_CASE("a wait on a word ends when it is woken, when nobody wakes it, and at once when the word is another",
          "[lock]") {
  static std::atomic<int> hooks;
  hooks = 0;
  set_lock_wait_hook([] { ++hooks; });
  std::atomic<std::uint32_t> word = 1;
  wait_while(word, 1);
  wait_while(word, 2);
  CHECK(hooks == 2);
  std::atomic<int> done = 0;
  std::vector<std::thread> waiters;
  for (int i = 0; i < 3; ++i)
    waiters.emplace_back([&] {
      const double before = cpu_seconds();
      while (word == 1) wait_while(word, 1);
      done += cpu_seconds() - before < 0.01;
    });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  CHECK(done == 0);
  word = 3;
  wake_all(word);
  for (std::thread& t : waiters) t.join();
  CHECK(done == 3);
  set_lock_wait_hook(nullptr);
}

TEST_CASE("reset frees a lock whose holder is gone", "[lock]") {
  Lock lock;
  lock.lock();
  lock.reset();
  CHECK_FALSE(lock.held());
  CHECK(lock.try_lock());
}

}  // namespace
}  // namespace bm::os
