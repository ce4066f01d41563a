// hot_cold.cc: tcmalloc's eight operators new with a hint. Exit status 3 when everything is right, 1 when not: it links with
// buddymalloc only.
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <new>
#include <set>

#include "buddymalloc/hints.hpp"

namespace {

int wrong = 0;
volatile std::size_t huge = SIZE_MAX / 4;
constexpr std::align_val_t on_256{256};

void expect(bool right, const char* what) {
  if (right) return;
  std::printf("wrong: %s\n", what);
  wrong++;
}

void expect_block(void* block, std::size_t alignment, const char* what) {
  expect(block != nullptr && reinterpret_cast<std::uintptr_t>(block) % alignment == 0 && bm_owns(block), what);
  std::memset(block, 0x42, 100);
  operator delete(block);
}

template <typename Call>
void expect_throw(Call call, const char* what) {
  try {
    call();
  } catch (const std::bad_alloc&) {
    return;
  }
  expect(false, what);
}

void every_operator(__hot_cold_t hint) {
  expect_block(operator new(100, hint), 16, "new");
  expect_block(operator new[](100, hint), 16, "new[]");
  expect_block(operator new(100, std::nothrow, hint), 16, "new nothrow");
  expect_block(operator new[](100, std::nothrow, hint), 16, "new[] nothrow");
  expect_block(operator new(100, on_256, hint), 256, "new aligned");
  expect_block(operator new[](100, on_256, hint), 256, "new[] aligned");
  expect_block(operator new(100, on_256, std::nothrow, hint), 256, "new aligned nothrow");
  expect_block(operator new[](100, on_256, std::nothrow, hint), 256, "new[] aligned nothrow");
  expect_throw([hint] { (void)operator new(huge, hint); }, "new throws");
  expect_throw([hint] { (void)operator new[](huge, hint); }, "new[] throws");
  expect_throw([hint] { (void)operator new(huge, on_256, hint); }, "new aligned throws");
  expect_throw([hint] { (void)operator new[](huge, on_256, hint); }, "new[] aligned throws");
  expect_throw([hint] { (void)operator new (8, std::align_val_t{48}, hint); }, "an alignment of 48 throws");
  expect(operator new(huge, std::nothrow, hint) == nullptr, "new nothrow returns null");
  expect(operator new[](huge, std::nothrow, hint) == nullptr, "new[] nothrow returns null");
  expect(operator new(huge, on_256, std::nothrow, hint) == nullptr, "new aligned nothrow returns null");
  expect(operator new[](huge, on_256, std::nothrow, hint) == nullptr, "new[] aligned nothrow returns null");
}

std::uintptr_t pageblock_of(const void* block) { return reinterpret_cast<std::uintptr_t>(block) >> 21; }

// 60 MB from one place of the program: expected to drain. Then 6 MB that the hint is about, enough to be taken for the same.
bool apart_from_the_many(__hot_cold_t hint) {
  std::set<std::uintptr_t> many;
  for (int i = 0; i < 600000; i++) {
    const void* block = operator new(100);
    if (i >= 100000) many.insert(pageblock_of(block));
  }
  int together = 0;
  for (int i = 0; i < 60000; i++) together += many.count(pageblock_of(operator new(100, hint)));
  return together == 0;
}

}  // namespace

int main() {
  for (const int hint : {0, 1, 127, 128, 255}) every_operator(__hot_cold_t(hint));
  // Each leaves its blocks where they are; cold ones first.
  expect(apart_from_the_many(__hot_cold_t{0}), "cold blocks lie apart from the many");
  expect(apart_from_the_many(__hot_cold_t{127}), "127 is cold");
  expect(!apart_from_the_many(__hot_cold_t{128}), "128 is not");
  return wrong != 0 ? 1 : 3;
}
