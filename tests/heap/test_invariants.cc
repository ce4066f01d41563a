// test_invariants.cc: validate() reports each clause that is broken by hand, and nothing else, in a child.
#include <catch2/catch.hpp>

#include "tests/heap/check_heap.h"

using namespace bm;
using namespace bm::test;

namespace {

constexpr std::size_t kSize = 320;  // 51 objects: the last word is cut

// Breaks something in a sound heap with a partly used slab; validate() has to say so.
template <class Break>
Ending validate_after(Break break_it) {
  return in_child([&] {
    flush_own();
    void* const p = allocate(kSize);
    flush_own();
    BM_CHILD_REQUIRE(heap::validate() == 0);
    BM_CHILD_REQUIRE(broken_heap(*heap::current_heap()) == "");
    slab::Slab& s = slab_of(p);
    BM_CHILD_REQUIRE(s.free_count != 0 && !s.is_free(0));
    break_it(s, *heap::current_heap());
    return heap::validate() == 0;
  });
}

bool names(const Ending& o, const char* invariant) {
  INFO(o.text);
  CHECK(o.signal == 0);
  CHECK_FALSE(o.ok);
  return o.text.find(std::string("invariant ") + invariant + " broken") != std::string::npos;
}

}  // namespace

TEST_CASE("SL-1: a wrong count or a bit beyond the objects is reported", "[heap][validate]") {
  const Ending count = validate_after([](slab::Slab& s, heap::ThreadHeap&) { ++s.free_count; });
  CHECK(names(count, "SL-1"));
  const Ending beyond = validate_after([](slab::Slab& s, heap::ThreadHeap&) {
    s.free[3] |= 1;
    ++s.free_count;
  });
  CHECK(names(beyond, "SL-1"));
}

TEST_CASE("SL-2: an object in both maps is reported", "[heap][validate]") {
  CHECK(names(validate_after([](slab::Slab& s, heap::ThreadHeap&) { s.remote[0] |= s.free[0]; }), "SL-2"));
}

TEST_CASE("HP-1: a slab in the wrong bucket is reported", "[heap][validate]") {
  const Ending o = validate_after([](slab::Slab& s, heap::ThreadHeap&) { s.bucket = slab::kUnlisted; });
  CHECK(names(o, "HP-1"));
}

TEST_CASE("TH-2: a page that names another owner is reported", "[heap][validate]") {
  const Ending o =
      validate_after([](slab::Slab& s, heap::ThreadHeap&) { heap::process.map.set_entry(s.first + 1, 4096 * 9); });
  CHECK(names(o, "TH-2"));
}

TEST_CASE("the page layer's clauses are part of validate", "[heap][validate]") {
  const Ending o =
      validate_after([](slab::Slab& s, heap::ThreadHeap&) { ++heap::process.map.block(s.first.block()).free_pages; });
  CHECK(names(o, "PB-1"));
}

TEST_CASE("TH-1, HP-1, HP-2, SL-3: the tests' own check sees what is broken", "[heap][validate]") {
  const auto broken_after = [](auto break_it) {
    return in_child([&] {
      flush_own();
      void* const p = allocate(kSize);
      heap::ThreadHeap& h = *heap::current_heap();
      const unsigned c = slab::class_of(kSize);
      BM_CHILD_REQUIRE(broken_heap(h) == "");
      BM_CHILD_REQUIRE(h.cached_objects(c) >= 2);
      break_it(slab_of(p), h, c);
      std::fputs(broken_heap(h).c_str(), stderr);
      return true;
    });
  };
  using heap::ThreadHeap;
  using slab::Slab;
  CHECK(broken_after([](Slab&, ThreadHeap& h, unsigned c) {
          h.front.state[c].base[1] = h.front.state[c].base[2];
        }).text.find("TH-1 (twice)") == 1);
  CHECK(broken_after([](Slab& s, ThreadHeap&, unsigned) { s.fill(); }).text.find("TH-1 (free)") == 1);
  CHECK(broken_after([](Slab&, ThreadHeap& h, unsigned c) { *h.front.state[c].base = &h; }).text.find("TH-1 (null)") ==
        1);
  CHECK(broken_after([](Slab&, ThreadHeap& h, unsigned c) { --h.front.bins[c].limit; }).text.find("HP-2 (limit)") == 1);
  CHECK(broken_after([](Slab& s, ThreadHeap&, unsigned) { s.remote[0] = 1; }).text.find("SL-3 (forgotten)") == 1);
  CHECK(broken_after([](Slab& s, ThreadHeap& h, unsigned c) {
          h.bin_slabs[c].bucket[s.bucket] = 0;
        }).text.find("HP-1 (membership)") == 1);
}
