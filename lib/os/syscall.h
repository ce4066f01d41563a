// syscall.h: system calls without libc between.  layer: os
// Inside malloc libc's wrappers would do harm: some are cancellation points (a thread cancelled there would keep our locks),
// all of them write errno, and each costs a symbol to bind at start. Here an error comes back as -errno and errno stays.
#pragma once

#include <sys/syscall.h>

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <cerrno>

#include <unistd.h>
#endif

namespace bm::os {

template <class... Args>
inline long system_call(long number, Args... args) {
  static_assert(sizeof...(args) <= 6);
  // C-style on purpose: an argument is an integer or a pointer, and both become a register.
  const long a[6] = {(long)args...};
#if defined(__x86_64__)
  long result;
  register long r10 asm("r10") = a[3];
  register long r8 asm("r8") = a[4];
  register long r9 asm("r9") = a[5];
  asm volatile("syscall"
               : "=a"(result)
               : "0"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a[0];
  register long x1 asm("x1") = a[1];
  register long x2 asm("x2") = a[2];
  register long x3 asm("x3") = a[3];
  register long x4 asm("x4") = a[4];
  register long x5 asm("x5") = a[5];
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
#else
  const int saved = errno;
  const long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  const int error = errno;
  errno = saved;
  return result == -1 ? -error : result;
#endif
}

// What mmap and mremap return: an address, or -errno in the last page.
inline bool is_error(long result) { return static_cast<unsigned long>(result) > -4096UL; }

}  // namespace bm::os
