// plugin.cc: a C++ plug-in for the C program late_runtime.c: brings the C++ runtime into a process that had none.
#include <cstdint>
#include <new>

namespace {
volatile std::size_t huge = SIZE_MAX / 4;
int handler_calls = 0;
void handler() {
  handler_calls++;
  std::set_new_handler(nullptr);
}
}  // namespace

// 0 when bad_alloc was caught after the handler had been called once.
extern "C" int run_plugin() {
  std::set_new_handler(handler);
  try {
    (void)operator new(huge);
  } catch (const std::bad_alloc&) {
    return handler_calls == 1 ? 0 : 1;
  }
  return 1;
}
