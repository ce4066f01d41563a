// fuzz_heap.cc: bytes are a sequence of heap operations; contents, counts and invariants must hold after any of them.
// With clang and -Dfuzz=true a libFuzzer target. Otherwise a program that replays the files it is given, or, given
// "random N [seed]", N inputs made by chance.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "tests/heap/check_heap.h"

using namespace bm;
using namespace bm::test;

namespace {

#define BM_FUZZ_REQUIRE(condition)                                                       \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }
  // Two bytes: a power of two and where between it and the next; up to 8 MiB.
  std::size_t size() {
    const unsigned shift = byte() % 23;
    return (std::size_t{1} << shift) + ((std::size_t{byte()} << shift) >> 8);
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

struct Block {
  void* p = nullptr;
  std::size_t bytes = 0;
  std::uint64_t seed = 0;
};

class Run {
 public:
  void operate(Input& in) {
    const std::uint8_t op = in.byte();
    Block& b = blocks_[in.byte() % std::size(blocks_)];
    switch (op % 10) {
      case 0:
      case 1: return renew(b, in.size(), [](std::size_t n) { return allocate(n); });
      case 2: return renew(b, in.size(), heap::allocate_zeroed, true);
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
  Input in(data, size);
  Run run;
  for (int k = 1; !in.empty(); ++k) {
    run.operate(in);
    if (k % 32 == 0) run.check();
  }
  run.end();
  return 0;
}

#ifndef BM_LIBFUZZER
namespace {

int replay(const char* path) {
  FILE* const f = std::fopen(path, "rb");
  if (f == nullptr) return std::perror(path), 1;
  std::vector<std::uint8_t> data;
  for (int c; (c = std::fgetc(f)) != EOF;) data.push_back(static_cast<std::uint8_t>(c));
  std::fclose(f);
  LLVMFuzzerTestOneInput(data.data(), data.size());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 3 && std::string(argv[1]) == "random") {
    Random random(argc > 3 ? std::strtoull(argv[3], nullptr, 0) : 0);
    for (long n = std::atol(argv[2]); n > 0; --n) {
      std::vector<std::uint8_t> data(random.between(1, 3000));
      for (auto& byte : data) byte = static_cast<std::uint8_t>(random.bits());
      LLVMFuzzerTestOneInput(data.data(), data.size());
    }
    return 0;
  }
  if (argc < 2) return std::fprintf(stderr, "usage: %s FILE... | random N [seed]\n", argv[0]), 2;
  int failed = 0;
  for (int i = 1; i < argc; ++i) failed |= replay(argv[i]);
  return failed;
}
#endif
