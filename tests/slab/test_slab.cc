// test_slab.cc: the state of one slab: who holds which object, by the owner's hand and by others'.
#include <catch2/catch.hpp>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "slab/slab.h"

using namespace bm;
using namespace bm::slab;

namespace {

std::unique_ptr<Slab> new_slab(unsigned size_class) {
  auto s = std::make_unique<Slab>();
  s->size_class = static_cast<std::uint8_t>(size_class);
  return s;
}

unsigned free_bits(const Slab& s) {
  unsigned n = 0;
  for (unsigned i = 0; i < kMaxObjects; ++i) n += s.is_free(i) ? 1 : 0;
  return n;
}

unsigned remote_bits(const Slab& s) {
  unsigned n = 0;
  for (const auto& w : s.remote) n += static_cast<unsigned>(std::popcount(w.load()));
  return n;
}

// As gather() does: the owner hands out all objects.
void hand_out_all(Slab& s) {
  for (auto& w : s.free) w = 0;
  s.free_count = 0;
}

// 256, 51, 16 objects: full words, a cut word, less than a word.
const unsigned kSome[] = {class_of(64), class_of(320), class_of(2048)};

}  // namespace

TEST_CASE("SL-1: fill sets just the bits of objects, for every class", "[slab]") {
  for (unsigned c = 0; c < kSlabClasses; ++c) {
    auto s = new_slab(c);
    s->fill();
    CAPTURE(c, kClass[c].objects);
    CHECK(s->free_count == kClass[c].objects);
    CHECK(free_bits(*s) == kClass[c].objects);
    CHECK(s->is_free(0));
    CHECK(s->is_free(kClass[c].objects - 1U));
    CHECK(s->empty());
  }
}

TEST_CASE("SL-1: put counts each object once and tells a second time", "[slab]") {
  for (const unsigned c : kSome) {
    auto s = new_slab(c);
    const unsigned n = kClass[c].objects;
    CAPTURE(n);
    for (unsigned k = 0; k < n; ++k) {
      const unsigned i = k * 37 % n;  // coprime to all three
      CHECK_FALSE(s->empty());
      CHECK_FALSE(s->is_free(i));
      REQUIRE(s->put(i));
      CHECK(s->is_free(i));
      CHECK_FALSE(s->put(i));
      CHECK(s->free_count == k + 1);
      CHECK(free_bits(*s) == k + 1);
    }
    CHECK(s->empty());
  }
}

TEST_CASE("SL-2: an object is in the free map or in the remote map, never in both", "[slab]") {
  for (const unsigned c : kSome) {
    auto s = new_slab(c);
    const unsigned last = kClass[c].objects - 1U;
    s->put(0);
    CHECK_FALSE(s->put_remote(0));  // free already
    CHECK(remote_bits(*s) == 0);
    CHECK(s->put_remote(last));
    CHECK_FALSE(s->put_remote(last));
    CHECK(s->has_remote());
    CHECK_FALSE(s->is_free(last));
    CHECK(s->free_count == 1);
    s->merge_remote();
    CHECK_FALSE(s->has_remote());
    CHECK(s->is_free(last));
    CHECK(s->free_count == 2);
    CHECK_FALSE(s->put_remote(last));
    s->merge_remote();
    CHECK(s->free_count == 2);
    CHECK(free_bits(*s) == 2);
  }
}

TEST_CASE("a page is idle when no object in use reaches into it, for every class", "[slab]") {
  for (unsigned c = 0; c < kSlabClasses; ++c) {
    const auto s = new_slab(c);
    const SizeClass& info = kClass[c];
    s->fill();
    for (unsigned k = 0; k < info.pages; ++k) REQUIRE(page_idle(*s, info, k));
    for (const unsigned used : {0U, info.objects / 2U, info.objects - 1U}) {
      s->fill();
      s->free[used / 64] &= ~(std::uint64_t{1} << (used % 64));
      for (unsigned k = 0; k < info.pages; ++k) {
        const std::size_t start = std::size_t{k} << kPageShift, first = std::size_t{used} * info.size;
        INFO("class " << c << ", object " << used << ", page " << k);
        REQUIRE(page_idle(*s, info, k) == (first + info.size <= start || first >= start + kPageSize));
      }
    }
  }
}

TEST_CASE("a slab is empty by any mixture of own and remote frees", "[slab]") {
  for (const unsigned c : kSome) {
    auto s = new_slab(c);
    for (unsigned i = 0; i < kClass[c].objects; ++i) REQUIRE((i % 3 == 0 ? s->put_remote(i) : s->put(i)));
    CHECK_FALSE(s->empty());
    s->merge_remote();
    CHECK(s->empty());
    CHECK(free_bits(*s) == kClass[c].objects);
  }
}

TEST_CASE("who frees a slab's last object sees it, whichever that is and whoever freed the others", "[slab]") {
  std::minstd_rand random(5);
  for (unsigned c = 0; c < kSlabClasses; ++c) {
    const unsigned n = kClass[c].objects;
    std::vector<unsigned> order(n);
    std::iota(order.begin(), order.end(), 0U);
    for (int round = 0; round < 8; ++round) {
      std::shuffle(order.begin(), order.end(), random);
      auto s = new_slab(c);
      for (unsigned k = 0; k < n; ++k) {
        const bool by_another = k + 1 == n || random() % 3 != 0;
        REQUIRE((by_another ? s->put_remote(order[k]) : s->put(order[k])));
        if (random() % 16 == 0) s->merge_remote();
        INFO("class " << c << ", " << k + 1 << " of " << n << " are free");
        REQUIRE(s->all_freed(order[k]) == (k + 1 == n));
      }
    }
  }
}

TEST_CASE("a late freer may ask for an object that the descriptor's new class has not", "[slab]") {
  const auto s = new_slab(kSlabClasses - 1);
  for (unsigned object = 0; object < kMaxObjects; ++object) REQUIRE_FALSE(s->all_freed(object));
  for (unsigned object = 0; object < kClass[kSlabClasses - 1].objects; ++object) REQUIRE(s->put_remote(object));
  CHECK(s->all_freed(0));
}

TEST_CASE("what another thread has freed the owner cannot free again, before and after it hears of it", "[slab]") {
  auto s = new_slab(class_of(64));
  hand_out_all(*s);
  for (int round = 0; round < 2; ++round) {  // the second time after a merge
    const auto i = static_cast<unsigned>(round);
    CHECK(s->put_remote(i));
    CHECK_FALSE(s->put(i));
    CHECK(s->put(i + 100));
    CHECK(s->merge_remote());
    CHECK_FALSE(s->put(i));
  }
  CHECK(s->free_count == 4);
}

TEST_CASE("buckets go by quarters of occupancy, the fullest first", "[slab]") {
  for (unsigned c = 0; c < kSlabClasses; ++c) {
    auto s = new_slab(c);
    const unsigned n = kClass[c].objects;
    CAPTURE(c, n);
    CHECK(s->wanted_bucket() == kUnlisted);
    unsigned before = 0;
    for (unsigned k = 1; k <= n; ++k) {
      s->free_count = static_cast<std::uint16_t>(k);
      const unsigned b = s->wanted_bucket();
      REQUIRE(b < kBuckets);
      REQUIRE(b >= before);
      if (k * kBuckets <= n) REQUIRE(b == 0);
      before = b;
    }
    // With up to four objects, or a tail behind them, the last free one may begin before the last quarter.
    CHECK((n > kBuckets ? before == kBuckets - 1 : before >= kBuckets / 2));
  }
}

TEST_CASE("of threads that free the same object at once just one succeeds", "[slab][threads]") {
  auto s = new_slab(class_of(64));
  for (int round = 0; round < 50; ++round) {
    hand_out_all(*s);
    std::atomic<unsigned> done{0};
    std::atomic<int> ready{0};
    const auto free_all = [&] {
      ++ready;
      while (ready != 2) {
      }
      unsigned mine = 0;
      for (unsigned i = 0; i < kMaxObjects; ++i) mine += s->put_remote(i) ? 1 : 0;
      done += mine;
    };
    std::thread other(free_all);
    free_all();
    other.join();
    REQUIRE(done == kMaxObjects);
    s->merge_remote();
    REQUIRE(s->empty());
  }
}

TEST_CASE("no remote free is lost while the owner merges", "[slab][threads]") {
  auto s = new_slab(class_of(64));
  for (int round = 0; round < 50; ++round) {
    hand_out_all(*s);
    std::atomic<bool> stop{false};
    std::thread freer([&] {
      for (unsigned i = 0; i < kMaxObjects; ++i) s->put_remote(i);
      stop = true;
    });
    while (!stop) s->merge_remote();
    freer.join();
    s->merge_remote();
    REQUIRE(s->free_count == kMaxObjects);
    REQUIRE(free_bits(*s) == kMaxObjects);
    REQUIRE_FALSE(s->has_remote());
  }
}
