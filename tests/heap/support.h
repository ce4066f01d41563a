// support.h: what the tests of the heap share. The test binary itself lives on libc's malloc.  layer: tests
#pragma once

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "heap/heap.h"
#include "heap/process_heap.h"
#include "heap/thread_heap_slow.h"

namespace bm::test {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;

// As malloc and free combine the two halves.
inline void* allocate(std::size_t bytes) {
  void* const p = heap::allocate_fast(bytes);
  return p != nullptr ? p : heap::allocate_slow(bytes);
}
inline void deallocate(void* p) {
  if (!heap::deallocate_fast(p)) heap::deallocate_slow(p);
}

inline bool aligned(const void* p, std::size_t alignment) { return reinterpret_cast<std::uintptr_t>(p) % alignment == 0; }

inline heap::Statistics statistics() {
  heap::Statistics s;
  heap::statistics(s);
  return s;
}
inline std::size_t live_bytes() { return statistics().live_bytes; }

// What the bins and page lists of this thread hold goes back.
inline void flush_own() {
  heap::ThreadHeap* const h = heap::current_heap();
  if (h == nullptr) return;
  os::LockGuard hold(h->lock);
  h->flush_all();
}

inline std::size_t rss_bytes() {
  std::size_t size = 0;
  std::size_t resident = 0;
  FILE* const f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr || std::fscanf(f, "%zu %zu", &size, &resident) != 2) std::abort();
  std::fclose(f);
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// xorshift64*: the same sequence on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}
  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545F4914F6CDD1DULL;
  }
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() >> 11) % n; }
  // Small ones often, up to 2^top_bit - 1 seldom.
  std::size_t size(unsigned top_bit) { return below(std::size_t{1} << (1 + below(top_bit))); }

 private:
  std::uint64_t state_;
};

// Every byte of a block is a function of its seed and its place. Beyond 64 KiB only every 509th is written and read.
inline unsigned char byte_at(std::uint64_t seed, std::size_t i) {
  return static_cast<unsigned char>(seed * 167 + i * 29 + (i >> 8) * 13);
}
constexpr std::size_t stride_at(std::size_t i) { return i < (64U << 10) ? 1 : 509; }
inline void paint(void* p, std::size_t bytes, std::uint64_t seed) {
  for (std::size_t i = 0; i < bytes; i += stride_at(i)) static_cast<unsigned char*>(p)[i] = byte_at(seed, i);
}
inline bool painted(const void* p, std::size_t bytes, std::uint64_t seed) {
  const auto* at = static_cast<const unsigned char*>(p);
  for (std::size_t i = 0; i < bytes; i += stride_at(i))
    if (at[i] != byte_at(seed, i)) return false;
  return true;
}
inline bool all_zero(const void* p, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(p);
  return bytes == 0 || (at[0] == 0 && std::memcmp(at, at + 1, bytes - 1) == 0);
}

struct Outcome {
  int signal = 0;     // that ended the child; SIGALRM: it hung
  int exit_code = 0;  // of the child
  std::string text;   // what it wrote to fd 2
};

// Runs body() in a child of its own, which ends with _exit(body's result).
template <class Body>
Outcome in_child(Body body, unsigned patience_seconds = 60) {
  int pipe_ends[2];
  if (pipe(pipe_ends) != 0) std::abort();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    alarm(patience_seconds);
    for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGTERM, SIGALRM}) ::signal(s, SIG_DFL);  // not Catch2's handlers
    dup2(pipe_ends[1], 2);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    _exit(static_cast<int>(body()));
  }
  close(pipe_ends[1]);
  Outcome o;
  char buffer[512];
  for (ssize_t n; (n = read(pipe_ends[0], buffer, sizeof buffer)) > 0;) o.text.append(buffer, static_cast<std::size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  if (pid < 0 || waitpid(pid, &status, 0) != pid) std::abort();
  if (WIFSIGNALED(status)) o.signal = WTERMSIG(status);
  if (WIFEXITED(status)) o.exit_code = WEXITSTATUS(status);
  return o;
}

// In a child: a condition that does not hold ends it with the line's number as text.
#define BM_CHILD_REQUIRE(condition)                                                    \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      return 1;                                                                        \
    }                                                                                  \
  } while (false)

}  // namespace bm::test
