// thread.cc: see thread.h.  layer: os
#include "os/thread.h"

#include <cerrno>
#include <csignal>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <time.h>

#include "os/syscall.h"

// Weak: a program without threads has no use for them, and some libcs keep them in a library of their own.
extern "C" {
int pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*) noexcept __attribute__((weak));
int pthread_attr_init(pthread_attr_t*) noexcept __attribute__((weak));
int pthread_attr_destroy(pthread_attr_t*) noexcept __attribute__((weak));
int pthread_attr_setdetachstate(pthread_attr_t*, int) noexcept __attribute__((weak));
int pthread_attr_setstacksize(pthread_attr_t*, size_t) noexcept __attribute__((weak));
}

namespace bm::os {
namespace {

constexpr std::size_t kStackBytes = std::size_t{128} << 10;  // libc takes the thread's TLS out of it
constexpr std::size_t kMaskBytes = 8;                        // of the kernel's signal set

struct Start {
  void (*body)();
  const char* name;
};
Start start_of_thread;  // one at a time: the caller sees to that

void* run(void*) {
  const Start start = start_of_thread;
  system_call(SYS_prctl, PR_SET_NAME, start.name, 0, 0, 0);
  start.body();
  return nullptr;
}

// A mask of signal n has bit n - 1. Those between 31 and SIGRTMIN are libc's.
std::uint64_t signals_of_programs() {
  const std::uint64_t below_realtime = (std::uint64_t{1} << 31) - 1;
  return below_realtime | ~std::uint64_t{0} << (SIGRTMIN - 1);
}

}  // namespace

bool start_thread(void (*body)(), const char* name) {
  if (pthread_create == nullptr || pthread_attr_init == nullptr || pthread_attr_setdetachstate == nullptr) return false;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  if (pthread_attr_setstacksize != nullptr) pthread_attr_setstacksize(&attributes, kStackBytes);
  start_of_thread = {body, name};
  // The new thread inherits the mask: there is no moment at which a signal could land on it.
  const std::uint64_t all = signals_of_programs();
  std::uint64_t before = 0;
  system_call(SYS_rt_sigprocmask, SIG_BLOCK, &all, &before, kMaskBytes);
  pthread_t thread;
  int error = pthread_create(&thread, &attributes, run, nullptr);
  if (error == EINVAL) {  // much TLS: as large a stack as libc thinks right
    pthread_attr_destroy(&attributes);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    error = pthread_create(&thread, &attributes, run, nullptr);
  }
  system_call(SYS_rt_sigprocmask, SIG_SETMASK, &before, nullptr, kMaskBytes);
  if (pthread_attr_destroy != nullptr) pthread_attr_destroy(&attributes);
  return error == 0;
}

void Doorbell::wait(std::uint32_t ms) {
  std::uint32_t seen = kQuiet;
  if (word_.compare_exchange_strong(seen, kAsleep)) {
    const timespec timeout = {static_cast<time_t>(ms / 1000), static_cast<long>(ms % 1000) * 1'000'000};
    system_call(SYS_futex, &word_, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, kAsleep, &timeout, nullptr, 0);
  }
  word_.store(kQuiet);
}

void Doorbell::ring() {
  if (word_.exchange(kRung) == kAsleep)
    system_call(SYS_futex, &word_, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
}

}  // namespace bm::os
