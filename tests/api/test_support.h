// test_support.h: what the tests of the malloc contract share.  layer: tests
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bm::test {

// Not ENOMEM nor EINVAL nor 0, so that a change of errno is always seen.
inline constexpr int kUntouched = EOWNERDEAD;

inline bool aligned(const void* block, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(block) % alignment == 0;
}

// Runs call() with errno set to kUntouched and tells what errno was after it.
template <typename Call>
int errno_after(Call call) {
  errno = kUntouched;
  call();
  return errno;
}

// The compiler knows that sizes beyond PTRDIFF_MAX fail; it must not see them.
inline std::size_t hidden(std::size_t value) {
  volatile std::size_t copy = value;
  return copy;
}

inline bool all_bytes_are(const void* block, unsigned char byte, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(block);
  for (std::size_t i = 0; i < bytes; i++) {
    if (at[i] != byte) return false;
  }
  return true;
}

}  // namespace bm::test
