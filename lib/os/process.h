// process.h: threads and forks as the heap needs to know them.  layer: os
// No atfork handler is registered (a lock held through those is what deadlocks other mallocs against stdio): a word in
// a MADV_WIPEONFORK page tells a child that it is one, also after _Fork() and raw clone(); vfork() shares the page.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace bm::os {

class ForkSentinel {
 public:
  enum class Claim : unsigned char { kNone, kMine };

  // `page`: one granule of committed private memory for this alone. When the OS cannot wipe it on fork, the process id
  // is compared instead (a system call per slow path, on kernels before 4.14).
  void init(void* page);
  // In a child that has not been told yet: true.
  bool forked() const {
    if (word_ == nullptr) return false;
    return (word_->load(std::memory_order_acquire) != kAlive) || (pid_ != 0 && pid_changed());
  }
  // Exactly one caller in the child gets kMine and must call settle(); others wait here until it has.
  Claim claim();
  void settle();

 private:
  static constexpr std::uint32_t kWiped = 0, kAlive = 1, kBusy = 2;
  bool pid_changed() const;
  std::atomic<std::uint32_t>* word_ = nullptr;
  std::uint32_t pid_ = 0;  // 0: wiping works, the id is not needed
};

// Milliseconds of a clock that never goes back and stands still while the machine sleeps. Cheap (no system call) and as
// coarse as the kernel's tick, about 4 ms.
std::uint64_t coarse_ms();
// For tests: whom coarse_ms() asks from now on; null: the system's clock.
void set_clock(std::uint64_t (*clock)());

std::uint32_t process_id();
std::uint32_t thread_id();
bool is_main_thread();
// False only when no thread of this process has that id.
bool thread_exists(std::uint32_t tid);
// Threads of this process; 0: cannot be told.
std::uint32_t thread_count();
// False: it has ended and others have not, or it cannot be told.
bool main_thread_runs();
// Calls hook(argument) when the calling thread ends, before its pthread keys are destroyed. False: not possible.
bool at_thread_exit(void (*hook)(void*), void* argument);

// The value of an environment variable or null; works as soon as libc has set `environ`, null before.
const char* environment(const char* name);

}  // namespace bm::os
