// errno_guard.h: keeps errno over a scope: malloc's failures are reported by lib/api alone, free() reports none.
// layer: os
#pragma once

#include <cerrno>

namespace bm::os {

class ErrnoGuard {
 public:
  ErrnoGuard() : saved_(errno) {}
  ~ErrnoGuard() { errno = saved_; }
  ErrnoGuard(const ErrnoGuard&) = delete;
  ErrnoGuard& operator=(const ErrnoGuard&) = delete;

 private:
  int saved_;
};

}  // namespace bm::os
