// test_model.cc: random sequences of all operations against a model that knows every block's size and contents.
#include <catch2/catch.hpp>

#include <vector>

#include "tests/heap/check_heap.h"

using namespace bm;
using namespace bm::test;

namespace {

struct Block {
  void* p = nullptr;
  std::size_t bytes = 0;
  std::uint64_t seed = 0;
};

struct Model {
  explicit Model(std::uint64_t stream) : random(stream), blocks(400) {}

  Random random;
  std::vector<Block> blocks;
  std::size_t start = live_bytes();

  std::size_t some_size() { return random_size(random, random.one_in(40) ? 23 : random.one_in(4) ? 17 : 11); }

  void put(Block& b, void* p, std::size_t bytes) {
    b = {p, bytes, random.bits()};
    REQUIRE(p != nullptr);
    REQUIRE(heap::usable_size(p) >= bytes);
    paint(p, bytes, b.seed);
  }
  void drop(Block& b) {
    if (b.p == nullptr) return;
    REQUIRE(painted(b.p, b.bytes, b.seed));
    deallocate(b.p);
    b = {};
  }
  void step() {
    Block& b = blocks[random.below(blocks.size())];
    const std::size_t bytes = some_size();
    switch (random.below(8)) {
      case 0:
      case 1:
      case 2: drop(b); return put(b, allocate(bytes), bytes);
      case 3: {
        drop(b);
        const std::size_t alignment = std::size_t{1} << random.below(random.one_in(30) ? 24 : 13);
        void* const p = heap::allocate_aligned(bytes, alignment);
        REQUIRE(aligned(p, alignment));
        return put(b, p, bytes);
      }
      case 4: {
        drop(b);
        void* const p = heap::allocate_zeroed(bytes);
        REQUIRE(all_zero(p, bytes));
        return put(b, p, bytes);
      }
      case 5: {
        if (b.p == nullptr) return;
        const Block old = b;
        void* const p = heap::reallocate(b.p, bytes + 1);
        REQUIRE(painted(p, std::min(old.bytes, bytes), old.seed));
        return put(b, p, bytes);
      }
      default: drop(b);
    }
  }
  void check() {
    std::size_t sum = 0;
    for (const Block& b : blocks) sum += b.p == nullptr ? 0 : heap::usable_size(b.p);
    REQUIRE(heap::validate() == 0);
    REQUIRE(broken_heap(*heap::current_heap()) == "");
    REQUIRE(live_bytes() - start == sum);
  }
};

}  // namespace

TEST_CASE("random operations agree with the model", "[heap][model]") {
  INFO("BUDDYMALLOC_SEED=" << seed());
  for (const std::uint64_t stream : {1u, 2u, 3u}) {
    CAPTURE(stream);
    Model m(stream);
    for (int k = 1; k <= 30'000; ++k) {
      m.step();
      if (k % 1500 == 0) m.check();
      if (m.random.one_in(4000)) heap::trim(m.random.below(8) * kMiB);
    }
    for (Block& b : m.blocks) m.drop(b);
    m.check();
  }
}
