// workloads_covers.cc: logic functions as sets of bit vectors, taken apart and put together.  layer: bench
#include "workloads.h"

#include <iterator>

namespace bm::bench {
namespace {

// espresso: a logic function is a set of cubes, each a small array of bits; its complement is made by splitting it variable by
// variable, which allocates and frees sets of all sizes. After the logic minimiser of that name in Zorn's suite.
//
// A cube has two bits per variable: what of 0 and 1 the variable may be; a cube with a variable that may be neither is empty.
class Cube {
 public:
  static constexpr std::size_t kPerWord = 32;

  explicit Cube(std::size_t variables) : words_((variables + kPerWord - 1) / kPerWord) {
    bits_ = static_cast<std::uint64_t*>(allocated(std::malloc(words_ * sizeof(std::uint64_t))));
    std::fill_n(bits_, words_, ~UINT64_C(0));
  }
  Cube(const Cube& other) : words_(other.words_) {
    bits_ = static_cast<std::uint64_t*>(allocated(std::malloc(words_ * sizeof(std::uint64_t))));
    std::copy_n(other.bits_, words_, bits_);
  }
  Cube(Cube&& other) noexcept : bits_(std::exchange(other.bits_, nullptr)), words_(other.words_) {}
  Cube& operator=(Cube other) noexcept {
    std::swap(bits_, other.bits_);
    std::swap(words_, other.words_);
    return *this;
  }
  ~Cube() { std::free(bits_); }

  // 1: may be 0; 2: may be 1; 3: either.
  unsigned at(std::size_t variable) const {
    return static_cast<unsigned>(bits_[variable / kPerWord] >> 2 * (variable % kPerWord)) & 3;
  }
  void set(std::size_t variable, unsigned may_be) {
    std::uint64_t& word = bits_[variable / kPerWord];
    const std::size_t shift = 2 * (variable % kPerWord);
    word = (word & ~(UINT64_C(3) << shift)) | std::uint64_t{may_be} << shift;
  }
  bool is_all() const {
    return std::all_of(bits_, bits_ + words_, [](std::uint64_t word) { return word == ~UINT64_C(0); });
  }
  bool contains(const Cube& other) const {
    for (std::size_t i = 0; i < words_; ++i)
      if ((other.bits_[i] & ~bits_[i]) != 0) return false;
    return true;
  }

 private:
  std::uint64_t* bits_;
  std::size_t words_;
};
using Cover = std::vector<Cube>;

bool covers(const Cover& cover, const Cube& part) {
  return std::any_of(cover.begin(), cover.end(), [&](const Cube& cube) { return cube.contains(part); });
}

// The cover where the variable has that value: cubes that allow it, no longer depending on it.
Cover restricted(const Cover& cover, std::size_t variable, unsigned value) {
  Cover result;
  for (const Cube& cube : cover)
    if ((cube.at(variable) & value) != 0) result.emplace_back(cube).set(variable, 3);
  return result;
}

std::size_t most_used(const Cover& cover, std::size_t variables) {
  std::size_t best = 0, most = 0;
  for (std::size_t variable = 0; variable < variables; ++variable) {
    const auto users = static_cast<std::size_t>(
        std::count_if(cover.begin(), cover.end(), [&](const Cube& cube) { return cube.at(variable) != 3; }));
    if (users > most) {
      most = users;
      best = variable;
    }
  }
  return best;
}

Cover complement(const Cover& cover, std::size_t variables) {
  Cover result;
  if (cover.empty()) result.emplace_back(variables);
  if (cover.empty() || std::any_of(cover.begin(), cover.end(), [](const Cube& cube) { return cube.is_all(); }))
    return result;
  const std::size_t variable = most_used(cover, variables);
  const Cover zero = complement(restricted(cover, variable, 1), variables);
  const Cover one = complement(restricted(cover, variable, 2), variables);
  for (const Cube& cube : zero) result.emplace_back(cube).set(variable, covers(one, cube) ? 3 : 1);
  for (const Cube& cube : one)
    if (!covers(result, cube)) result.emplace_back(cube).set(variable, 2);
  return result;
}

// Depends on a few of the variables alone: splitting has an end.
Cover random_cover(bench_random& random, std::size_t variables, std::size_t cubes) {
  std::size_t used[16];
  for (std::size_t& variable : used) variable = bench_between(&random, 0, variables - 1);
  Cover cover;
  while (cubes-- != 0) {
    Cube& cube = cover.emplace_back(variables);
    for (int literal = 0; literal < 5; ++literal)
      cube.set(used[bench_between(&random, 0, std::size(used) - 1)],
               static_cast<unsigned>(bench_between(&random, 1, 2)));
  }
  return cover;
}

Cube random_point(bench_random& random, std::size_t variables) {
  Cube point(variables);
  for (std::size_t variable = 0; variable < variables; ++variable)
    point.set(variable, static_cast<unsigned>(bench_between(&random, 1, 2)));
  return point;
}

void espresso(Scale scale) {
  bench_random random = seeded();
  for (std::size_t i = scale.of(1500); i != 0; --i) {
    const std::size_t variables = bench_between(&random, 12, 80);
    const Cover cover = random_cover(random, variables, 40);
    const Cover rest = complement(cover, variables);
    for (int n = 0; n < 100; ++n) {
      const Cube point = random_point(random, variables);
      expect(covers(cover, point) != covers(rest, point), "a function and its complement are the same somewhere");
    }
  }
}

}  // namespace

std::span<const Workload> cover_workloads() {
  static constexpr Workload kAll[] = {{"espresso", espresso}};
  return kAll;
}

}  // namespace bm::bench
