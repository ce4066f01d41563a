// random.h: reproducible chance: the seed comes from BUDDYMALLOC_SEED, else from a fixed number.  layer: tests
// A random test says INFO("BUDDYMALLOC_SEED=" << seed()) so that a failure can be repeated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace bm::test {

inline std::uint64_t seed() {
  const char* text = std::getenv("BUDDYMALLOC_SEED");
  return text == nullptr ? 20240229 : std::strtoull(text, nullptr, 0);
}

// splitmix64
class Random {
 public:
  explicit Random(std::uint64_t stream = 0) : state_(seed() + stream * 0x9E3779B97F4A7C15ULL) {}
  std::uint64_t bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(bits() % n); }
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  bool one_in(std::size_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

}  // namespace bm::test
