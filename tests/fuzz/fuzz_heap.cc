// fuzz_heap.cc: bytes are a sequence of heap operations; contents, counts and invariants must hold after any of them.
// With clang and -Dfuzz=true a libFuzzer target; otherwise see fuzz_main.h.
#include <algorithm>
#include <thread>
#include <vector>

#include "support/fuzz_main.h"
#include "tests/heap/check_heap.h"

using namespace bm;
using namespace bm::test;

namespace {

class HeapInput : public Input {
 public:
  using Input::Input;
  // Two bytes: a power of two and where between it and the next; up to 8 MiB.
  std::size_t size() {
    const unsigned shift = byte() % 23;
    return (std::size_t{1} << shift) + ((std::size_t{byte()} << shift) >> 8);
  }
};

struct Block {
  void* p = nullptr;
  std::size_t bytes = 0;
  std::uint64_t seed = 0;
};

class Run {
 public:
  void operate(HeapInput& in) {
    const std::uint8_t op = in.byte();
    Block& b = blocks_[in.byte() % std::size(blocks_)];
    switch (op % 10) {
      case 0:
      case 1: return renew(b, in.size(), [](std::size_t n) { return allocate(n); });
      case 2:
        return renew(
            b, in.size(), [](std::size_t n) { return heap::allocate_zeroed(n); }, true);
      case 3: {
        const std::size_t alignment = std::size_t{1} << in.byte() % 23;
        renew(b, in.size(), [alignment](std::size_t n) { return heap::allocate_aligned(n, alignment); });
        BM_FUZZ_REQUIRE(aligned(b.p, alignment));
        return;
      }
      case 4:
      case 5: return resize(b, in.size());
      case 6: return drop(b);
      case 7: return std::thread([&] { drop(b); }).join();  // freed by another thread
      case 8: return several(b, in.byte());
      default:
        if (op >= 240) heap::trim(in.byte() * kPageSize);
        if (op < 40) flush_own();
    }
  }
  void check() const {
    BM_FUZZ_REQUIRE(heap::validate() == 0);
    if (heap::current_heap() != nullptr) BM_FUZZ_REQUIRE(broken_heap(*heap::current_heap()).empty());
    std::size_t sum = 0;
    for (const Block& b : blocks_) sum += heap::usable_size(b.p);
    BM_FUZZ_REQUIRE(live_bytes() - start_ == sum);
  }
  void end() {
    for (Block& b : blocks_) drop(b);
    check();
  }

 private:
  template <class Allocate>
  void renew(Block& b, std::size_t bytes, Allocate allocate_it, bool zeroed = false) {
    drop(b);
    b = {allocate_it(bytes), bytes, ++seeds_};
    BM_FUZZ_REQUIRE(b.p != nullptr && aligned(b.p, 16));
    BM_FUZZ_REQUIRE(heap::usable_size(b.p) >= bytes);
    if (zeroed) BM_FUZZ_REQUIRE(all_zero(b.p, bytes));
    paint(b.p, bytes, b.seed);
  }
  void resize(Block& b, std::size_t bytes) {
    if (b.p == nullptr) return;
    void* const p = heap::reallocate(b.p, bytes);
    BM_FUZZ_REQUIRE(p != nullptr && heap::usable_size(p) >= bytes);
    BM_FUZZ_REQUIRE(painted(p, std::min(bytes, b.bytes), b.seed));
    b = {p, bytes, ++seeds_};
    paint(p, bytes, b.seed);
  }
  void drop(Block& b) {
    if (b.p == nullptr) return;
    BM_FUZZ_REQUIRE(painted(b.p, b.bytes, b.seed));
    deallocate(b.p);
    b = {};
  }
  // A handful of one size, all freed again: bins refill and overflow.
  void several(const Block& like, std::size_t n) {
    std::vector<void*> all;
    for (std::size_t k = 0; k < n; ++k) all.push_back(allocate(std::min<std::size_t>(like.bytes, 20'000)));
    for (void* const p : all) deallocate(p);
  }

  Block blocks_[48];
  std::uint64_t seeds_ = 0;
  std::size_t start_ = live_bytes();
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  HeapInput in(data, size);
  Run run;
  for (int k = 1; !in.empty(); ++k) {
    run.operate(in);
    if (k % 32 == 0) run.check();
  }
  run.end();
  return 0;
}
