// fuzz_main.h: main of a fuzz target where libFuzzer does not drive it.  layer: tests
// A program that replays the files it is given, or, given "random N [seed]", N inputs made by chance.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "support/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace bm::test {

#define BM_FUZZ_REQUIRE(condition)                                                       \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)

// The bytes of an input, zeros behind its end.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : at_(data), left_(size) {}
  bool empty() const { return left_ == 0; }
  std::uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *at_++;
  }

 private:
  const std::uint8_t* at_;
  std::size_t left_;
};

inline int replay(const char* path) {
  FILE* const f = std::fopen(path, "rb");
  if (f == nullptr) return std::perror(path), 1;
  std::vector<std::uint8_t> data;
  for (int c; (c = std::fgetc(f)) != EOF;) data.push_back(static_cast<std::uint8_t>(c));
  std::fclose(f);
  LLVMFuzzerTestOneInput(data.data(), data.size());
  return 0;
}

inline int fuzz_main(int argc, char** argv) {
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

}  // namespace bm::test

#ifndef BM_LIBFUZZER
int main(int argc, char** argv) { return bm::test::fuzz_main(argc, argv); }
#endif
