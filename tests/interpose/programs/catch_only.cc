// catch_only.cc: a C++ program with new, delete and a catch, and no more of the C++ library: linked statically, it has
// hardly a runtime. It does not name malloc either, and yet libc's strdup must use the same heap.
#include <cstdint>
#include <cstring>
#include <new>

#include "on_us.h"

volatile std::size_t huge = SIZE_MAX / 4;

int main() {
  try {
    (void)operator new(huge);
  } catch (const std::bad_alloc&) {
    void* block = operator new(10);
    const int status = on_us(block) && on_us(strdup("x")) ? 3 : 0;
    operator delete(block);
    return status;
  }
  return 1;
}
