// test_lifetime.cc: contexts that allocate much get slabs, and pageblocks, of their own.  layer: tests
#include <catch2/catch.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "heap/lifetime.h"
#include "os/code.h"
#include "tests/heap/check_heap.h"
#include "tests/heap/support.h"

using namespace bm;
using namespace bm::test;
using heap::CallPath;

namespace {

constexpr CallPath kOften = {1}, kSeldom = {2};

void* allocate_from(CallPath path, std::size_t bytes) {
  void* const p = heap::allocate_fast(bytes, path);
  return p != nullptr ? p : heap::allocate_slow(bytes, path);
}

struct Place {
  bool twin;
  BlockIndex block;
  pages::Migratetype type;
};
Place place_of(const void* p) {
  Pfn page;
  REQUIRE(heap::process.map.find(p, page));
  const auto offset = heap::process.map.entry(page) & heap::kOffsetMask;
  return {offset >= heap::bin_offset(slab::kTwins), page.block(), heap::process.map.block(page.block()).migratetype};
}

// A process of its own: verdicts stay.
void in_process(const std::function<bool()>& body) {
  const Ending e = in_child(body);
  INFO(e.text);
  CHECK(e.ok);
}

// Pageblocks that are not whole-free.
std::size_t pageblocks_in_use() {
  std::size_t n = 0;
  heap::process.nodes.for_each_zone([&](pages::Zone& z) {
    pages::ZoneReport r;
    z.report(r);
    n += r.present_pages / kPagesPerBlock - r.blocks_of_order(9) - 2 * r.blocks_of_order(10);
  });
  return n;
}

}  // namespace

TEST_CASE("while the heap is small nothing is told apart, nor a context that has had little", "[heap][lifetime]") {
  auto own = std::make_unique<heap::Lifetimes>();
  for (int i = 0; i < 1000; ++i) own->note(kOften, 64, 6400, 383);
  CHECK(own->way(kOften) == 0);
  for (int i = 0; i < 15; ++i) own->note(kOften, 64, 6400, 384);  // 960 objects, 105 KiB
  CHECK(own->way(kOften) == 0);
  own->note(kOften, 64, 6400, 384);
  CHECK(own->way(kOften) == heap::bin_offset(slab::kTwins));
  CHECK(own->way(kSeldom) == 0);
  for (int i = 0; i < 7; ++i) own->note(kSeldom, 1, 20 << 10, 384);  // 140 KiB
  CHECK(own->way(kSeldom) != 0);
}

TEST_CASE("LT-1: what allocates much moves to the twin, what is rare stays; their pageblocks are apart",
          "[heap][lifetime]") {
  in_process([] {
    std::vector<void*> often, seldom;
    for (int i = 0; i < 600'000; ++i) {
      often.push_back(allocate_from(kOften, 100));
      if (i % 200 == 0) seldom.push_back(allocate_from(kSeldom, 100));
    }
    for (void* const p : seldom) BM_CHILD_REQUIRE(!place_of(p).twin);
    const std::size_t late = often.size() / 5;
    std::vector<bool> shared(heap::process.map.fast_pages() >> kPageblockOrder);
    for (void* const p : seldom) shared[place_of(p).block.value] = true;
    for (std::size_t i = late; i < often.size(); ++i) {
      const Place at = place_of(often[i]);
      BM_CHILD_REQUIRE(at.twin && at.type == pages::Migratetype::kMovable && !shared[at.block.value]);
    }
    const std::size_t before = pageblocks_in_use();
    for (void* const p : often) deallocate(p);
    BM_CHILD_REQUIRE(heap::validate() == 0);
    BM_CHILD_REQUIRE(pageblocks_in_use() <= before / 5);  // 60 MB: 30 pageblocks
    for (void* const p : seldom) deallocate(p);
    return true;
  });
}

// Objects of which nobody knows the path, and the slabs of their class as if they were from before any were told apart.
std::vector<void*> from_before(std::size_t bytes, std::size_t count) {
  std::vector<void*> all(count);
  for (void*& p : all) p = allocate_from({}, bytes);
  for (std::uint32_t i = 1; i < heap::process.slabs.limit(); ++i)
    if (slab::Slab& s = heap::process.slabs[i]; s.holder() != 0 && s.size_class == slab::class_of(bytes))
      s.set_mixed(true);
  return all;
}

void make_frequent(CallPath path) {
  for (int i = 0; i < 200'000; ++i) allocate_from(path, 100);
}

TEST_CASE("slabs from before paths were told apart go to the twin with what drains, and are filled again",
          "[heap][lifetime]") {
  in_process([] {
    constexpr std::size_t kSize = 230;
    make_frequent(kOften);
    std::vector<void*> all = from_before(kSize, 20'000);
    const auto slabs = [c = slab::class_of(kSize)] {
      return slabs_of(*heap::current_heap(), c) + slabs_of(*heap::current_heap(), c + slab::kTwins);
    };
    for (std::size_t i = 0; i < all.size(); i += 3) deallocate(std::exchange(all[i], nullptr));
    const std::size_t before = slabs();
    for (void*& p : all)
      if (p == nullptr) p = allocate_from(kOften, kSize);
    BM_CHILD_REQUIRE(slabs() <= before + 1);
    BM_CHILD_REQUIRE(place_of(all[1]).twin);  // it has not moved: its slab has
    BM_CHILD_REQUIRE(broken_heap(*heap::current_heap()) == "");
    for (void* const p : all) deallocate(p);
    flush_own();
    BM_CHILD_REQUIRE(slabs() == 0 && heap::validate() == 0);
    BM_CHILD_REQUIRE(!place_of(allocate_from(kSeldom, kSize)).twin);  // what lives long has slabs of its own
    return true;
  });
}

TEST_CASE("slabs from before that were full follow with the first free", "[heap][lifetime]") {
  in_process([] {
    constexpr std::size_t kSize = 230;
    make_frequent(kOften);
    std::vector<void*> all = from_before(kSize, 20'000);
    BM_CHILD_REQUIRE(place_of(allocate_from(kOften, kSize)).twin);
    BM_CHILD_REQUIRE(!place_of(all[0]).twin);
    deallocate(std::exchange(all[1], all[2]));
    flush_own();
    BM_CHILD_REQUIRE(place_of(all[0]).twin && !place_of(all[10'000]).twin);
    BM_CHILD_REQUIRE(broken_heap(*heap::current_heap()) == "" && heap::validate() == 0);
    return true;
  });
}

TEST_CASE("a thread takes slabs from before, which ended threads left, for what drains", "[heap][lifetime][threads]") {
  in_process([] {
    constexpr std::size_t kSize = 230;
    make_frequent(kOften);
    std::vector<void*> left;
    std::thread([&] {
      left = from_before(kSize, 1000);
      for (std::size_t i = 0; i < left.size(); i += 2) deallocate(left[i]);
    }).join();  // the slabs are the pool's now
    BM_CHILD_REQUIRE(!place_of(left[1]).twin);
    const Place at = place_of(allocate_from(kOften, kSize));
    BM_CHILD_REQUIRE(at.twin && at.block.value == place_of(left[1]).block.value);
    BM_CHILD_REQUIRE(!place_of(allocate_from(kSeldom, kSize)).twin);  // the others are not for what lives long
    BM_CHILD_REQUIRE(heap::validate() == 0);
    return true;
  });
}

TEST_CASE("without a path there is no verdict", "[heap][lifetime]") {
  in_process([] {
    for (int i = 0; i < 200'000; ++i) BM_CHILD_REQUIRE(!place_of(allocate_from({}, 100)).twin);
    return true;
  });
}

TEST_CASE("a path's objects of all sizes up to 64 KiB have twins, runs have none", "[heap][lifetime]") {
  in_process([] {
    for (int i = 0; i < 200'000; ++i) allocate_from(kOften, 100);
    for (unsigned c = 0; c < slab::kClasses; ++c) {
      void* const p = allocate_from(kOften, slab::kClass[c].size);
      BM_CHILD_REQUIRE(place_of(p).twin == !slab::kClass[c].is_run());
      BM_CHILD_REQUIRE(heap::usable_size(p) == slab::kClass[c].size);
    }
    // Large objects are few and yet much.
    for (int i = 0; i < 2'000; ++i) allocate_from(kSeldom, 20'000);
    BM_CHILD_REQUIRE(place_of(allocate_from(kSeldom, 20'000)).twin);
    return true;
  });
}

TEST_CASE("what is rare is Unmovable, whatever its size, once paths are told apart", "[heap][lifetime]") {
  in_process([] {
    for (int i = 0; i < 600'000; ++i) allocate_from(kOften, 100);  // a 32nd of which is more than what follows
    for (const std::size_t bytes : {100u, 1000u, 10'000u, 40'000u})
      for (int i = 0; i < 20; ++i)
        BM_CHILD_REQUIRE(place_of(allocate_from(kSeldom, bytes)).type == pages::Migratetype::kUnmovable);
    return true;
  });
}

TEST_CASE("what counts is the recent past: who was rare may come to allocate much", "[heap][lifetime]") {
  in_process([] {
    for (int i = 0; i < 1'500'000; ++i) deallocate(allocate_from(kOften, 1000)), allocate_from(kOften, 100);
    BM_CHILD_REQUIRE(!place_of(allocate_from(kSeldom, 100)).twin);
    std::vector<void*> all;
    for (int i = 0; i < 150'000; ++i) all.push_back(allocate_from(kSeldom, 100));
    BM_CHILD_REQUIRE(place_of(all.back()).twin);
    return true;
  });
}

TEST_CASE("objects of a twin keep their bytes, and go where they came from, whoever frees them", "[heap][lifetime]") {
  in_process([] {
    for (int i = 0; i < 200'000; ++i) allocate_from(kOften, 100);
    std::vector<void*> all(50'000);
    for (std::size_t i = 0; i < all.size(); ++i) paint(all[i] = allocate_from(kOften, 100), 100, i);
    bool ok = true;
    std::thread([&] {
      for (std::size_t i = 0; i < all.size(); i += 2) {
        ok &= painted(all[i], 100, i);
        deallocate(all[i]);
      }
    }).join();
    for (std::size_t i = 1; i < all.size(); i += 2) {
      ok &= painted(all[i], 100, i);
      deallocate(all[i]);
    }
    BM_CHILD_REQUIRE(ok && heap::validate() == 0 && broken_heap(*heap::current_heap()) == "");
    BM_CHILD_REQUIRE(heap::usable_size(allocate_from(kOften, 100)) == 112);
    return true;
  });
}

TEST_CASE("threads of one program share the verdicts", "[heap][lifetime][threads]") {
  in_process([] {
    std::atomic<int> twins{0};
    const auto work = [&] {
      for (int i = 0; i < 100'000; ++i) allocate_from(kOften, 100);
      twins += place_of(allocate_from(kOften, 100)).twin ? 1 : 0;
    };
    std::thread a(work), b(work), c(work);
    a.join();
    b.join();
    c.join();
    BM_CHILD_REQUIRE(twins == 3 && heap::validate() == 0);
    return true;
  });
}

namespace {

[[gnu::noinline]] std::size_t callee() {
  asm volatile("" ::: "memory");  // each call is made
  return heap::call_path().cell;
}
[[gnu::noinline]] std::size_t deeper() {
  volatile char room[512];
  room[0] = 1;
  const std::size_t p = callee();
  return room[0] == 1 ? p : 0;  // no tail call
}

}  // namespace

TEST_CASE("a call path differs by caller and by the depth of the stack, and is the same on every thread",
          "[heap][lifetime]") {
  std::size_t first[3];
  for (std::size_t& p : first) p = callee();
  CHECK(first[0] == first[2]);
  const std::size_t other = callee();
  CHECK(other != first[0]);
  CHECK(deeper() != first[0]);
  CHECK(deeper() != other);
  std::size_t seen[2] = {};
  const auto look = [](std::size_t* out) { *out = callee(); };
  std::thread(look, &seen[0]).join();
  std::thread(look, &seen[1]).join();
  CHECK(seen[0] == seen[1]);
}

namespace {

// What lies above a call: a word of each place in the program tells who called the wrapper.
struct Stack {
  explicit Stack(std::size_t at = 0) : words(reinterpret_cast<std::uintptr_t*>(pages.data()) + at) {}
  CallPath path(std::size_t cell = 3) const { return {cell, words}; }
  static std::uintptr_t place(int n) {
    static const char names[8][16] = {};
    return reinterpret_cast<std::uintptr_t>(names[n]);
  }
  alignas(kPageSize) std::array<char, 2 * kPageSize> pages{};
  std::uintptr_t* words;
};

constexpr std::uint32_t kSlabs = 1000;
constexpr std::size_t kTwinsWay = heap::bin_offset(slab::kTwins);

// A refill by a path whose word `slot` points to that place. The others point nowhere.
void refill(heap::Lifetimes& own, Stack& stack, unsigned slot, int place, int times = 1) {
  stack.words[slot] = Stack::place(place);
  for (int i = 0; i < times; ++i) own.note(stack.path(), 64, 6400, kSlabs);
}
std::size_t way_from(const heap::Lifetimes& own, Stack& stack, unsigned slot, int place) {
  stack.words[slot] = Stack::place(place);
  return own.way(stack.path());
}

}  // namespace

TEST_CASE("behind a wrapper a word further up the stack tells paths apart", "[heap][lifetime]") {
  const auto own = std::make_unique<heap::Lifetimes>();
  const auto stack = std::make_unique<Stack>();
  stack->words[1] = 4711;                                           // points nowhere
  stack->words[2] = Stack::place(7);                                // always the same
  stack->words[3] = reinterpret_cast<std::uintptr_t>(stack.get());  // not into the program
  for (int i = 0; i < 40; ++i) {
    refill(*own, *stack, 5, 0, 50);
    refill(*own, *stack, 5, 1);
  }
  CHECK(way_from(*own, *stack, 5, 0) == kTwinsWay);
  CHECK(way_from(*own, *stack, 5, 1) == 0);
  CHECK(way_from(*own, *stack, 5, 2) == 0);
  CHECK(own->verdict(stack->path().cell) == heap::Lifetimes::kElsewhere);
  stack->words[2] = Stack::place(6);  // no matter
  CHECK(way_from(*own, *stack, 5, 0) == kTwinsWay);
}

TEST_CASE("callers one after the other are no wrapper's", "[heap][lifetime]") {
  const auto own = std::make_unique<heap::Lifetimes>();
  const auto stack = std::make_unique<Stack>();
  for (int place = 0; place < 8; ++place) refill(*own, *stack, 2, place, 300);
  refill(*own, *stack, 2, 0, 300);  // once again is chance
  CHECK(own->verdict(stack->path().cell) == kTwinsWay);
}

TEST_CASE("a path that allocates little is not looked at", "[heap][lifetime]") {
  const auto own = std::make_unique<heap::Lifetimes>();
  const auto stack = std::make_unique<Stack>();
  for (int i = 0; i < 400; ++i) {
    own->note({5}, 64, 6400, kSlabs);
    if (i % 50 == 0) refill(*own, *stack, 2, i / 50 % 2);
  }
  CHECK(own->verdict(stack->path().cell) == 0);
}

TEST_CASE("no word beyond the stack's page is read", "[heap][lifetime]") {
  auto* const memory =
      static_cast<char*>(mmap(nullptr, 2 * kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(memory != MAP_FAILED);
  REQUIRE(mprotect(memory + kPageSize, kPageSize, PROT_NONE) == 0);
  const auto own = std::make_unique<heap::Lifetimes>();
  const auto stack = std::make_unique<Stack>();
  for (int i = 0; i < 40; ++i) {
    refill(*own, *stack, 5, 0, 50);
    refill(*own, *stack, 5, 1);
  }
  REQUIRE(way_from(*own, *stack, 5, 0) == kTwinsWay);
  for (std::size_t words = 1; words < 8; ++words) {  // another path, of the same cell, near the top of its stack
    auto* const top = reinterpret_cast<std::uintptr_t*>(memory + kPageSize) - words;
    if (words > 5) top[5] = Stack::place(0);
    CHECK(own->way({3, top}) == (words > 5 ? kTwinsWay : 0));
    own->note({3, top}, 64, 6400, kSlabs);
  }
  CHECK(own->way({3}) == 0);
  munmap(memory, 2 * kPageSize);
}

namespace {

[[gnu::noinline]] void* inner_wrapper(std::size_t bytes) {
  const CallPath path = heap::call_path();
  void* const p = allocate_from(path, bytes);
  if (p == nullptr) std::abort();
  return p;
}
[[gnu::noinline]] void* outer_wrapper(std::size_t bytes) {
  void* const p = inner_wrapper(bytes == 0 ? 1 : bytes);
  if (p == nullptr) std::abort();
  return p;
}
[[gnu::noinline]] void* often_site(std::size_t bytes) {
  void* const p = outer_wrapper(bytes);
  *static_cast<volatile char*>(p) = 1;
  return p;
}
[[gnu::noinline]] void* seldom_site(std::size_t bytes) {
  void* const p = outer_wrapper(bytes);
  *static_cast<volatile char*>(p) = 2;
  return p;
}

}  // namespace

TEST_CASE("what lives long keeps few pageblocks, also behind two wrappers", "[heap][lifetime][native]") {
  if (!os::in_program(reinterpret_cast<std::uintptr_t>(&often_site))) {
    WARN("libc cannot tell what is in the program: not tested");
    return;
  }
  in_process([] {
    std::vector<void*> often, seldom;
    for (int i = 0; i < 1'200'000; ++i) {
      if (i % 200 == 0)
        seldom.push_back(seldom_site(100));
      else
        often.push_back(often_site(100));
    }
    const std::size_t before = pageblocks_in_use();
    for (void* const p : often) deallocate(p);
    BM_CHILD_REQUIRE(pageblocks_in_use() <= before / 5);
    BM_CHILD_REQUIRE(heap::validate() == 0);
    for (void* const p : seldom) deallocate(p);
    return true;
  });
}
