// arena_vm.h: an os::Vm without system calls, for tests of millions of steps and for fuzzing.  layer: tests
// One piece of address space is given out from its start on and taken back as a whole by reset(). What the OS would know of
// a page is kept as a byte each: reserved, committed, holding something. A caller that breaks the contract in os/vm.h aborts
// the process. Pages the test "writes" it only marks, so no memory is touched but the metadata's. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/vm.h"

namespace bm::test {

class ArenaVm {
 public:
  enum Op { kReserve, kCommit, kPurge, kPopulate, kOps };

  static const os::Vm table;

  // Everything is released; nothing is refused.
  static void reset();

  static void refuse(Op op, bool refused);
  // The k-th request from now on is refused, counted from 1, and `more` after it; 0: none.
  static void fail(std::size_t k, std::size_t more = 0);
  static std::size_t reserves();  // granted so far
  static std::size_t refusals();

  // Pages of committed memory. write() is what a program does to memory it was given.
  static void write(const void* start, std::size_t pages);
  static bool reads_zero(const void* start, std::size_t pages);
  static bool has_memory(const void* start, std::size_t pages);
  // Makes the state of the OS fit a zone that a test has put into a state of its own.
  static void impose(const void* start, bool holds);
};

}  // namespace bm::test
