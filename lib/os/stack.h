// stack.h: where the calling thread is on its stack.  layer: os
#pragma once

#include <cstdint>

namespace bm::os {

// How deep the stack is in the function that this is inlined into, from an origin of the thread's: the same for all threads
// but the first, as libc puts the record that the thread pointer points to at the top of each stack it makes.
[[gnu::always_inline]] inline std::uintptr_t stack_depth() {
  std::uintptr_t p;
#if defined(__x86_64__)
  asm("mov %%rsp, %0\n\tsub %%fs:0, %0" : "=r"(p) : : "cc");
#elif defined(__aarch64__)
  std::uintptr_t origin;
  asm("mov %0, sp\n\tmrs %1, tpidr_el0" : "=r"(p), "=r"(origin));
  p -= origin;
#else
  p = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
  return p;
}

}  // namespace bm::os
