// test_zone_recover.cc: a fork's child gets a whole zone, whatever instruction the lock's holder was at.  layer: tests
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <thread>

#include <sys/wait.h>
#include <unistd.h>

#include "support/child.h"
#include "support/private_member.h"
#include "support/random.h"
#include "support/single_step.h"
#include "support/zone_fixture.h"

namespace bm::test {
struct IntentInRecover {
  using Owner = pages::Zone;
  friend void* member(IntentInRecover, pages::Zone&);
};
template struct PrivateMember<IntentInRecover, &pages::Zone::intent_>;
}  // namespace bm::test

namespace bm::pages {
namespace {

using namespace test;

struct Held {
  Pfn first;
  std::size_t pages;
};

bool complain(const char* what, std::size_t n) {
  std::fprintf(stderr, "%s: %zu\n", what, n);
  return false;
}

// As Zone::Intent.
struct IntentWords {
  Pfn first;
  std::uint64_t mask;
  std::size_t pages;
};

// Runs that the interrupted call had not yet taken back or had just given out: lost in whole or not at all.
struct Lost {
  std::size_t run;  // pages
  std::size_t at_most = 1;
};

// Recovers as the heap does it in a child; then all pages must be there, but for those that may be lost. `held` are the
// runs whose owners live on.
bool recovers(ZoneFixture& z, const std::vector<Held>& held, Lost may_lose) {
  z.map.reset_lock();
  if (z.zone.interrupted()) z.zone.recover();
  if (const int broken = z.zone.validate(2); broken != 0) return complain("invariants broken", std::size_t(broken));
  std::size_t held_pages = 0;
  for (const Held& h : held) {
    held_pages += h.pages;
    for (std::size_t i = 0; i < h.pages; ++i)
      if (z.map.block((h.first + i).block()).free.any((h.first + i).offset(), 1))
        return complain("free while in use: page", h.first.value + i);
  }
  const auto before = z.zone.counters();
  const std::size_t lost = before.opened_pages - before.free_pages - held_pages;
  if (lost > may_lose.run * may_lose.at_most || lost % may_lose.run != 0) return complain("pages lost", lost);
  Run run;
  for (const std::size_t n : {std::size_t{1}, std::size_t{30}, kBlock, 2 * kBlock + 1}) {
    if (!z.zone.alloc(n, kUnmovable, run)) return complain("cannot alloc", n);
    std::memset(z.at(run.first), 1, n << kPageShift);
    z.zone.free(run.first, n);
  }
  for (const Held& h : held) z.zone.free(h.first, h.pages);
  const auto after = z.zone.counters();
  const std::size_t still_lost = after.opened_pages - after.free_pages;
  return (z.zone.validate(2) == 0 && still_lost == lost) || complain("pages lost later", still_lost);
}

// What a child gets of the zone's truth: where it has not changed, forking again shows nothing new.
std::vector<char> state(const ZoneFixture& z) {
  std::vector<char> bytes(sizeof z.zone + sizeof z.map + sizeof z.space);
  std::memcpy(bytes.data(), &z.zone, sizeof z.zone);
  std::memcpy(bytes.data() + sizeof z.zone, &z.map, sizeof z.map);
  std::memcpy(bytes.data() + sizeof z.zone + sizeof z.map, &z.space, sizeof z.space);
  const Section& s = z.map.section(0);
  for (std::uint32_t b = 0; b < std::min(s.committed, 6U); ++b) {
    const auto* d = reinterpret_cast<const char*>(&z.block(b));
    bytes.insert(bytes.end(), d, d + sizeof(PageBitmap) * 2 + 64);
  }
  return bytes;
}

// Forks after each instruction of `operation` that changed the state.
void interrupt_everywhere(ZoneFixture& z, const std::vector<Held>& held, Lost may_lose,
                          const std::function<void()>& operation) {
  std::vector<char> last;
  std::size_t forks = 0, failures = 0;
  std::string text;
  const std::size_t steps = single_step(operation, [&] {
    std::vector<char> now = state(z);
    if (now == last) return;
    last = std::move(now);
    ++forks;
    const Ending e = in_child([&] { return recovers(z, held, may_lose); }, [] { return _Fork(); });
    if (e.ok) return;
    ++failures;
    text +=
        "fork " + std::to_string(forks) + ", signal " + std::to_string(e.signal) + ": " + e.text.substr(0, 60) + "\n";
  });
  INFO(text);
  CAPTURE(steps, forks);
  CHECK(failures == 0);
  CHECK(forks >= 4);
  CHECK(steps > forks);
  CHECK(z.zone.validate(2) == 0);
}

struct Fixture : ZoneFixture {
  Fixture() : ZoneFixture(os::linux_vm, space_of(16)) {
    if (!kCanSingleStep) WARN("this processor cannot be stepped: nothing tested");
  }
  std::vector<Held> hold(std::initializer_list<std::size_t> sizes) {
    std::vector<Held> held;
    for (const std::size_t n : sizes) held.push_back({alloc(n).first, n});
    return held;
  }
};

TEST_CASE("interrupted anywhere: alloc and free inside a pageblock", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({1, 5, 64});
  Run run;
  interrupt_everywhere(z, held, {7}, [&] { z.zone.alloc(7, kMovable, run); });
  interrupt_everywhere(z, held, {7}, [&] { z.zone.free(run.first, 7); });
}

TEST_CASE("interrupted anywhere: alloc that opens a fresh pageblock", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({kBlock});
  Run run;
  interrupt_everywhere(z, held, {7}, [&] { z.zone.alloc(7, kMovable, run); });
}

TEST_CASE("interrupted anywhere: the first alloc of all", "[zone_recover][native]") {
  Fixture z;
  Run run;
  interrupt_everywhere(z, {}, {7}, [&] { z.zone.alloc(7, kMovable, run); });
}

TEST_CASE("interrupted anywhere: alloc and free over pageblocks", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({10});
  z.free(z.alloc(3 * kBlock));
  Run run;
  interrupt_everywhere(z, held, {2 * kBlock + 9}, [&] { z.zone.alloc(2 * kBlock + 9, kUnmovable, run); });
  interrupt_everywhere(z, held, {2 * kBlock + 9}, [&] { z.zone.free(run.first, 2 * kBlock + 9); });
}

TEST_CASE("interrupted anywhere: alloc over fresh pageblocks", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({10});
  Run run;
  interrupt_everywhere(z, held, {2 * kBlock + 9}, [&] { z.zone.alloc(2 * kBlock + 9, kUnmovable, run); });
}

TEST_CASE("interrupted anywhere: extend, over the frontier", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({10});
  interrupt_everywhere(z, held, {20}, [&] { z.zone.extend(held[0].first, 10, 30); });
  interrupt_everywhere(z, {{held[0].first, 30}}, {kBlock}, [&] { z.zone.extend(held[0].first, 30, 30 + kBlock); });
}

TEST_CASE("interrupted anywhere: a run on small pages that has been outgrown", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({10});
  const Run run = z.alloc(kBlock + 100);
  interrupt_everywhere(z, held, {run.pages}, [&] { z.zone.free_outgrown(run.first, run.pages); });
}

TEST_CASE("interrupted anywhere: another type's pageblock changes hands", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({kBlock, kBlock});
  z.free(z.alloc(kBlock));
  Run run;
  interrupt_everywhere(z, held, {2}, [&] { z.zone.alloc(2, kReclaimable, run); });
}

TEST_CASE("interrupted anywhere: batches lose what they had in hand, at most", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({3});
  Run run[4];
  interrupt_everywhere(z, held, {2, 4}, [&] { z.zone.alloc_batch(2, kMovable, 4, run); });
  const Pfn first[] = {run[0].first, run[1].first, run[2].first, run[3].first};
  interrupt_everywhere(z, held, {2, 4}, [&] { z.zone.free_batch(2, first, 4); });
}

TEST_CASE("interrupted anywhere: a batch of scattered pages, some in each of several words", "[zone_recover][native]") {
  Fixture z;
  std::vector<Held> held;
  for (Pfn p = z.alloc(500).first; p.offset() < 500; p = p + 20) {
    z.zone.free(p, 1);
    held.push_back({p + 1, 19});
  }
  Run run[6];
  interrupt_everywhere(z, held, {1, 6}, [&] { z.zone.alloc_batch(1, kMovable, 6, run); });
  Pfn first[6];
  for (std::size_t k = 0; k < 6; ++k) first[k] = run[k].first;
  CHECK(first[5] == first[0] + 100);
  interrupt_everywhere(z, held, {1, 6}, [&] { z.zone.free_batch(1, first, 6); });
}

TEST_CASE("interrupted anywhere: purge of whole pageblocks and of holes", "[zone_recover][native]") {
  Fixture z;
  const auto held = z.hold({40});
  z.free(z.alloc(2 * kBlock));
  z.zone.free(held[0].first + 10, 5);
  const std::vector<Held> rest = {{held[0].first, 10}, {held[0].first + 15, 25}};
  interrupt_everywhere(z, rest, {1, 0}, [&] { z.zone.purge(0, true); });
}

TEST_CASE("interrupted anywhere: a free beyond the watermark", "[zone_recover][native]") {
  Fixture z;
  z.zone.watermarks = {0, 0};
  const auto held = z.hold({kBlock, kBlock});
  interrupt_everywhere(z, {held[0]}, {kBlock}, [&] { z.zone.free(held[1].first, kBlock); });
}

// The same from outside: another thread's instruction, by a raw clone.
TEST_CASE("forked at random times while another thread allocates and frees", "[zone_recover][native]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  Fixture z;
  z.zone.watermarks = {kBlock, 2 * kBlock};
  const auto held = z.hold({1, 100, kBlock + 3});
  std::atomic<bool> stop = false;
  std::thread other([&] {
    Random random;
    Run run, longer;
    while (!stop) {
      const std::size_t n = random.one_in(8) ? random.between(1, 1500) : random.between(1, 20);
      z.zone.alloc(n, Migratetype(random.below(3)), run);
      z.zone.alloc(3, kMovable, longer);
      z.zone.free(run.first, n);
      z.zone.free(longer.first, 3);
    }
  });
  int failures = 0;
  std::string text;
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    usleep(static_cast<useconds_t>(random.below(200)));
    const Ending e = in_child([&] { return recovers(z, held, {1, 1503}); }, fork_by_clone);
    if (!e.ok) ++failures, text += "signal " + std::to_string(e.signal) + ": " + e.text;
  }
  stop = true;
  other.join();
  INFO(text);
  CHECK(failures == 0);
  CHECK(z.zone.validate(2) == 0);
}

TEST_CASE("a run in transition is free after recover, over pageblocks too, and dirty", "[zone_recover]") {
  Fixture z;
  const Run before = z.alloc(10), run = z.alloc(2 * kBlock + 5), behind = z.alloc(kBlock);
  auto& intent = *static_cast<IntentWords*>(member(IntentInRecover{}, z.zone));
  intent = {run.first, 0, run.pages};
  z.block(run.first.block().value).isolated = true;  // by a purge that is no more
  const std::uint32_t changes = z.zone.changes();
  z.zone.recover();
  CHECK(intent.pages == 0);
  CHECK(z.zone.changes() > changes);
  CHECK(z.zone.validate(2) == 0);
  CHECK(z.zone.changes() % 2 == 0);
  const auto c = z.zone.counters();
  CHECK(c.opened_pages - c.free_pages == before.pages + behind.pages);
  CHECK(c.backed_free_pages == run.pages);
  const Run again = z.alloc(2 * kBlock + 5);
  CHECK(again.first == run.first);
  CHECK_FALSE(again.zeroed);
}

TEST_CASE("scattered pages in transition are free after recover, and nothing between them", "[zone_recover]") {
  Fixture z;
  const Run run = z.alloc(200);
  auto& intent = *static_cast<IntentWords*>(member(IntentInRecover{}, z.zone));
  intent = {first_pfn(run.first.block()) + 64, 0x8000000000000005, 3};
  z.zone.recover();
  CHECK(intent.pages == 0);
  CHECK(z.zone.validate(2) == 0);
  const auto c = z.zone.counters();
  CHECK(c.opened_pages - c.free_pages == 197);
  for (const std::size_t k : {std::size_t{64}, std::size_t{66}, std::size_t{127}})
    CHECK(z.alloc(1).first == run.first + k);
}

TEST_CASE("recover in a zone at rest changes nothing", "[zone_recover]") {
  Fixture z;
  const auto held = z.hold({1, 100, kBlock + 3});
  z.zone.free(held[1].first, 50);
  const auto before = z.zone.counters();
  CHECK_FALSE(z.zone.interrupted());
  z.zone.recover();
  const auto after = z.zone.counters();
  CHECK(after.free_pages == before.free_pages);
  CHECK(after.backed_free_pages == before.backed_free_pages);
  CHECK(z.zone.validate(2) == 0);
}

}  // namespace
}  // namespace bm::pages
