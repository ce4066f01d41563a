// thread.h: a thread of our own, and what it sleeps on.  layer: os
#pragma once

#include <atomic>
#include <cstdint>

namespace bm::os {

// Starts a detached thread with all signals blocked and a small stack; `name` has at most 15 letters. Blocked are those
// that programs know of: libc's own, with which set*id reaches every thread, still arrive. By libc's pthread_create, which
// allocates: no lock may be held. False: there is no such function, or it refuses.
bool start_thread(void (*body)(), const char* name);

// One thread sleeps, any other wakes it; a ring that comes before the sleep is not lost. All zeros: at rest.
class Doorbell {
 public:
  // Until somebody rings, the time is over, or earlier.
  void wait(std::uint32_t ms);
  void ring();
  void reset() { word_.store(kQuiet, std::memory_order_relaxed); }  // only in a child that is still single-threaded

 private:
  static constexpr std::uint32_t kQuiet = 0, kRung = 1, kAsleep = 2;
  std::atomic<std::uint32_t> word_{kQuiet};
};

}  // namespace bm::os
