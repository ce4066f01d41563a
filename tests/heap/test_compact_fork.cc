// test_compact_fork.cc: a fork's child finds every movable block whole, whatever the compacting thread was at.
#include <catch2/catch.hpp>

#include <csignal>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "support/private_member.h"
#include "support/single_step.h"
#include "tests/heap/handles.h"

namespace bm::test {

struct MoveOf {
  using Owner = heap::Compaction;
  friend void* member(MoveOf, heap::Compaction&);
};
template struct PrivateMember<MoveOf, &heap::Compaction::move_>;

}  // namespace bm::test

using namespace bm;
using namespace bm::test;

namespace {

using heap::process;

enum class Child {
  kOfAnotherThread,  // the compacting thread is gone
  kInHandler,        // the compacting thread's signal handler works in the child, and never returns
  kAfterReturn,      // ... or pins, writes and returns: the compaction goes on
};

std::size_t pages_before;

// Whether the compaction has noted a second run of pages: then nothing is lost.
bool two_runs_noted() {
  struct Move {
    std::uint32_t index;
    Pfn source, target;
    std::size_t pages;
  };
  return static_cast<Move*>(member(MoveOf{}, process.compaction))->pages != 0;
}

bool sound(const Blocks& blocks, std::size_t may_lose) {
  BM_CHILD_REQUIRE(heap::validate() == 0);
  BM_CHILD_REQUIRE(isolated_pageblocks() == 0);
  BM_CHILD_REQUIRE(used_pages() >= pages_before);
  BM_CHILD_REQUIRE(used_pages() <= pages_before + may_lose);
  for (const Block& b : blocks.live) BM_CHILD_REQUIRE(intact(b));
  return true;
}

// All that a child may do; the last of it in any case.
bool childs_work(Blocks& blocks, Child kind) {
  constexpr std::size_t kRun = 2;  // pages: what a thread that is gone, or waits for ever, had in hand
  const bool none_lost = kind == Child::kAfterReturn || (kind == Child::kOfAnotherThread && two_runs_noted());
  BM_CHILD_REQUIRE(sound(blocks, none_lost ? 0 : kRun));
  process.compaction.run();
  BM_CHILD_REQUIRE(sound(blocks, none_lost ? 0 : kRun));
  const std::size_t lost = used_pages() - pages_before, freed = blocks.live.size() * kRun;
  for (const Block& b : blocks.live) BM_CHILD_REQUIRE(delete_movable(b));
  blocks.live.clear();
  BM_CHILD_REQUIRE(used_pages() == pages_before + lost - freed);
  // It compacts again, unless an interrupted compaction of this thread has yet to end.
  std::uint64_t large[16];
  for (auto& h : large) h = heap::movable_alloc(kPageblockSize / 4);
  for (int k = 0; k < 16; ++k)
    if (k % 4 != 0) heap::movable_free(large[k]);
  BM_CHILD_REQUIRE((process.compaction.run() != 0) == !heap::t_state.compacting);
  for (int k = 0; k < 16; k += 4) heap::movable_free(large[k]);
  return heap::validate() == 0;
}

void prepare_child() {
  for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) std::signal(s, SIG_DFL);
  alarm(60);
}

// Three pageblocks of small blocks: the last has few, which move; the others have too many to move together.
void scatter(Blocks& blocks) {
  blocks.fill(530, 8192);
  Random random(1);
  std::vector<Block> kept;
  const std::uint32_t last = page_of(blocks.live.back()).block().value;
  unsigned in_last = 0;
  for (std::size_t k = 0; k < blocks.live.size(); ++k) {
    const bool of_last = page_of(blocks.live[k]).block().value == last;
    if (of_last ? in_last < 3 : k % 8 != 0) {
      kept.push_back(blocks.live[k]);
      in_last += of_last ? 1 : 0;
    } else {
      delete_movable(blocks.live[k]);
    }
  }
  blocks.live = kept;
}

// Compaction goes through all zones, whichever the blocks are in.
bool zone_in_change() {
  bool found = false;
  process.nodes.for_each_zone([&found](pages::Zone& z) { found |= z.changes() % 2 != 0; });
  return found;
}

// What makes a difference to a child.
std::string state(const Blocks& blocks) {
  std::string s(reinterpret_cast<const char*>(&process.compaction), sizeof process.compaction);
  const std::uint32_t changes = own_zone().changes();  // inside them: test_zone_recover.cc
  s.append(reinterpret_cast<const char*>(&changes), sizeof changes);
  for (const Block& b : blocks.live) {
    const std::uint64_t word = process.handles.word(index_of(b)).bits;
    s.append(reinterpret_cast<const char*>(&word), sizeof word);
    const std::uint32_t entry = process.map.entry(page_of(b));
    s.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  return s;
}

void fork_everywhere(Child kind) {
  Blocks blocks;
  process.compaction.run();
  scatter(blocks);
  heap::drain_heaps();
  pages_before = used_pages();
  int children = 0, failed = 0;
  bool returned = false;
  std::string last;
  std::size_t quiet = 0;
  single_step([] { process.compaction.run(); },
              [&] {
                // The page layer is not repaired under a call of this very thread that goes on.
                if (kind == Child::kAfterReturn && zone_in_change()) return;
                std::string now = state(blocks);
                if (now == last && ++quiet % 997 != 0) return;
                last = std::move(now);
                const pid_t pid = fork();
                if (pid != 0) {
                  int status = 0;
                  waitpid(pid, &status, 0);
                  ++children;
                  failed += status == 0 ? 0 : 1;
                  return;
                }
                prepare_child();
                if (kind == Child::kOfAnotherThread) {  // which never had a heap
                  heap::t_state = {};
                  heap::t_state.use(heap::kEmptyFront);
                }
                if (kind != Child::kAfterReturn) _exit(childs_work(blocks, kind) ? 0 : 1);
                process.settle_fork();
                bool ok = true;
                for (Block& b : blocks.live) {  // which the compaction must not undo
                  ok &= intact(b);
                  paint(heap::movable_pin(b.handle), heap::movable_size(b.handle), ++b.seed);
                  heap::movable_unpin(b.handle);
                }
                if (!ok) _exit(1);
                returned = true;
                stop_stepping();
              });
  if (returned) _exit(childs_work(blocks, kind) ? 0 : 1);
  CAPTURE(children, int(kind));
  CHECK(children > 60);
  CHECK(failed == 0);
  CHECK(sound(blocks, 0));
}

}  // namespace

TEST_CASE("CM-1: forked at any instruction of a compaction: the compacting thread is gone",
          "[heap][compact][fork][native]") {
  if (kCanSingleStep) fork_everywhere(Child::kOfAnotherThread);
}

TEST_CASE("CM-1: forked at any instruction of a compaction: by its own signal handler, which stays",
          "[heap][compact][fork][signal][native]") {
  if (kCanSingleStep) fork_everywhere(Child::kInHandler);
}

TEST_CASE("CM-1: forked at any instruction of a compaction: by its own signal handler, which returns",
          "[heap][compact][fork][signal][native]") {
  if (kCanSingleStep) fork_everywhere(Child::kAfterReturn);
}

TEST_CASE("forked at random times while another thread compacts", "[heap][compact][fork][native]") {
  Blocks kept;
  kept.fill(60, 8192);
  std::atomic<bool> stop{false};
  std::thread compactor([&] {
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);  // children come first
    Random random(3);
    while (!stop) {
      Blocks blocks;
      blocks.fill(600, 8192);
      blocks.thin_out(60, random);
      process.compaction.run();
      const BlockIndex b = page_of(blocks.live[0]).block();
      if (process.compaction.evacuate(b, 1)) zone_of(b).unisolate(b, 1);
    }
  });
  int failed = 0;
  std::string text;
  for (int k = 0; k < 150; ++k) {
    const Ending e = in_child([&] {
      process.settle_fork();
      BM_CHILD_REQUIRE(heap::validate() == 0);
      for (const Block& b : kept.live) BM_CHILD_REQUIRE(delete_movable(b));
      kept.live.clear();
      Blocks blocks;
      blocks.fill(300, 8192);
      process.compaction.run();
      return blocks.all_intact() && heap::validate() == 0;
    });
    failed += e.ok ? 0 : 1;
    text += e.text;
  }
  stop = true;
  compactor.join();
  INFO(text);
  CHECK(failed == 0);
}
