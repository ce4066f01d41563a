// stack.h: where the calling thread is on its stack.  layer: os
#pragma once

#include <cstdint>

namespace bm::os {

struct StackPlace {
  std::uintptr_t top;    // address of the lowest word in use
  std::uintptr_t depth;  // from an origin of the thread's
};

// Where the stack is in the function that this is inlined into. The depth is the same for all threads but the first, as libc puts
// the record that the thread pointer points to at the top of each stack it makes.
[[gnu::always_inline]] inline StackPlace stack_place() {
  StackPlace here;
#if defined(__x86_64__)
  asm("mov %%rsp, %0" : "=r"(here.top));
  here.depth = here.top;
  asm("sub %%fs:0, %0" : "+r"(here.depth) : : "cc");
#elif defined(__aarch64__)
  std::uintptr_t origin;
  asm("mov %0, sp\n\tmrs %1, tpidr_el0" : "=r"(here.top), "=r"(origin));
  here.depth = here.top - origin;
#else
  here.top = here.depth = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
  return here;
}

}  // namespace bm::os
