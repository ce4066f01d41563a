// test_watermark.cc: the values behind the watermarks, each by itself.  layer: tests
#include <catch2/catch.hpp>

#include "pages/watermark.h"

namespace bm::pages {
namespace {

constexpr std::uint64_t kStart = 1'000'000;
constexpr std::size_t kBlock = kPagesPerBlock;

TEST_CASE("half-lives pass one by one, the rest of a started one is not lost", "[watermark]") {
  HalfLives h;
  h.restart(kStart);
  CHECK(h.passed(kStart + kHalfLife - 1) == 0);
  CHECK(h.passed(kStart + kHalfLife) == 1);
  CHECK(h.passed(kStart + kHalfLife + 1) == 0);
  CHECK(h.passed(kStart + 2 * kHalfLife) == 1);
  CHECK(h.passed(kStart + 7 * kHalfLife + 5) == 5);
  CHECK(h.passed(kStart) == 0);  // a clock that went back
  CHECK(halved(1024, 3) == 128);
  CHECK(halved(SIZE_MAX, 64) == 0);
}

TEST_CASE("the range of the last one to two periods", "[watermark]") {
  RecentRange<100> r;
  CHECK_FALSE(r.advance(kStart, 50));  // the first look starts a period; what was before it was 0 at times
  CHECK(r.low() == 0);
  r.note(70);
  r.note(40);
  CHECK(r.advance(kStart + 100, 60));
  CHECK(r.low() == 40);
  CHECK(r.span() == 30);
  CHECK_FALSE(r.advance(kStart + 199, 60));
  r.note(90);
  CHECK(r.low() == 40);
  CHECK(r.span() == 50);
  CHECK(r.advance(kStart + 200, 80));
  CHECK(r.low() == 60);
  CHECK(r.span() == 30);
  CHECK(r.advance(kStart + 300, 80));
  CHECK(r.low() == 80);
  CHECK(r.span() == 0);
}

TEST_CASE("a low that nobody dated stays for a period after the next look", "[watermark]") {
  RecentRange<100> r;
  r.advance(kStart, 50);
  r.advance(kStart + 100, 50);
  r.note(10);
  r.note(50);
  r.advance(kStart + 10'000, 50);
  CHECK(r.low() == 10);
  r.advance(kStart + 10'100, 50);
  CHECK(r.low() == 50);
}

struct Cycles {
  Refaults refaults;
  std::uint64_t now = kStart;
  void cycle(std::size_t pages, std::uint64_t gap, std::uint64_t rest = 50) {
    refaults.purged(now);
    now += gap;
    if (refaults.note(pages)) refaults.dated(now);
    now += rest;
    refaults.crossed(now);
  }
};

TEST_CASE("two cycles close to each other earn what both brought back", "[watermark]") {
  Cycles c;
  c.cycle(10 * kBlock, 5);
  CHECK(c.refaults.earned() == 0);
  c.cycle(8 * kBlock, 5);
  CHECK(c.refaults.earned() == 8 * kBlock);
  c.cycle(4 * kBlock, 5);
  CHECK(c.refaults.earned() == 8 * kBlock);
}

TEST_CASE("a pageblock in all is enough to ask what time it is, once", "[watermark]") {
  Refaults refaults;
  CHECK_FALSE(refaults.note(kBlock - 1));
  CHECK(refaults.note(1));
  CHECK_FALSE(refaults.note(kBlock));
}

TEST_CASE("late or small refaults, or cycles far apart, earn nothing", "[watermark]") {
  Cycles c;
  for (int i = 0; i < 4; ++i) c.cycle(10 * kBlock, Refaults::kSoon + 1);
  for (int i = 0; i < 4; ++i) c.cycle(kBlock - 1, 5);
  for (int i = 0; i < 4; ++i) c.cycle(10 * kBlock, 5, Refaults::kTogether + 1);
  CHECK(c.refaults.earned() == 0);
}

TEST_CASE("what runs have outgrown is wanted when more than half of it was taken again; both fade", "[watermark]") {
  Outgrown o;
  CHECK_FALSE(o.wanted(kStart));
  o.purged(100);
  o.taken(50);
  CHECK_FALSE(o.wanted(kStart));
  o.taken(1);
  CHECK(o.wanted(kStart));
  o.taken(150);
  CHECK(o.wanted(kStart + 7 * kHalfLife));
  CHECK_FALSE(o.wanted(kStart + 8 * kHalfLife));  // there is nothing to tell from any more
}

TEST_CASE("what was earned fades unless it is of use", "[watermark]") {
  Cycles c;
  c.cycle(8 * kBlock, 5);
  c.cycle(8 * kBlock, 5);
  c.refaults.advance(c.now + kHalfLife - 1);
  CHECK(c.refaults.earned() == 8 * kBlock);
  c.refaults.used(c.now + kHalfLife - 1);
  c.refaults.advance(c.now + 2 * kHalfLife - 2);
  CHECK(c.refaults.earned() == 8 * kBlock);
  c.refaults.advance(c.now + 2 * kHalfLife);
  CHECK(c.refaults.earned() == 4 * kBlock);
  c.refaults.advance(c.now + 100 * kHalfLife);
  CHECK(c.refaults.earned() == 0);
}

}  // namespace
}  // namespace bm::pages
