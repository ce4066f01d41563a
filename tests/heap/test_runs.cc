// test_runs.cc: page runs and mappings of their own: sizes, alignments, refusal, foreign pointers, how close they lie.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <set>
#include <vector>

#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;

TEST_CASE("runs from 1 MiB up are whole pages, distinct and hold what is written", "[heap][runs]") {
  const std::size_t before = live_bytes();
  std::vector<std::pair<void*, std::size_t>> all;
  for (const std::size_t bytes : {kMiB + 1, 2 * kMiB - 1, 2 * kMiB, 2 * kMiB + 1, 3 * kMiB + 5000, 7 * kMiB, 33 * kMiB})
    for (int k = 0; k < 3; ++k) {
      void* const p = allocate(bytes);
      REQUIRE(p != nullptr);
      REQUIRE(aligned(p, kPageSize));
      REQUIRE(heap::usable_size(p) == align_up(bytes, kPageSize));
      paint(p, bytes, all.size());
      all.emplace_back(p, bytes);
    }
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(painted(all[i].first, all[i].second, i));
  CHECK(heap::validate() == 0);
  for (const auto& [p, bytes] : all) deallocate(p);
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("every alignment up to 64 MiB is honoured for every kind of block", "[heap][runs][aligned]") {
  const std::size_t before = live_bytes();
  std::vector<void*> all;
  for (std::size_t alignment = 1; alignment <= 64 * kMiB; alignment *= 2)
    for (const std::size_t bytes : {0ul, 1ul, 100ul, 4096ul, 70'000ul, kMiB, 3 * kMiB}) {
      CAPTURE(alignment, bytes);
      void* const p = heap::allocate_aligned(bytes, alignment);
      REQUIRE(p != nullptr);
      REQUIRE(aligned(p, std::max<std::size_t>(alignment, 16)));
      REQUIRE(heap::usable_size(p) >= bytes);
      paint(p, bytes, all.size());
      all.push_back(p);
    }
  std::size_t i = 0;
  for (std::size_t alignment = 1; alignment <= 64 * kMiB; alignment *= 2)
    for (const std::size_t bytes : {0ul, 1ul, 100ul, 4096ul, 70'000ul, kMiB, 3 * kMiB}) {
      CHECK(painted(all[i], bytes, i));
      ++i;
    }
  CHECK(heap::validate() == 0);
  for (void* const p : all) deallocate(p);
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("an alignment costs no pages behind the block", "[heap][runs][aligned]") {
  const std::size_t before = live_bytes();
  void* const p = heap::allocate_aligned(5000, 4 * kMiB);
  CHECK(live_bytes() - before == 2 * kPageSize);
  deallocate(p);
  CHECK(live_bytes() == before);
}

// Blocks, and the pageblocks that they are in: what is left of a hugepage beside a block is resident, whoever asked for it.
struct Blocks {
  std::vector<std::pair<void*, std::size_t>> all;
  void add(std::size_t bytes) {
    all.emplace_back(allocate(bytes), bytes);
    REQUIRE(all.back().first != nullptr);
  }
  std::size_t resident() const {
    std::set<std::uintptr_t> pageblocks;
    for (const auto& [p, bytes] : all) {
      const auto start = reinterpret_cast<std::uintptr_t>(p);
      for (auto b = start >> kPageblockShift; b <= (start + bytes - 1) >> kPageblockShift; ++b) pageblocks.insert(b);
    }
    return pageblocks.size() << kPageblockShift;
  }
  ~Blocks() {
    for (const auto& [p, bytes] : all) deallocate(p);
    CHECK(heap::validate() == 0);
  }
};
// A size class may round up by an eighth; a few pageblocks more are those that were partly used before.
constexpr std::size_t close_together(std::size_t bytes) { return bytes + bytes / 8 + 6 * kPageblockSize; }

TEST_CASE("blocks of one size above 64 KiB lie close together, whatever the size", "[heap][runs]") {
  for (const std::size_t bytes : {69'000ul, 140'000ul, 270'000ul, 530'000ul, 1'100'000ul, 1'400'000ul, 2'200'000ul}) {
    Blocks blocks;
    std::size_t total = 0;
    for (; total < 64 * kMiB; total += bytes) blocks.add(bytes);
    CAPTURE(bytes);
    CHECK(blocks.resident() <= close_together(total));
  }
}

TEST_CASE("blocks above 64 KiB find room in what others left", "[heap][runs]") {
  Random random(7);
  for (const std::size_t bytes : {69'000ul, 270'000ul, 1'100'000ul, 2'200'000ul, 5'000'000ul}) {
    Blocks blocks;
    std::size_t total = 0;
    for (; total < 64 * kMiB; total += bytes) blocks.add(bytes);
    for (int round = 0; round < 10; ++round) {
      const auto gone =
          std::partition(blocks.all.begin(), blocks.all.end(), [&](const auto&) { return random.one_in(2); });
      std::for_each(gone, blocks.all.end(), [](const auto& block) { deallocate(block.first); });
      const auto n = blocks.all.end() - gone;
      blocks.all.erase(gone, blocks.all.end());
      for (auto i = n; i != 0; --i) blocks.add(bytes);
    }
    CAPTURE(bytes);
    CHECK(blocks.resident() <= close_together(total + total / 16));
  }
}

// By eighths, one after the other and in turns.
TEST_CASE("blocks that grow lie close together", "[heap][runs][realloc]") {
  static constexpr std::size_t kEnd = 300'000;
  const bool in_turns = GENERATE(false, true);
  Blocks blocks;
  for (int i = 0; i < 300; ++i) blocks.add(1000);
  const auto grow = [](auto& block) {
    block.second = std::min(block.second + block.second / 8, kEnd);
    block.first = heap::reallocate(block.first, block.second);
    return block.second < kEnd;
  };
  if (in_turns) {
    while (std::count_if(blocks.all.begin(), blocks.all.end(), grow) != 0) {
    }
  } else {
    for (auto& block : blocks.all)
      while (grow(block)) {
      }
  }
  CAPTURE(in_turns);
  CHECK(blocks.resident() <= close_together(300 * kEnd));
}

TEST_CASE("above 1 GiB a block has a mapping of its own", "[heap][runs]") {
  const heap::Statistics before = statistics();
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  void* const inside = allocate(kGiB);
  CHECK(statistics().mapped_count == before.mapped_count);
  auto* const p = static_cast<char*>(allocate(kGiB + 1));
  auto* const q = static_cast<char*>(heap::allocate_aligned(kGiB + 1, 8 * kMiB));
  REQUIRE((inside != nullptr && p != nullptr && q != nullptr));
  CHECK(statistics().mapped_count == before.mapped_count + 2);
  CHECK(statistics().mapped_bytes == before.mapped_bytes + 2 * (kGiB + kPageSize));
  CHECK(heap::usable_size(p) == kGiB + kPageSize);
  CHECK(heap::owns(p));
  CHECK_FALSE(heap::owns(p + 16));
  CHECK(aligned(q, 8 * kMiB));
  p[0] = p[kGiB] = q[kGiB] = 1;
  deallocate(p);
  deallocate(q);
  deallocate(inside);
  CHECK(statistics().mapped_count == before.mapped_count);
  CHECK(live_bytes() == before.live_bytes);
}

TEST_CASE("sizes and alignments beyond reason are refused, with the heap unharmed", "[heap][runs]") {
  const std::size_t before = live_bytes();
  constexpr std::size_t kTop = std::size_t{PTRDIFF_MAX};
  for (const std::size_t bytes :
       {kTop, kTop + 1, SIZE_MAX, SIZE_MAX - 15, std::size_t{1} << 62, std::size_t{1} << 47}) {
    CAPTURE(bytes);
    CHECK(allocate(bytes) == nullptr);
    CHECK(heap::allocate_zeroed(bytes) == nullptr);
    CHECK(heap::allocate_aligned(bytes, 16) == nullptr);
    CHECK(heap::allocate_aligned(bytes, 64) == nullptr);
    CHECK(heap::allocate_aligned(bytes, 4 * kMiB) == nullptr);
    void* const p = allocate(100);
    CHECK(heap::reallocate(p, bytes) == nullptr);
    deallocate(p);
  }
  for (const std::size_t bytes : {1ul, 5000ul, kMiB, 1ul << 30})
    for (const unsigned shift : {47u, 56u, 62u, 63u}) {
      CAPTURE(bytes, shift);
      CHECK(heap::allocate_aligned(bytes, std::size_t{1} << shift) == nullptr);
    }
  CHECK(live_bytes() == before);
  CHECK(heap::validate() == 0);
}

TEST_CASE("foreign pointers are nobody's", "[heap][runs]") {
  int on_stack = 0;
  static int in_data = 0;
  void* const of_libc = std::malloc(100);
  for (const void* const p : {static_cast<const void*>(&on_stack), static_cast<const void*>(&in_data),
                              static_cast<const void*>(of_libc), reinterpret_cast<const void*>(&allocate),
                              reinterpret_cast<const void*>(1), reinterpret_cast<const void*>(~std::uintptr_t{0}),
                              static_cast<const void*>(nullptr), reinterpret_cast<const void*>(&heap::process)}) {
    CHECK(heap::usable_size(p) == 0);
    CHECK_FALSE(heap::owns(p));
  }
  std::free(of_libc);
  auto* const run = static_cast<char*>(allocate(3 * kMiB));
  CHECK(heap::owns(run));
  CHECK_FALSE(heap::owns(run + kPageSize));  // inside
  deallocate(run);
  CHECK_FALSE(heap::owns(run));
}
