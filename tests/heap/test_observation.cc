// test_observation.cc: what load phases show of call paths, and what is made of it.  layer: tests
#include <catch2/catch.hpp>

#include <deque>
#include <initializer_list>
#include <thread>
#include <vector>

#include <sys/wait.h>

#include "heap/lifetime.h"
#include "heap/observation.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;
using heap::CallPath;

namespace {

constexpr CallPath kShort = {1}, kLong = {2};
constexpr std::int64_t kMi = std::int64_t{1} << 20;

void* allocate_from(CallPath path, std::size_t bytes) {
  void* const p = heap::allocate_fast(bytes, path);
  return p != nullptr ? p : heap::allocate_slow(bytes, path);
}
bool drains(CallPath path) { return heap::lifetimes.way(path) == heap::Lifetimes::kDraining; }

// Verdicts stay: a process of its own.
void in_process(const std::function<bool()>& body) {
  const Ending e = in_child(body);
  INFO(e.text);
  CHECK(e.ok);
}

// Load phases in which two paths allocate as much as each other; what kShort does goes with its phase, what the other does
// after `kept` phases more.
class Load {
 public:
  void phase(unsigned kept, std::size_t bytes = 100) {
    std::vector<void*> gone;
    old_.emplace_back();
    for (int i = 0; i < 300'000; ++i) {
      gone.push_back(allocate_from(kShort, bytes));
      old_.back().push_back(allocate_from(kLong, bytes));
    }
    free_all(gone);
    while (old_.size() > kept) {
      free_all(old_.front());
      old_.pop_front();
    }
  }

 private:
  static void free_all(const std::vector<void*>& objects) {
    for (void* const p : objects) deallocate(p);
  }
  std::deque<std::vector<void*>> old_;
};

}  // namespace

TEST_CASE("a phase ends when the load has fallen by much and rises again, and is told once", "[heap][lifetime]") {
  heap::Phases phases;
  for (const int mib : {100, 90, 80, 100}) CHECK(phases.note(mib * kMi) == 0);  // a quarter of 100 are 25
  CHECK(phases.lows() == 0);
  CHECK(phases.note(70 * kMi) == 0);
  CHECK(phases.note(40 * kMi) == 0);
  CHECK(phases.lows() == 2);
  CHECK(phases.note(47 * kMi) == 0);  // less than an eighth of the fall
  CHECK(phases.lows() == 2);
  CHECK(phases.note(48 * kMi) == 60);
  CHECK(phases.note(60 * kMi) == 0);
  CHECK(phases.note(45 * kMi) == 0);  // of a peak of 60 now: less than 16
  CHECK(phases.note(44 * kMi) == 0);
  CHECK(phases.note(46 * kMi) == 16);
}

TEST_CASE("who finds nobody to judge a phase is told of its end again", "[heap][lifetime]") {
  heap::Phases phases;
  for (const int mib : {100, 40}) CHECK(phases.note(mib * kMi) == 0);
  CHECK(phases.note(50 * kMi) == 60);
  phases.repeat();
  CHECK(phases.note(51 * kMi) != 0);
  CHECK(phases.note(52 * kMi) == 0);
}

TEST_CASE(
    "a path lives long when it survived twice, or once very clearly, until three phases or a deeper fall speak against "
    "it",
    "[heap][lifetime]") {
  struct Phase {
    unsigned alive, all, mib;
  };
  const auto lives_long_after = [](std::initializer_list<Phase> phases) {
    heap::Seen seen{};
    for (const Phase& p : phases) seen.note(p.alive, p.all, p.mib);
    return seen.lives_long();
  };
  constexpr Phase kFew{3, 3, 64}, kSurvived{4, 5, 64}, kNeither{2, 4, 64}, kClearly{8, 8, 64}, kGone{0, 8, 64};
  CHECK_FALSE(lives_long_after({kFew, kFew}));
  CHECK_FALSE(lives_long_after({kSurvived}));
  CHECK_FALSE(lives_long_after({kSurvived, kGone, kSurvived}));
  CHECK(lives_long_after({kSurvived, kSurvived}));
  CHECK(lives_long_after({kClearly}));
  CHECK(lives_long_after({kClearly, kGone, kGone, kNeither, kGone, kGone}));  // counted from the start again
  CHECK_FALSE(lives_long_after({kClearly, kGone, kGone, kGone}));
  constexpr Phase kGoneDeeper{0, 8, 128}, kClearlyShallower{8, 8, 32};
  CHECK_FALSE(lives_long_after({kClearly, kGoneDeeper}));
  CHECK_FALSE(lives_long_after({kClearly, kGoneDeeper, kClearlyShallower}));
}

TEST_CASE("what survives load phases goes with the long-lived, and comes back when it drains", "[heap][lifetime]") {
  in_process([] {
    Load load;
    for (int i = 0; i < 6; ++i) load.phase(3);
    BM_CHILD_REQUIRE(drains(kShort) && !drains(kLong));
    BM_CHILD_REQUIRE(heap::validate() == 0);
    for (int i = 0; i < 8; ++i) load.phase(0);
    BM_CHILD_REQUIRE(drains(kShort) && drains(kLong));
    return true;
  });
}

TEST_CASE("what drains is never taken for what survives", "[heap][lifetime]") {
  in_process([] {
    Load load;
    for (int i = 0; i < 12; ++i) {
      load.phase(0);
      BM_CHILD_REQUIRE(drains(kShort) && drains(kLong));
    }
    return true;
  });
}

TEST_CASE("what came after the lowest point is of the next phase: it has survived nothing when the last one is judged",
          "[heap][lifetime]") {
  in_process([] {
    std::vector<void*> objects;
    for (int phase = 0; phase < 8; ++phase) {  // each begins with a path that had no part in the last
      const CallPath path = phase % 2 == 0 ? kShort : kLong;
      for (int i = 0; i < 600'000; ++i) objects.push_back(allocate_from(path, 100));
      BM_CHILD_REQUIRE(drains(path));
      for (void* const p : objects) deallocate(p);
      objects.clear();
    }
    return true;
  });
}

TEST_CASE("objects whose end is to be seen are as whole as others, whoever frees them, and in a fork's child",
          "[heap][lifetime][threads][fork]") {
  in_process([] {
    Load load;
    for (int i = 0; i < 3; ++i) load.phase(2);
    heap::ThreadHeap* const samples = heap::process.samples();
    BM_CHILD_REQUIRE(samples != nullptr);
    std::vector<void*> objects;
    bool sampled = false;
    for (std::size_t i = 0; i < 300'000; ++i) {
      objects.push_back(allocate_from(kShort, 100));
      paint(objects.back(), 100, i);
      sampled |= slab_of(objects.back()).holder() == samples->index;
    }
    BM_CHILD_REQUIRE(sampled);
    const auto free_some = [&](std::size_t from) {
      for (std::size_t i = from; i < objects.size(); i += 3) {
        if (!painted(objects[i], 100, i)) std::abort();
        deallocate(objects[i]);
      }
    };
    std::thread(free_some, 0).join();
    free_some(1);
    const pid_t child = fork();
    if (child == 0) {
      free_some(2);
      for (int i = 0; i < 3; ++i) load.phase(2);
      _exit(heap::validate() == 0 ? 0 : 1);
    }
    int status = 1;
    waitpid(child, &status, 0);
    BM_CHILD_REQUIRE(status == 0);
    free_some(2);
    BM_CHILD_REQUIRE(heap::validate() == 0);
    return true;
  });
}
