// test_compact.cc: compaction makes whole pageblocks and moves no pinned block, no byte wrong, and nothing it need not.
#include <catch2/catch.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "support/fake_vm.h"
#include "tests/heap/handles.h"

using namespace bm;
using namespace bm::test;

namespace {

using heap::process;

constexpr std::size_t kSize = 64 << 10;
constexpr std::size_t kPerBlock = kPageblockSize / kSize;

std::size_t compact() { return process.compaction.run(); }

// Takes all room for blocks of kSize in partly used pageblocks.
struct NoRoom {
  NoRoom() {
    do fillers.push_back(heap::movable_alloc(kSize));
    while (page_of({fillers.back(), 0}).offset() != 0);  // that one began a whole pageblock
    for (std::size_t k = 1; k < kPerBlock; ++k) fillers.push_back(heap::movable_alloc(kSize));
  }
  ~NoRoom() { make(fillers.size()); }
  NoRoom(const NoRoom&) = delete;
  NoRoom& operator=(const NoRoom&) = delete;
  void make(std::size_t blocks) {
    for (; blocks != 0; --blocks) {
      heap::movable_free(fillers.back());
      fillers.pop_back();
    }
  }
  std::vector<std::uint64_t> fillers;
};

std::vector<Pfn> places(const Blocks& blocks) {
  std::vector<Pfn> all;
  for (const Block& b : blocks.live) all.push_back(page_of(b));
  return all;
}

// Frees `count` of the blocks from place `first` on.
void cut(Blocks& blocks, std::size_t first, std::size_t count) {
  const auto from = blocks.live.begin() + static_cast<std::ptrdiff_t>(first);
  for (std::size_t k = 0; k < count; ++k) CHECK(delete_movable(from[static_cast<std::ptrdiff_t>(k)]));
  blocks.live.erase(from, from + static_cast<std::ptrdiff_t>(count));
}

bool reached(const pages::Run& range, Pfn p) { return p >= range.first && p < range.first + range.pages; }

}  // namespace

TEST_CASE("what is left of many blocks is moved together: whole pageblocks, every byte intact", "[heap][compact]") {
  const BackgroundRests rests;  // a pageblock is isolated while it purges it
  Random random;
  Blocks blocks;
  compact();
  blocks.fill(16 * kPerBlock, kSize);
  blocks.thin_out(2 * kPerBlock, random);
  REQUIRE(blocks.pageblocks() > 8);
  const std::size_t used = used_pageblocks(), pages = used_pages();
  const std::size_t opened = zone_counters().opened_pages;
  const std::size_t emptied = compact();
  CHECK(blocks.pageblocks() <= 3);
  CHECK(emptied == (used - used_pageblocks()) * kPageblockSize);
  CHECK(used_pages() == pages);
  CHECK(zone_counters().opened_pages == opened);
  CHECK(isolated_pageblocks() == 0);
  CHECK(blocks.all_intact());
  CHECK(heap::validate() == 0);
  CHECK(compact() == 0);
  CHECK(blocks.all_intact());
}

TEST_CASE("pinned blocks stay where they are, others around them move", "[heap][compact]") {
  Random random(1);
  Blocks blocks;
  blocks.fill(16 * kPerBlock, kSize);
  blocks.thin_out(2 * kPerBlock, random);
  std::vector<void*> pins;
  for (std::size_t k = 0; k < blocks.live.size(); k += 8) pins.push_back(heap::movable_pin(blocks.live[k].handle));
  const std::size_t before = blocks.pageblocks();
  std::set<std::uint32_t> with_pins;
  for (std::size_t k = 0; k < blocks.live.size(); k += 8) with_pins.insert(page_of(blocks.live[k]).block().value);
  const std::vector<Pfn> old = places(blocks);
  CHECK(compact() != 0);
  CHECK(blocks.pageblocks() < before);
  for (std::size_t k = 0; k < old.size(); ++k)  // their pageblocks would not become whole
    if (with_pins.count(old[k].block().value) != 0) CHECK(page_of(blocks.live[k]) == old[k]);
  for (std::size_t k = 0; k < blocks.live.size(); k += 8) {
    CHECK(heap::movable_pin(blocks.live[k].handle) == pins[k / 8]);
    heap::movable_unpin(blocks.live[k].handle);
    heap::movable_unpin(blocks.live[k].handle);
  }
  CHECK(blocks.all_intact());
  CHECK(compact() != 0);  // the pins had kept some
  CHECK(blocks.pageblocks() <= 3);
}

TEST_CASE("a pageblock with anything else in it is filled, not emptied", "[heap][compact]") {
  Random random(2);
  Blocks blocks;
  std::vector<pages::Run> others;
  for (int k = 0; k < 4; ++k) {
    blocks.fill(kPerBlock - 1, kSize);
    pages::Run run;  // as malloc has it
    REQUIRE(own_zone().alloc(kSize >> kPageShift, pages::Migratetype::kMovable, run));
    others.push_back(run);
  }
  blocks.fill(8 * kPerBlock, kSize);
  blocks.thin_out(2 * kPerBlock, random);
  compact();
  std::set<std::uint32_t> mixed;
  for (const pages::Run& run : others) mixed.insert(run.first.block().value);
  std::size_t in_mixed = 0;
  for (const Block& b : blocks.live) in_mixed += mixed.count(page_of(b).block().value);
  CHECK(in_mixed >= blocks.live.size() - kPerBlock);
  CHECK(blocks.all_intact());
  for (const pages::Run& run : others) own_zone().free(run.first, run.pages);
}

TEST_CASE("where there is no room nothing moves, and no pageblock is opened", "[heap][compact]") {
  compact();
  Blocks blocks;
  blocks.fill(6, 3 * kPageblockSize / 4);  // a pageblock each
  std::vector<Pfn> before;
  for (const Block& b : blocks.live) before.push_back(page_of(b));
  const std::size_t opened = zone_counters().opened_pages;
  CHECK(compact() == 0);
  for (std::size_t k = 0; k < before.size(); ++k) CHECK(page_of(blocks.live[k]) == before[k]);
  CHECK(zone_counters().opened_pages == opened);
}

TEST_CASE("what is in use in no two pageblocks would fit in one: nothing moves", "[heap][compact]") {
  compact();
  const NoRoom no_room;
  Blocks blocks;
  blocks.fill(2 * kPerBlock, kSize);
  cut(blocks, kPerBlock + 20, kPerBlock - 20);
  cut(blocks, 20, kPerBlock - 20);
  const std::vector<Pfn> before = places(blocks);
  CHECK(compact() == 0);
  CHECK(places(blocks) == before);
}

TEST_CASE("the emptiest pageblock moves into the fullest, and no more than that", "[heap][compact]") {
  compact();
  const NoRoom no_room;
  Blocks blocks;
  blocks.fill(3 * kPerBlock, kSize);
  cut(blocks, 2 * kPerBlock + 16, kPerBlock - 16);
  cut(blocks, kPerBlock + 4, kPerBlock - 4);
  cut(blocks, 24, kPerBlock - 24);
  const std::vector<Pfn> before = places(blocks);
  CHECK(compact() == kPageblockSize);
  const std::vector<Pfn> after = places(blocks);
  for (std::size_t k = 0; k < after.size(); ++k) {
    if (k < 24 || k >= 28)
      CHECK(after[k] == before[k]);
    else
      CHECK(after[k].block() == before[0].block());
  }
  CHECK(blocks.all_intact());
}

TEST_CASE("what the thread's bins hold does not keep a pageblock", "[heap][compact]") {
  deallocate(allocate(200'000));  // the thread has a heap, and so a node; the next one, soon after, is worth keeping
  compact();
  NoRoom no_room;
  void* const p = allocate(200'000);  // of a run class, in a pageblock that it begins
  Blocks blocks;
  blocks.fill(8, kSize);
  Pfn page;
  REQUIRE(process.map.find(p, page));
  REQUIRE(page_of(blocks.live[0]).block() == page.block());
  deallocate(p);
  REQUIRE(process.map.entry(page) != 0);  // it is in a bin
  no_room.make(kPerBlock / 2);
  CHECK(compact() >= kPageblockSize);
  for (const Block& b : blocks.live) CHECK(page_of(b).block() != page.block());
}

TEST_CASE("blocks larger than a pageblock stay; their tails' pageblocks are used", "[heap][compact]") {
  Blocks large, small;
  large.fill(2, kPageblockSize + kPageblockSize / 2);
  small.fill(2 * kPerBlock, kSize);
  const Pfn before[] = {page_of(large.live[0]), page_of(large.live[1])};
  Random random(3);
  small.thin_out(kPerBlock / 2, random);
  compact();
  CHECK(page_of(large.live[0]) == before[0]);
  CHECK(page_of(large.live[1]) == before[1]);
  CHECK(large.all_intact());
  CHECK(small.all_intact());
}

TEST_CASE("compaction between random allocations and frees of all sizes loses no page and damages no byte",
          "[heap][compact]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  const BackgroundRests rests;  // a pageblock is isolated while it purges it
  Random random(4);
  compact();
  const std::size_t pages = used_pages();
  {
    Blocks blocks;
    for (int round = 0; round < 60; ++round) {
      for (int k = 0; k < 40; ++k)
        blocks.live.push_back(
            new_movable((1 + random.below(random.one_in(10) ? 600 : 40)) << kPageShift, random.bits()));
      blocks.thin_out(random.between(10, 120), random);
      const std::size_t used = used_pageblocks();
      const std::size_t emptied = compact();
      REQUIRE(emptied == (used - used_pageblocks()) * kPageblockSize);
      REQUIRE(heap::validate() == 0);
      REQUIRE(isolated_pageblocks() == 0);
      REQUIRE(blocks.all_intact());
    }
  }
  heap::drain_heaps();
  CHECK(used_pages() <= pages);
}

TEST_CASE("evacuate empties a lent contiguous range, which is then handed out whole", "[heap][compact][cma]") {
  const BackgroundRests rests;  // a pageblock is isolated while it purges it
  Blocks blocks;
  BlockIndex first;
  REQUIRE(own_zone().make_cma(4, first));
  const pages::Run range{first_pfn(first), 4 * kPagesPerBlock};
  std::vector<std::uint64_t> fillers;  // ordinary room goes first
  do fillers.push_back(heap::movable_alloc(kSize + 1));
  while (!reached(range, page_of({fillers.back(), 0})));
  blocks.fill(20, kSize + 1);
  for (const Block& b : blocks.live) REQUIRE(reached(range, page_of(b)));
  pages::Run run;
  CHECK_FALSE(own_zone().take(range.first, range.pages, run));

  const Block pinned = blocks.live.back();  // pinned for longer than it takes: nothing changes
  heap::movable_pin(pinned.handle);
  CHECK_FALSE(process.compaction.evacuate(first, 4));
  CHECK(isolated_pageblocks() == 0);
  CHECK(process.map.block(first).migratetype == pages::Migratetype::kCma);
  heap::movable_unpin(pinned.handle);

  for (const std::uint64_t h : fillers) heap::movable_free(h);
  REQUIRE(process.compaction.evacuate(first, 4));
  for (const Block& b : blocks.live) CHECK_FALSE(reached(range, page_of(b)));
  CHECK(blocks.all_intact());
  CHECK(heap::validate() == 0);
  REQUIRE(own_zone().take(range.first, range.pages, run));
  own_zone().unisolate(first, 4);
  own_zone().free(run.first, run.pages);
  CHECK(own_zone().release_cma(first, 4));
}

TEST_CASE("evacuate of what cannot be emptied leaves it as it was", "[heap][compact][cma]") {
  const BackgroundRests rests;  // a pageblock is isolated while it purges it
  Blocks blocks;
  blocks.fill(kPerBlock, kSize);
  pages::Run run;
  REQUIRE(own_zone().alloc(1, pages::Migratetype::kMovable, run));
  CHECK_FALSE(process.compaction.evacuate(run.first.block(), 1));
  CHECK_FALSE(process.compaction.evacuate({process.map.section(0).opened}, 1));
  CHECK(isolated_pageblocks() == 0);
  own_zone().free(run.first, 1);
  CHECK(blocks.all_intact());
}

TEST_CASE("evacuate moves blocks of any size, also larger than a pageblock", "[heap][compact][cma]") {
  Blocks blocks;
  blocks.fill(1, 5 * kPageblockSize / 2);
  const BlockIndex b = page_of(blocks.live[0]).block();
  const bool done = process.compaction.evacuate(b, 2);
  CHECK(blocks.all_intact());
  if (done) {
    CHECK(page_of(blocks.live[0]).block() != b);
    zone_of(b).unisolate(b, 2);
  }
  CHECK(done);
}

TEST_CASE("a compaction inside a compaction, and one without memory for its lists, does nothing", "[heap][compact]") {
  Random random(5);
  Blocks blocks;
  blocks.fill(8 * kPerBlock, kSize);
  blocks.thin_out(kPerBlock, random);
  const std::size_t before = blocks.pageblocks();
  heap::t_state.compacting = true;  // a signal handler's child
  CHECK(compact() == 0);
  heap::t_state.compacting = false;
  FakeVm vm;
  heap::Compaction poor{};
  const std::size_t bytes = align_up(heap::Compaction::bytes_for(1 << 20), pages::MetaSpace::kStep);
  poor.init(FakeVm::table, static_cast<char*>(FakeVm::table.reserve(bytes, kPageSize)), 1 << 20);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kCommit; };
  CHECK(poor.run() == 0);
  CHECK(blocks.pageblocks() == before);
  CHECK(compact() != 0);
}

TEST_CASE("pins, writes and frees in threads while blocks move", "[heap][compact][threads]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  constexpr std::size_t kShared = 24, kOwn = 40;
  Blocks shared;  // counted up by whoever comes by; never freed meanwhile
  for (std::size_t k = 0; k < kShared; ++k) {
    shared.live.push_back({heap::movable_alloc(3 * kPageSize), 0});
    std::memset(heap::movable_pin(shared.live[k].handle), 0, 3 * kPageSize);
    heap::movable_unpin(shared.live[k].handle);
  }
  std::atomic<unsigned> damaged{0};
  std::atomic<std::size_t> counted[kShared] = {};
  std::atomic<bool> stop{false};
  const auto work = [&](unsigned number) {
    Random random(number);
    Block own[kOwn] = {};
    for (int n = 0; n < 3000; ++n) {
      Block& b = own[random.below(kOwn)];
      if (b.handle != 0 && !delete_movable(b)) ++damaged;
      b = {};
      if (random.one_in(2)) b = new_movable((1 + random.below(20)) << kPageShift, random.bits());
      const std::size_t k = random.below(kShared);
      auto* const words = static_cast<std::atomic<std::size_t>*>(heap::movable_pin(shared.live[k].handle));
      words[n % 3 * 512].fetch_add(1);
      heap::movable_unpin(shared.live[k].handle);
      ++counted[k];
    }
    for (const Block& b : own)
      if (b.handle != 0 && !delete_movable(b)) ++damaged;
  };
  std::thread compactor([&] {
    Random random(9);
    while (!stop) {
      compact();
      const auto opened = static_cast<std::uint32_t>(zone_counters().opened_pages >> kPageblockOrder);
      const BlockIndex b{static_cast<std::uint32_t>(random.below(opened))};
      if (process.compaction.evacuate(b, 1)) zone_of(b).unisolate(b, 1);
    }
  });
  std::vector<std::thread> threads;
  for (unsigned k = 0; k < 3; ++k) threads.emplace_back(work, k);
  for (auto& t : threads) t.join();
  stop = true;
  compactor.join();
  CHECK(damaged == 0);
  for (std::size_t k = 0; k < kShared; ++k) {
    const auto* const words = static_cast<const std::size_t*>(heap::movable_pin(shared.live[k].handle));
    CHECK(words[0] + words[512] + words[1024] == counted[k]);
    heap::movable_unpin(shared.live[k].handle);
  }
  const BackgroundRests rests;
  CHECK(isolated_pageblocks() == 0);
  CHECK(heap::validate() == 0);
}
