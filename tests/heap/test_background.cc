// test_background.cc: the thread that gives memory back: when there is one, what it does, and that it is no trouble.
// Most of it in children, which begin with one thread.
#include <catch2/catch.hpp>

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "heap/background.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/churn.h"
#include "tests/heap/survivors.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;

namespace {

int tasks() {
  int n = 0;
  DIR* const d = opendir("/proc/self/task");
  while (const dirent* const e = readdir(d)) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

std::size_t slack_bytes() { return statistics().backed_free_bytes; }

void use(std::size_t mib) {
  void* const p = allocate(mib * kMiB);
  std::memset(p, 1, mib * kMiB);
  deallocate(p);
}

// A second thread with a heap, and reason enough for the background one.
struct Company {
  Company() {
    deallocate(allocate(100));
    worker.run([] { deallocate(allocate(100)); });
    use(40);  // opens
    deallocate(allocate(200'000));
    use(2);
  }
  Worker worker;
};

void check_child(const std::function<bool()>& piece) {
  const Ending e = in_child(piece, nullptr, 60);
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}

bool at_work() { return heap::background.at_work(); }

}  // namespace

TEST_CASE("a program with one thread gets no other", "[heap][background][native]") {
  check_child([] {
    for (int i = 0; i < 20; ++i) use(50);
    BM_CHILD_REQUIRE(!at_work());
    BM_CHILD_REQUIRE(tasks() == 1);
    return true;
  });
}

TEST_CASE("what was freed goes back although the program sleeps", "[heap][background][native]") {
  check_child([] {
    Company company;
    BM_CHILD_REQUIRE(within(at_work));
    BM_CHILD_REQUIRE(tasks() == 3);
    std::vector<void*> blocks;
    for (int i = 0; i < 200'000; ++i) std::memset(blocks.emplace_back(allocate(1000)), 1, 1000);
    const std::size_t full = rss_bytes();
    for (void* const p : blocks) deallocate(p);
    BM_CHILD_REQUIRE(within([&] { return rss_bytes() + 150 * kMiB < full; }, 3000));
    BM_CHILD_REQUIRE(within([] { return slack_bytes() < 40 * kMiB; }, 3000));
    BM_CHILD_REQUIRE(heap::validate() == 0);
    return true;
  });
}

TEST_CASE("in use again at once, nothing goes back", "[heap][background][native]") {
  check_child([] {
    Company company;
    BM_CHILD_REQUIRE(within(at_work));
    use(100);
    const std::size_t purged = zone_counters().purged_pages;
    for (int i = 0; i < 20; ++i) use(100);
    BM_CHILD_REQUIRE(zone_counters().purged_pages - purged < 50 * kMiB >> kPageShift);
    return true;
  });
}

TEST_CASE("pages of slabs in which nothing is in use go back although the program sleeps",
          "[heap][background][native]") {
  const bool has_heap = GENERATE(true, false);  // the other thread
  CAPTURE(has_heap);
  check_child([has_heap] {
    deallocate(allocate(100));
    Worker worker;
    if (has_heap) worker.run([] { deallocate(allocate(100)); });
    Survivors some(1500, 400 * kMiB, 10);  // an eighth of what all tests have opened, and more
    deallocate(allocate(200'000));
    const std::size_t full = rss_bytes();
    BM_CHILD_REQUIRE(within([&] { return rss_bytes() + 180 * kMiB < full; }));
    BM_CHILD_REQUIRE(at_work());
    BM_CHILD_REQUIRE(some.intact());
    BM_CHILD_REQUIRE(heap::validate() == 0);
    for (void*& p : some.blocks)
      if (p == nullptr) p = allocate(1500);
    return heap::validate() == 0;
  });
}

TEST_CASE("without a heap of their own other threads count where much is free", "[heap][background][native]") {
  check_child([] {
    deallocate(allocate(100));
    {
      Worker worker;
      use(40);
      deallocate(allocate(200'000));
      BM_CHILD_REQUIRE(!at_work());  // nothing lies idle
      { const Survivors some(1500, 200 * kMiB, 10); }
      deallocate(allocate(300'000));  // by a slow path
      BM_CHILD_REQUIRE(within(at_work));
      BM_CHILD_REQUIRE(tasks() == 3);
    }
    BM_CHILD_REQUIRE(within([] { return !at_work() && tasks() == 1; }));
    { const Survivors some(1500, 200 * kMiB, 10); }
    deallocate(allocate(400'000));
    BM_CHILD_REQUIRE(!at_work());
    return true;
  });
}

TEST_CASE("with BUDDYMALLOC_BACKGROUND=0 there is none, and frees keep the marks", "[heap][background][native]") {
  setenv("BUDDYMALLOC_BACKGROUND", "0", 1);
  check_child([] {
    Company company;
    use(100);
    BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);
    sleep_ms(300);
    BM_CHILD_REQUIRE(!at_work());
    BM_CHILD_REQUIRE(tasks() == 2);
    return true;
  });
  unsetenv("BUDDYMALLOC_BACKGROUND");
}

TEST_CASE("it ends when the program has one thread again, and comes back with the next", "[heap][background][native]") {
  check_child([] {
    for (int i = 0; i < 3; ++i) {
      {
        Company company;
        BM_CHILD_REQUIRE(within(at_work));
        use(100);
      }
      BM_CHILD_REQUIRE(within([] { return !at_work() && tasks() == 1; }));
      BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);
      heap::trim(0);  // and with it what ping-pong has earned
      use(100);
      BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);  // by the frees themselves
    }
    return heap::validate() == 0;
  });
}

namespace {

// Threads that come, leave 100 MiB free and go, soon after the last ones did so.
void teams(int n) {
  for (int i = 0; i < n; ++i) {
    Company company;
    use(100);
    within(at_work);
  }
}

}  // namespace

TEST_CASE("where teams come back it waits for the next, which finds the memory of the last",
          "[heap][background][native]") {
  check_child([] {
    teams(3);
    const std::size_t purged = zone_counters().purged_pages;
    sleep_ms(200);
    BM_CHILD_REQUIRE(at_work());
    BM_CHILD_REQUIRE(slack_bytes() > 80 * kMiB);
    teams(1);
    BM_CHILD_REQUIRE(zone_counters().purged_pages == purged);
    BM_CHILD_REQUIRE(within([] { return !at_work() && tasks() == 1; }, 1500));
    BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);
    return heap::validate() == 0;
  });
}

TEST_CASE("after the first team, or one that was long in coming, it does not wait", "[heap][background][native]") {
  check_child([] {
    teams(1);
    BM_CHILD_REQUIRE(within([] { return !at_work() && tasks() == 1; }, 300));
    sleep_ms(2500);
    teams(1);
    BM_CHILD_REQUIRE(within([] { return !at_work() && tasks() == 1; }, 300));
    return true;
  });
}

TEST_CASE("who needs to be the only thread is at once", "[heap][background][native]") {
  check_child([] {
    heap::background.leave();  // there is none
    for (int i = 0; i < 5; ++i) {
      teams(3);
      BM_CHILD_REQUIRE(at_work());
      heap::background.leave();
      BM_CHILD_REQUIRE(tasks() == 1);
      BM_CHILD_REQUIRE(!at_work());
      BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);
      heap::trim(0);  // and with it what teams that find their memory gone have earned
    }
    teams(1);
    BM_CHILD_REQUIRE(at_work());
    const Ending e = in_child([] {
      heap::background.leave();  // not its own
      return tasks() == 1;
    });
    BM_CHILD_REQUIRE(e.ok);
    BM_CHILD_REQUIRE(at_work());
    return true;
  });
}

TEST_CASE("who needs to be the only thread waits for one that has just done its work, too",
          "[heap][background][native]") {
  check_child([] {
    for (int i = 0; i < 8; ++i) {
      teams(1);
      while (at_work()) {
      }
      heap::background.leave();
      BM_CHILD_REQUIRE(tasks() == 1);
      heap::trim(0);
    }
    return true;
  });
}

TEST_CASE("two who need to be the only thread wait for no thread that comes meanwhile", "[heap][background][native]") {
  check_child([] {
    Company company;
    std::atomic<bool> done{false};
    std::thread busy([&done] {
      while (!done) use(2);  // each may make it anew
    });
    for (int i = 0; i < 300; ++i) {
      std::thread other([] { heap::background.leave(); });
      heap::background.leave();
      other.join();
      use(40);
    }
    done = true;
    busy.join();
    return heap::validate() == 0;
  });
}

TEST_CASE("a child has none, and gets its own", "[heap][background][fork][native]") {
  check_child([] {
    Company company;
    BM_CHILD_REQUIRE(within(at_work));
    for (int i = 0; i < 10; ++i) {
      use(60);  // the thread is likely at it
      const Ending e = in_child([] {
        BM_CHILD_REQUIRE(tasks() == 1);
        use(100);
        BM_CHILD_REQUIRE(!at_work());
        BM_CHILD_REQUIRE(slack_bytes() < 20 * kMiB);
        BM_CHILD_REQUIRE(heap::validate() == 0);
        Company other;
        BM_CHILD_REQUIRE(within(at_work));
        BM_CHILD_REQUIRE(tasks() == 3);
        use(100);
        BM_CHILD_REQUIRE(within([] { return slack_bytes() < 20 * kMiB; }));
        return heap::validate() == 0;
      });
      std::fprintf(stderr, "%s", e.text.c_str());
      BM_CHILD_REQUIRE(e.ok);
    }
    BM_CHILD_REQUIRE(at_work());
    return true;
  });
}

TEST_CASE("no signal ever lands on it", "[heap][background][native]") {
  check_child([] {
    static std::atomic<int> taken{0}, wrong{0};
    static pid_t own;
    own = gettid();
    Company company;
    BM_CHILD_REQUIRE(within(at_work));
    struct sigaction action {};
    action.sa_handler = [](int) {
      ++taken;
      if (gettid() != own) ++wrong;
    };
    sigaction(SIGUSR1, &action, nullptr);
    company.worker.run([] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_BLOCK, &all, nullptr);
    });
    sigset_t user;
    sigemptyset(&user);
    sigaddset(&user, SIGUSR1);
    for (int i = 0; i < 200; ++i) {
      pthread_sigmask(SIG_BLOCK, &user, nullptr);
      kill(getpid(), SIGUSR1);  // any thread that does not block it would take it
      sched_yield();
      pthread_sigmask(SIG_UNBLOCK, &user, nullptr);
    }
    BM_CHILD_REQUIRE(taken == 200);
    BM_CHILD_REQUIRE(wrong == 0);
    return true;
  });
}

TEST_CASE("frees into a sleeping thread's heap are merged", "[heap][background][native]") {
  check_child([] {
    Company company;
    BM_CHILD_REQUIRE(within(at_work));
    static std::vector<void*> blocks(20'000);
    company.worker.run([] {
      for (auto& p : blocks) std::memset(p = allocate(2000), 1, 2000);
    });
    for (void* const p : blocks) deallocate(p);
    bool pending = true;
    BM_CHILD_REQUIRE(within([&] {
      pending = false;
      for (std::uint32_t i = 1; i <= heap::process.heap_count(); ++i) pending |= heap::process.heap(i).pending != 0;
      return !pending;
    }));
    return heap::validate() == 0;
  });
}

// Not in a child, for the sanitizers' sake: the thread ends with the others.
TEST_CASE("storm: threads churn, come and go while it works", "[heap][background][threads]") {
  static Table<512> table;
  std::atomic<bool> bad{false};
  std::atomic<int> seen{0};
  const bool alone = tasks() == 1;  // a sanitizer's runtime may have a thread of its own, for which ours stays
  for (unsigned round = 0; round < 4; ++round) {
    std::vector<std::thread> all;
    for (unsigned t = 0; t < 4; ++t)
      all.emplace_back([&bad, &seen, t, round] {
        Random random(t + 10 * round + 1);
        for (int i = 0; i < 2000; ++i) {
          if (!table.churn(random, random.one_in(50) ? 22 : 15)) bad = true;
          seen += at_work();
        }
      });
    for (auto& t : all) t.join();
  }
  CHECK(table.clear());
  CHECK_FALSE(bad);
  CHECK(seen > 0);
  const bool ended = within([] { return !at_work(); });
  CAPTURE(heap::process.active_heaps(), heap::process.threads_left(), tasks());
  if (alone) CHECK(ended);
  CHECK(heap::validate() == 0);
}
