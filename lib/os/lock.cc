// lock.cc: the contended side of Lock.  layer: os
// A short spin (the holders run for tens of nanoseconds), then futex waits; state kContended tells the holder to wake.
#include "os/lock.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/errno_guard.h"

namespace bm::os {
namespace {

void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

long futex(std::atomic<std::uint32_t>* word, int op, std::uint32_t value) {
  return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, nullptr, nullptr, 0);
}

}  // namespace

void Lock::lock_slow() {
  for (int i = 0; i < 100; ++i) {
    if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
    cpu_relax();
  }
  ErrnoGuard keep;
  while (state_.exchange(kContended, std::memory_order_acquire) != kFree) futex(&state_, FUTEX_WAIT, kContended);
}

void Lock::wake() {
  ErrnoGuard keep;
  futex(&state_, FUTEX_WAKE, 1);
}

}  // namespace bm::os
