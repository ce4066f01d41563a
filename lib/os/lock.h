// lock.h: a four-byte lock that waits in the kernel.  layer: os
// Not recursive. Never held through fork handlers: a child finds out by itself that it is one (process.h) and calls
// reset() on every lock before it takes any. Ranks, outermost first: heap, zone, slab table, metadata, direct maps.
// The lock of an inner rank is never held while one of an outer rank is taken.
#pragma once

#include <atomic>
#include <cstdint>

namespace bm::os {

class Lock {
 public:
  void lock() {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed))
      lock_slow();
  }
  bool try_lock() {
    std::uint32_t expected = kFree;
    return state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) wake();
  }
  bool held() const { return state_.load(std::memory_order_relaxed) != kFree; }
  void reset() { state_.store(kFree, std::memory_order_relaxed); }  // only in a child that is still single-threaded

 private:
  static constexpr std::uint32_t kFree = 0, kHeld = 1, kContended = 2;
  void lock_slow();
  void wake();
  std::atomic<std::uint32_t> state_{kFree};
};

// Called now and then by whoever waits for a lock. A thread that a signal handler forked while it waited goes on waiting
// in the child, for a holder that is gone: the hook finds out, and resets the locks. Set once.
void set_lock_wait_hook(void (*hook)());

// For words that are not locks. Returns when woken, after some milliseconds, or at once when *word is not `seen`: the
// caller looks again. Calls the hook.
void wait_while(const std::atomic<std::uint32_t>& word, std::uint32_t seen);
void wake_all(const std::atomic<std::uint32_t>& word);
void yield();                         // lets another thread run
void nap(std::uint32_t us = 20'000);  // microseconds, less than a second; calls the hook

class LockGuard {
 public:
  explicit LockGuard(Lock& l) : lock_(l) { lock_.lock(); }
  ~LockGuard() { lock_.unlock(); }
  LockGuard(const LockGuard&) = delete;
  LockGuard& operator=(const LockGuard&) = delete;

 private:
  Lock& lock_;
};

}  // namespace bm::os
