// single_step.h: stops a piece of code after each of its instructions.  layer: tests
// The processor's trap flag raises SIGTRAP after every instruction; the handler runs at_step(), which may fork: the child
// then is exactly a child forked while the piece was there. x86-64 only.
#pragma once

#include <functional>

namespace bm::test {

#if defined(__x86_64__)
inline constexpr bool kCanSingleStep = true;
#else
inline constexpr bool kCanSingleStep = false;
#endif

// Both in this thread. Returns the number of instructions.
std::size_t single_step(const std::function<void()>& piece, const std::function<void()>& at_step);

// From at_step(), in a child that goes on with the piece: it runs at full speed from here on.
void stop_stepping();

}  // namespace bm::test
