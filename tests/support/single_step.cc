// single_step.cc: see single_step.h.  layer: tests
#include "support/single_step.h"

#include <csignal>
#include <cstdlib>

#include <ucontext.h>

namespace bm::test {
namespace {

const std::function<void()>* on_step;
volatile bool stepping;
std::size_t steps;

#if defined(__x86_64__)
constexpr unsigned long kTrapFlag = 0x100;

void handler(int, siginfo_t*, void* context) {
  auto& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
  if (!stepping) {
    flags &= ~static_cast<greg_t>(kTrapFlag);
    return;
  }
  ++steps;
  (*on_step)();
}

// Below the red zone, which the caller may be using.
void start() {
  asm volatile("subq $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::: "memory", "cc");
}
#else
void handler(int, siginfo_t*, void*) {}
void start() {}
#endif

}  // namespace

void stop_stepping() { stepping = false; }

std::size_t single_step(const std::function<void()>& piece, const std::function<void()>& at_step) {
  // A thread that is made meanwhile would single-step too, with the signal blocked: the kernel ends the process.
  setenv("BUDDYMALLOC_BACKGROUND", "0", 1);
  on_step = &at_step;
  steps = 0;
  struct sigaction action = {}, before = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, &before);
  stepping = true;
  start();
  piece();
  stepping = false;  // the next trap ends it
  asm volatile("" ::: "memory");
  sigaction(SIGTRAP, &before, nullptr);
  unsetenv("BUDDYMALLOC_BACKGROUND");
  return steps;
}

}  // namespace bm::test
