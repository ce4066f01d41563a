// process.cc: see process.h.  layer: os
#include "os/process.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/number.h"
#include "os/file.h"
#include "os/lock.h"
#include "os/syscall.h"
#include "os/vm.h"

// glibc's hook for C++ thread_local destructors: it allocates no pthread key. Weak: other libcs may lack it.
extern "C" int __cxa_thread_atexit_impl(void (*)(void*), void*, void*) __attribute__((weak));
extern "C" void* __dso_handle __attribute__((visibility("hidden")));

namespace bm::os {
namespace {

std::atomic<std::uint64_t (*)()> other_clock{nullptr};

using StatText = char[512];

// /proc/self/stat: pid (name) and then, by spaces, the state, which is the third field and the first thread's. A name may have
// anything in it. Returns the space before the state, or null.
const char* fields_of(StatText& text) {
  if (!read_file("/proc/self/stat", text, sizeof text)) return nullptr;
  const char* const end = std::strrchr(text, ')');
  return end != nullptr && end[1] == ' ' ? end + 1 : nullptr;
}

}  // namespace

std::uint32_t process_id() { return static_cast<std::uint32_t>(system_call(SYS_getpid)); }

void ForkSentinel::init(void* page) {
  auto* word = static_cast<std::atomic<std::uint32_t>*>(page);
  if (system_call(SYS_madvise, page, granule(), MADV_WIPEONFORK) != 0) pid_ = process_id();
  word->store(kAlive, std::memory_order_relaxed);
  word_ = word;
}

bool ForkSentinel::pid_changed() const { return process_id() != pid_; }

ForkSentinel::Claim ForkSentinel::claim() {
  if (pid_ != 0 && pid_changed() && word_->load(std::memory_order_relaxed) == kAlive)
    word_->store(kWiped, std::memory_order_relaxed);
  for (;;) {
    std::uint32_t seen = kWiped;
    if (word_->compare_exchange_strong(seen, kBusy, std::memory_order_acquire)) return Claim::kMine;
    if (seen == kAlive) return Claim::kNone;
    yield();
  }
}

void ForkSentinel::settle() {
  if (pid_ != 0) pid_ = process_id();
  word_->store(kAlive, std::memory_order_release);
}

std::uint64_t coarse_ms() {
  if (std::uint64_t(*const clock)() = other_clock.load(std::memory_order_relaxed); clock != nullptr) return clock();
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC_COARSE, &t);  // vDSO; not a cancellation point
  return static_cast<std::uint64_t>(t.tv_sec) * 1000 + static_cast<std::uint64_t>(t.tv_nsec) / 1'000'000;
}

void set_clock(std::uint64_t (*clock)()) { other_clock.store(clock, std::memory_order_relaxed); }

std::uint32_t thread_id() { return static_cast<std::uint32_t>(system_call(SYS_gettid)); }

bool is_main_thread() { return system_call(SYS_gettid) == process_id(); }

bool thread_exists(std::uint32_t tid) { return system_call(SYS_tgkill, process_id(), tid, 0) != -ESRCH; }

std::uint32_t thread_count() {
  constexpr unsigned kSkipped = 17;  // from the state to num_threads, the 20th field
  StatText text;
  const char* at = fields_of(text);
  for (unsigned i = 0; i < kSkipped && at != nullptr; ++i) at = std::strchr(at + 1, ' ');
  std::size_t n = 0;
  return at != nullptr && read_number(++at, n) ? static_cast<std::uint32_t>(n) : 0;
}

bool main_thread_runs() {
  StatText text;
  const char* const at = fields_of(text);
  return at != nullptr && at[1] != 'Z' && at[1] != 'X';
}

bool at_thread_exit(void (*hook)(void*), void* argument) {
  if (__cxa_thread_atexit_impl == nullptr) return false;
  return __cxa_thread_atexit_impl(hook, argument, &__dso_handle) == 0;
}

const char* environment(const char* name) { return environ == nullptr ? nullptr : getenv(name); }

}  // namespace bm::os
