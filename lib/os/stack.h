// stack.h: where the calling thread is on its stack.  layer: os
#pragma once

#include <cstdint>

namespace bm::os {

// Address of the lowest word in use, in the function that this is inlined into. Volatile: read where it is wanted, not kept from before.
[[gnu::always_inline]] inline std::uintptr_t stack_top() {
#if defined(__x86_64__)
  std::uintptr_t top;
  asm volatile("mov %%rsp, %0" : "=r"(top));
  return top;
#elif defined(__aarch64__)
  std::uintptr_t top;
  asm volatile("mov %0, sp" : "=r"(top));
  return top;
#else
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
#endif
}

// The same added to a number, of which the low bits remain. On x86-64 without a copy of the stack pointer, and in the register of a
// function's second argument.
template <unsigned kBits>
[[gnu::always_inline]] inline std::uintptr_t plus_stack_top(std::uintptr_t number) {
  constexpr std::uintptr_t kMask = (std::uintptr_t{1} << kBits) - 1;
#if defined(__x86_64__)
  asm("add %%esp, %k0\n\tand %1, %k0" : "+S"(number) : "i"(kMask) : "cc");
  return number;
#else
  return (number + stack_top()) & kMask;
#endif
}

}  // namespace bm::os
