/* no_runtime.c: calls operator new by its mangled name where no C++ runtime is: must say why and abort. */
#include <stddef.h>
#include <stdint.h>

#include "on_us.h"

extern void* _Znwm(size_t size);
extern void* _ZnwmRKSt9nothrow_t(size_t size, const void* nothrow);
volatile size_t huge = SIZE_MAX / 4;

int main(void) {
  if (_ZnwmRKSt9nothrow_t(huge, "") != 0) return 1;
  _Znwm(huge);
  return 2;
}
