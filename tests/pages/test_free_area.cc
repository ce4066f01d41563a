// test_free_area.cc: the free sets against std::set, over all summary levels.  layer: tests
#include "pages/free_area.h"

#include <catch2/catch.hpp>
#include <set>

#include "support/fake_vm.h"
#include "support/private_member.h"
#include "support/random.h"

namespace bm::test {
struct SummaryOf {
  using Owner = pages::FreeArea;
  friend void* member(SummaryOf, pages::FreeArea&);
};
template struct PrivateMember<SummaryOf, &pages::FreeArea::summary_>;
}  // namespace bm::test

namespace bm::pages {
namespace {

using test::FakeVm;
using test::Random;
using test::SummaryOf;
using test::VmCall;

struct Fixture {
  explicit Fixture(std::size_t blocks) {
    const std::size_t bytes = align_up(groups_for(blocks) * sizeof(BlockGroup), MetaSpace::kStep);
    groups.init(FakeVm::table, static_cast<char*>(FakeVm::table.reserve(bytes, 4096)) + bytes, bytes);
    area.init(groups);
  }
  FakeVm vm;
  BlockGroups groups;
  FreeArea area;
};

// The same edits on both sides. Members are drawn near each other and near the edges of words, rows and summaries.
void compare_with_std_set(std::size_t blocks, unsigned set, int rounds, Random& random) {
  Fixture f(blocks);
  REQUIRE(f.area.ensure(blocks));
  std::set<std::uint32_t> naive;
  const auto draw = [&]() -> std::uint32_t {
    const std::size_t edges[] = {0, 64, 4096, 64 * 4096, blocks / 2, blocks};
    const std::size_t edge = std::min(edges[random.below(6)], blocks);
    const std::size_t n =
        random.one_in(3) ? random.below(blocks) : edge + random.below(80) - std::min<std::size_t>(edge, 40);
    return static_cast<std::uint32_t>(std::min(n, blocks - 1));
  };
  for (int round = 0; round < rounds; ++round) {
    const std::uint32_t b = draw();
    REQUIRE(f.area.contains(set, {b}) == (naive.count(b) != 0));
    if (naive.count(b) != 0 && random.one_in(naive.size() > 200 ? 1 : 3)) {
      f.area.remove(set, {b});
      naive.erase(b);
    } else if (naive.insert(b).second) {
      f.area.insert(set, {b});
    }
    if (random.one_in(500))
      while (!naive.empty()) {
        f.area.remove(set, {*naive.begin()});
        naive.erase(naive.begin());
      }
    BlockIndex out{};
    const std::uint32_t from = draw();
    const auto expected = naive.lower_bound(from);
    REQUIRE(f.area.first(set, {from}, out) == (expected != naive.end()));
    if (expected != naive.end()) REQUIRE(out.value == *expected);
    REQUIRE(f.area.last(set, out) == !naive.empty());
    if (!naive.empty()) REQUIRE(out.value == *naive.rbegin());
  }
  CHECK(f.area.summaries_consistent());
}

TEST_CASE("insert, remove, first and last as std::set, within one row", "[free_area]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random;
  compare_with_std_set(50, 3, 4000, random);
}

TEST_CASE("and over several rows and summary rows", "[free_area]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random(1);
  compare_with_std_set(10000, FreeArea::kAnyWhole, 3000, random);
}

TEST_CASE("and over several top words", "[free_area]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random(2);
  compare_with_std_set(3 * 64 * 4096 + 777, FreeArea::kDirtyWhole, 300, random);
}

TEST_CASE("sets do not see each other; orders_present and clear_all", "[free_area]") {
  Fixture f(1 << 19);
  REQUIRE(f.area.ensure(1 << 19));
  for (unsigned o = 0; o < FreeArea::kOrders; o += 3)
    f.area.insert(FreeArea::set_of(Migratetype::kMovable, o), {(1U << 19) - 1 - 50000 * o});
  f.area.insert(FreeArea::set_of(Migratetype::kUnmovable, 1), {5});
  CHECK(f.area.orders_present(Migratetype::kMovable) == 0b1001001001);
  CHECK(f.area.orders_present(Migratetype::kUnmovable) == 0b10);
  CHECK(f.area.orders_present(Migratetype::kReclaimable) == 0);
  f.area.clear_words(BlockIndex{}, 1 << 19);
  f.area.clear_summaries();
  CHECK(f.area.orders_present(Migratetype::kMovable) == 0);
  CHECK_FALSE(f.area.contains(FreeArea::set_of(Migratetype::kUnmovable, 1), {5}));
  CHECK(f.area.summaries_consistent());
}

TEST_CASE("first_run is the lowest of the runs that are long enough", "[free_area]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random(3);
  for (int round = 0; round < 300; ++round) {
    const std::size_t blocks = random.between(1, 300);
    Fixture f(blocks);
    REQUIRE(f.area.ensure(blocks));
    std::vector<bool> in(blocks);
    for (std::size_t b = 0; b < blocks; ++b)
      if ((in[b] = !random.one_in(random.between(2, 9)))) f.area.insert(7, {static_cast<std::uint32_t>(b)});
    const std::size_t count = random.between(1, 12);
    std::size_t naive = 0, n = 0;
    while (naive + count <= blocks) {
      for (n = 0; n < count && in[naive + n];) ++n;
      if (n == count) break;
      ++naive;
    }
    BlockIndex out{};
    REQUIRE(f.area.first_run(7, count, out) == (naive + count <= blocks));
    if (naive + count <= blocks) REQUIRE(out.value == naive);
  }
}

TEST_CASE("room is committed as asked for, and refused without harm", "[free_area]") {
  Fixture f(10000);
  REQUIRE(f.area.ensure(64));
  f.area.insert(0, {63});
  f.vm.refuse = [](const VmCall&) { return true; };
  CHECK_FALSE(f.area.ensure(10000));
  BlockIndex out{};
  CHECK(f.area.first(0, {0}, out));
  CHECK_FALSE(f.area.first(0, {64}, out));
  CHECK(f.area.summaries_consistent());
  f.vm.refuse = nullptr;
  CHECK(f.area.ensure(10000));
  CHECK_FALSE(f.area.ensure(1 << 30));  // beyond what the summaries reach
}

TEST_CASE("FA-3: a summary bit that is missing or too many is noticed", "[free_area]") {
  Fixture f(10000);
  REQUIRE(f.area.ensure(10000));
  f.area.insert(9, {7000});
  auto* const row = static_cast<std::uint64_t*>(member(SummaryOf{}, f.area)) + FreeArea::kSets;  // of rows 64..127
  const std::uint64_t bit = std::uint64_t{1} << (7000 / 64 % 64);
  REQUIRE((row[9] & bit) != 0);
  const auto consistent = [&] { return f.area.words_consistent({0}, 10000) && f.area.summaries_consistent(); };
  row[9] ^= bit;
  CHECK_FALSE(consistent());
  row[9] ^= bit | 1;
  CHECK_FALSE(consistent());
  row[9] ^= 1;
  CHECK(consistent());
}

}  // namespace
}  // namespace bm::pages
