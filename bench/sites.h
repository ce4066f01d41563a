// sites.h: places in a program that allocate what lives short or long, directly and behind wrappers, and what that leaves.  layer: bench
#pragma once

#include "memory_usage.h"
#include "random.h"

#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/mman.h>

namespace bench {

[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
  std::_Exit(1);
}

inline long rss_at_start;  // KiB
inline void begin() { rss_at_start = memory_usage_kib("VmRSS:"); }
inline double mib_since_start() { return static_cast<double>(memory_usage_kib("VmRSS:") - rss_at_start) / 1024; }

// The bookkeeping is no part of what is measured: mapped, and touched before the start.
template <class T>
T* map_array(std::size_t count) {
  void* const p =
      mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (p == MAP_FAILED) fail("mmap failed");
  return static_cast<T*>(p);
}

[[gnu::noinline]] inline void* wrapped_once(std::size_t bytes) {
  void* const p = std::malloc(bytes);
  if (p == nullptr) fail("malloc failed");
  return p;
}
[[gnu::noinline]] inline void* wrapped_twice(std::size_t bytes) {
  auto* const p = static_cast<unsigned char*>(wrapped_once(bytes));
  p[0] = 0;
  return p;
}
struct Direct {
  [[gnu::always_inline]] static void* get(std::size_t bytes) { return std::malloc(bytes); }
};
struct Wrapped {
  [[gnu::always_inline]] static void* get(std::size_t bytes) { return wrapped_twice(bytes); }
};

constexpr unsigned char kOfShortLife = 1, kOfLongLife = 2;  // what their bytes are
template <class How>
[[gnu::noinline]] unsigned char* of_short_life(std::size_t bytes) {
  return static_cast<unsigned char*>(std::memset(How::get(bytes), kOfShortLife, bytes));
}
template <class How>
[[gnu::noinline]] unsigned char* of_long_life(std::size_t bytes) {
  return static_cast<unsigned char*>(std::memset(How::get(bytes), kOfLongLife, bytes));
}

// All of one letter.
inline std::string text(bench_random& random, std::size_t least, std::size_t most) {
  return std::string(bench_between(&random, least, most), static_cast<char>(bench_between(&random, 'a', 'z')));
}

}  // namespace bench
