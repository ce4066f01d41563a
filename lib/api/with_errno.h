// with_errno.h: how the functions of the public headers set errno.  layer: api
// The system calls of the heap may fail without the request failing, so errno says nothing after it returns: it is kept as
// it was, and ENOMEM is what null means.
#pragma once

#include <cerrno>

#include "os/errno_guard.h"

namespace bm::api {

inline void* fail(int code) {
  errno = code;
  return nullptr;
}

// A function's result with errno as it was; a null one (a pointer's, or 0) sets ENOMEM.
template <class Allocate>
auto with_errno(Allocate allocate) {
  auto result = [&] {
    const os::ErrnoGuard keep;
    return allocate();
  }();
  if (!result) errno = ENOMEM;
  return result;
}

}  // namespace bm::api
