// fake_clock.h: stands in for os::coarse_ms() while it lives; one at a time.  layer: tests
#pragma once

#include <atomic>

#include "os/process.h"

namespace bm::test {

class FakeClock {
 public:
  FakeClock() {
    now_ = os::coarse_ms();  // what has been dated by the system's clock stays in the past
    os::set_clock([] { return now_.load(); });
  }
  ~FakeClock() { os::set_clock(nullptr); }
  FakeClock(const FakeClock&) = delete;
  FakeClock& operator=(const FakeClock&) = delete;
  void pass(std::uint64_t ms) { now_ += ms; }
  std::uint64_t now() const { return now_; }

 private:
  static inline std::atomic<std::uint64_t> now_{0};
};

}  // namespace bm::test
