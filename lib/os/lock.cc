// lock.cc: the contended side of Lock.  layer: os
// A short spin (the holders run for tens of nanoseconds), then futex waits; state kContended tells the holder to wake.
#include "os/lock.h"

#include <linux/futex.h>
#include <time.h>

#include "base/startup_data.h"
#include "os/syscall.h"

namespace bm::os {
namespace {

void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

constexpr timespec kWaitBeforeHook = {0, 20'000'000};
constexpr int kEveryone = 0x7FFFFFFF;

BM_STARTUP_DATA constinit std::atomic<void (*)()> wait_hook{nullptr};

long futex(const std::atomic<std::uint32_t>* word, int op, std::uint32_t value, const timespec* timeout = nullptr) {
  return system_call(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, timeout, nullptr, 0);
}

void wait_at_most(const timespec& time, const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  futex(&word, FUTEX_WAIT, seen, &time);
  if (void (*const hook)() = wait_hook.load(std::memory_order_relaxed); hook != nullptr) hook();
}

}  // namespace

void Lock::lock_slow() {
  for (int i = 0; i < 100; ++i) {
    if (state_.load(std::memory_order_relaxed) == kFree && try_lock()) return;
    cpu_relax();
  }
  while (state_.exchange(kContended, std::memory_order_acquire) != kFree) wait_while(state_, kContended);
}

void set_lock_wait_hook(void (*hook)()) { wait_hook.store(hook, std::memory_order_relaxed); }

void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t seen) {
  wait_at_most(kWaitBeforeHook, word, seen);
}

void wake_all(const std::atomic<std::uint32_t>& word) { futex(&word, FUTEX_WAKE, kEveryone); }

void yield() { system_call(SYS_sched_yield); }

void nap(std::uint32_t us) {
  const std::atomic<std::uint32_t> nobody_wakes{0};
  wait_at_most({0, static_cast<long>(us) * 1000}, nobody_wakes, 0);
}

void Lock::wake() { futex(&state_, FUTEX_WAKE, 1); }

}  // namespace bm::os
