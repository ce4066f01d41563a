// test_limit.cc: BUDDYMALLOC_LIMIT: what it may say, and a heap that lives under one.  layer: tests
// In children, as a limit is for life. What other tests have left in the heap counts, too, and is little.
#include <catch2/catch.hpp>

#include <sys/wait.h>

#include <atomic>
#include <thread>
#include <vector>

#include "heap/limit.h"
#include "heap/movable.h"
#include "heap/page_api.h"
#include "support/fake_clock.h"
#include "support/folder_tree.h"
#include "tests/heap/block_list.h"
#include "tests/heap/churn.h"
#include "tests/heap/threads.h"

using namespace bm;
using namespace bm::test;
using heap::LimitOption;
using Kind = LimitOption::Kind;

namespace {

std::size_t held() { return heap::process.budget.held() << kPageShift; }

std::size_t counted() {
  const pages::Zone::Counters c = zone_counters();
  return ((c.opened_pages - c.free_pages + c.backed_free_pages) << kPageShift) + statistics().mapped_bytes;
}

template <class Piece>
void under(LimitOption option, Piece piece, const char* root = "") {
  deallocate(allocate(100));
  const Ending e = in_child(
      [&] {
        heap::trim(0);
        heap::limit.apply(option, root);
        BM_CHILD_REQUIRE(piece());
        // A zone tells the budget at the end of each hold: while the background thread purges they differ for a moment.
        BM_CHILD_REQUIRE(within([] { return held() == counted(); }));
        return heap::validate() == 0;
      },
      nullptr, 120);
  INFO(e.text << " signal " << e.signal);
  CHECK(e.ok);
}
constexpr LimitOption mib(std::size_t n) { return {Kind::kBytes, n * kMiB}; }

// Objects of many classes, 40 MiB in all, freed again.
void fill_caches() {
  for (const std::size_t bytes : {16ul, 48ul, 256ul, 1000ul, 4000ul, 20'000ul, 100'000ul, 600'000ul}) {
    Link* list = nullptr;
    fill(bytes, list, 5 * kMiB);
    free_list(list);
  }
}

bool has_room(std::size_t bytes) {
  void* const p = allocate(bytes);
  if (p != nullptr) deallocate(p);
  return p != nullptr;
}

}  // namespace

TEST_CASE("what the option may say", "[heap][limit]") {
  const auto parsed = [](const char* text) {
    LimitOption o;
    return heap::parse_limit(text, o) ? std::pair(o.kind, o.value) : std::pair(Kind::kNone, std::size_t{0});
  };
  CHECK(parsed("2G") == std::pair(Kind::kBytes, 2048 * kMiB));
  CHECK(parsed("256M") == std::pair(Kind::kBytes, 256 * kMiB));
  CHECK(parsed("2048K") == std::pair(Kind::kBytes, 2 * kMiB));
  CHECK(parsed("1T") == std::pair(Kind::kBytes, std::size_t{1} << 40));
  CHECK(parsed("1048576") == std::pair(Kind::kBytes, kMiB));
  CHECK(parsed("80%") == std::pair(Kind::kPercent, std::size_t{80}));
  CHECK(parsed("cgroup") == std::pair(Kind::kCgroup, std::size_t{0}));
  for (const char* bad : {"", "G", "2g", "2GB", "2 G", "-1", "1000000", "0", "0%", "101%", "80%x", "cgroups",
                          "99999999999G", "99999999999999999999"})
    CHECK(parsed(bad).first == Kind::kNone);
}

TEST_CASE("the limit is an answer: null, a sound heap, and service again after frees", "[heap][limit]") {
  under(mib(64), [] {
    for (const std::size_t bytes : {100'000ul, 3 * kMiB, 500ul, 16ul}) {
      Link* list = nullptr;
      const std::size_t n = fill(bytes, list);
      BM_CHILD_REQUIRE(n * bytes >= 55 * kMiB);
      BM_CHILD_REQUIRE(held() <= 64 * kMiB);
      BM_CHILD_REQUIRE(allocate(bytes) == nullptr);
      BM_CHILD_REQUIRE(heap::allocate_zeroed(10 * kMiB) == nullptr);
      BM_CHILD_REQUIRE(heap::allocate_aligned(5 * kMiB, 4 * kMiB) == nullptr);
      BM_CHILD_REQUIRE(heap::alloc_exact(1024, {}) == nullptr);
      BM_CHILD_REQUIRE(heap::movable_alloc(10 * kMiB) == 0);
      BM_CHILD_REQUIRE(heap::validate() == 0);
      for (std::size_t k = 0; k < n / 2; ++k) deallocate(std::exchange(list, list->next));
      BM_CHILD_REQUIRE(has_room(bytes));
      free_list(list);
      BM_CHILD_REQUIRE(has_room(56 * kMiB));
    }
    return true;
  });
}

TEST_CASE("what cannot be had at all costs nobody his caches", "[heap][limit]") {
  under(mib(64), [] {
    fill_caches();
    const std::size_t before = held();
    BM_CHILD_REQUIRE(allocate(65 * kMiB) == nullptr);
    return held() == before;
  });
}

TEST_CASE("what threads that are gone have cached makes nothing fail", "[heap][limit][native]") {
  under(mib(128), [] {
    for (int round = 0; round < 3; ++round) {
      std::vector<std::thread> threads;
      for (int t = 0; t < 3; ++t) threads.emplace_back(fill_caches);
      for (std::thread& t : threads) t.join();
      fill_caches();
      BM_CHILD_REQUIRE(has_room(118 * kMiB));
    }
    return true;
  });
}

TEST_CASE("what sleeping threads keep is little", "[heap][limit][native]") {
  under(mib(128), [] {
    Worker a;
    Worker b;
    Worker c;
    for (int round = 0; round < 3; ++round) {
      for (Worker* const w : {&a, &b, &c}) w->run(fill_caches);
      fill_caches();
      BM_CHILD_REQUIRE(has_room(110 * kMiB));
    }
    return true;
  });
}

TEST_CASE("holes among what is in use make room", "[heap][limit]") {
  under(mib(128), [] {
    Link* all = nullptr;
    Link* kept = nullptr;
    fill(4000, all, 110 * kMiB);
    for (std::size_t k = 0; all != nullptr; ++k) {
      Link* const p = std::exchange(all, all->next);
      if (k % 100 != 0) {
        deallocate(p);
        continue;
      }
      p->next = kept;
      kept = p;
    }
    BM_CHILD_REQUIRE(has_room(80 * kMiB));
    free_list(kept);
    return true;
  });
}

TEST_CASE("mappings of their own count", "[heap][limit]") {
  under(mib(3072), [] {
    void* const p = allocate(2048 * kMiB);
    BM_CHILD_REQUIRE(p != nullptr && statistics().mapped_count == 1);
    BM_CHILD_REQUIRE(held() >= 2048 * kMiB);
    BM_CHILD_REQUIRE(allocate(1200 * kMiB) == nullptr);
    BM_CHILD_REQUIRE(heap::reallocate(p, 3100 * kMiB) == nullptr);
    void* q = heap::reallocate(p, 2800 * kMiB);
    BM_CHILD_REQUIRE(q != nullptr && held() >= 2800 * kMiB);
    BM_CHILD_REQUIRE(!has_room(500 * kMiB));
    q = heap::reallocate(q, 1500 * kMiB);
    BM_CHILD_REQUIRE(q != nullptr && has_room(500 * kMiB));
    deallocate(q);
    BM_CHILD_REQUIRE(has_room(2900 * kMiB));
    return true;
  });
}

TEST_CASE("realloc beyond the limit keeps the block; up to it, it grows where it is", "[heap][limit]") {
  under(mib(128), [] {
    fill_caches();
    heap::trim(0);  // the pageblock of the reserve is opened, and in nobody's way
    auto* p = static_cast<char*>(allocate(70 * kMiB));
    std::memset(p, 7, 70 * kMiB);
    BM_CHILD_REQUIRE(heap::reallocate(p, 130 * kMiB) == nullptr);
    BM_CHILD_REQUIRE(p[0] == 7 && p[70 * kMiB - 1] == 7);
    fill_caches();  // 40 MiB behind it
    p = static_cast<char*>(heap::reallocate(p, 110 * kMiB));
    BM_CHILD_REQUIRE(p != nullptr && p[70 * kMiB - 1] == 7);
    deallocate(p);
    return true;
  });
}

TEST_CASE("threads at the limit: nobody gets above it, nobody hangs, nothing is lost", "[heap][limit][native]") {
  under(mib(32), [] {
    const std::size_t before = held();
    std::atomic<std::size_t> refused{0};
    std::atomic<std::size_t> above{0};
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 4; ++t)
      threads.emplace_back([&, t] {
        Random random(t);
        void* slots[1200] = {};
        for (int i = 0; i < 20'000; ++i) {
          void*& s = slots[random.below(1200)];
          if (s != nullptr) deallocate(std::exchange(s, nullptr));
          s = allocate(std::size_t{16} << random.below(15));
          if (s == nullptr) ++refused;
          if (held() > 32 * kMiB) ++above;
        }
        for (void* const s : slots)
          if (s != nullptr) deallocate(s);
      });
    for (std::thread& t : threads) t.join();
    BM_CHILD_REQUIRE(above == 0);
    BM_CHILD_REQUIRE(refused > 100);
    return has_room(28 * kMiB - before);
  });
}

TEST_CASE("a child of a fork has the limit for itself, and knows what it holds", "[heap][limit][fork]") {
  under(mib(64), [] {
    void* const p = allocate(40 * kMiB);
    constexpr std::size_t kInFlight = 10 * kMiB >> kPageShift;  // charged by a thread that the child has not
    heap::process.budget.add(kInFlight);
    const pid_t child = fork();
    if (child == 0) {
      bool ok = allocate(30 * kMiB) == nullptr && held() == counted();
      deallocate(p);
      ok = ok && has_room(56 * kMiB) && heap::validate() == 0;
      _exit(ok ? 0 : 1);
    }
    heap::process.budget.discharge(kInFlight);
    int status = -1;
    BM_CHILD_REQUIRE(waitpid(child, &status, 0) == child && status == 0);
    deallocate(p);
    return true;
  });
}

TEST_CASE("a percentage is of what the machine has, or of what the group may have", "[heap][limit]") {
  under(
      {Kind::kPercent, 50}, [] { return heap::limit.most() / kMiB == os::physical_memory() / 2 / kMiB; }, "/no/such");
  const FolderTree tree;
  tree.write("/proc/self/cgroup", "0::/\n");
  tree.write("/proc/self/mountinfo", "36 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n");
  tree.write("/cg/memory.max", 100 * kMiB);
  tree.write("/cg/memory.current", 90 * kMiB);
  under(
      {Kind::kPercent, 50}, [] { return !has_room(55 * kMiB) && has_room(45 * kMiB); }, tree.root());
}

namespace {

// A group as files say. Its use is what others use, as is what this process has beside its heap, and what the heap has.
struct Group {
  FolderTree tree;
  Group(std::size_t most_mib) {
    tree.write("/proc/self/cgroup", "0::/\n");
    tree.write("/proc/self/mountinfo", "36 31 0:38 / /cg rw - cgroup2 cgroup2 rw\n");
    tree.write("/cg/memory.max", most_mib * kMiB);
    tree.write("/cg/memory.high", "max\n");
    others(0);
  }
  void others(std::size_t mib) const {
    tree.write("/cg/memory.current", mib * kMiB + std::min(held(), os::resident_anonymous()));
  }
};

}  // namespace

TEST_CASE("a group's limit is less what others in it use, as of now", "[heap][limit]") {
  const bool gone = GENERATE(false, true);
  const Group group(200);
  under(
      {Kind::kCgroup},
      [&] {
        FakeClock clock;
        group.others(0);
        clock.pass(100);
        BM_CHILD_REQUIRE(has_room(150 * kMiB));
        group.others(100);
        clock.pass(100);
        heap::limit.renew(0);
        BM_CHILD_REQUIRE(!has_room(110 * kMiB));
        BM_CHILD_REQUIRE(has_room(80 * kMiB));
        group.others(10);
        clock.pass(100);
        BM_CHILD_REQUIRE(has_room(150 * kMiB));  // asked anew before it is refused
        group.tree.write("/cg/memory.max", 100 * kMiB);
        clock.pass(100);
        BM_CHILD_REQUIRE(heap::limit.renew(0) || !has_room(110 * kMiB));
        group.tree.write("/cg/memory.max", "max\n");
        if (gone) std::filesystem::remove_all(std::string(group.tree.root()) + "/cg");
        clock.pass(100);
        return has_room(900 * kMiB);
      },
      group.tree.root());
}

TEST_CASE("a group is looked at again when reclaim has done what it can", "[heap][limit]") {
  const Group group(200);
  under(
      {Kind::kCgroup},
      [&] {
        FakeClock clock;
        deallocate(allocate(5 * kMiB));  // slack that reclaim gives back
        group.others(150);
        clock.pass(100);
        heap::limit.renew(0);
        group.others(0);
        return has_room(100 * kMiB);
      },
      group.tree.root());
}

TEST_CASE("near a group's limit, or above what is high, no slack is kept", "[heap][limit]") {
  const Group group(1000);
  const bool high = GENERATE(false, true);
  under(
      {Kind::kCgroup},
      [&] {
        FakeClock clock;
        const std::size_t before = statistics().backed_free_bytes;  // reserves, and holes of earlier tests
        void* const p = allocate(5 * kMiB);
        std::memset(p, 1, 5 * kMiB);
        deallocate(p);
        BM_CHILD_REQUIRE(statistics().backed_free_bytes >= before + 4 * kMiB);
        group.others(high ? 500 : 920);
        if (high) group.tree.write("/cg/memory.high", 400 * kMiB);
        clock.pass(200);
        heap::limit.renew(0);
        void* const q = allocate(5 * kMiB);
        deallocate(q);
        BM_CHILD_REQUIRE(statistics().backed_free_bytes < before + 2 * kMiB);
        BM_CHILD_REQUIRE(has_room(40 * kMiB));
        return true;
      },
      group.tree.root());
}

TEST_CASE("a heap that grows reads its group's files now and then", "[heap][limit]") {
  const Group group(200);
  under(
      {Kind::kCgroup},
      [&] {
        FakeClock clock;
        group.tree.write("/cg/memory.max", 50 * kMiB);
        Link* list = nullptr;
        std::size_t mib = 0;
        for (; mib < 150 && fill(100'000, list, kMiB) == 11; ++mib) group.others(0);
        free_list(list);
        return mib > 10 && mib < 100;
      },
      group.tree.root());
}
