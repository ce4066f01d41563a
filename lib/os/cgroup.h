// cgroup.h: the memory controller of the control group that this process is in, v1 or v2.  layer: os
// Found once, read again and again: system calls alone, some microseconds each. Nothing is allocated. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm::os {

// Limits hold for a group and all that are in it: each value is the least of the group's and of those around it. Used is what
// all tasks together have, near a limit without the file pages that the kernel would drop first. Bytes.
struct CgroupMemory {
  std::size_t most = SIZE_MAX;              // memory.max, limit_in_bytes; SIZE_MAX: no limit
  std::ptrdiff_t until_most = PTRDIFF_MAX;  // what may be used beyond what is; negative: there is too much already
  std::ptrdiff_t until_high = PTRDIFF_MAX;  // the same for memory.high, beyond which the kernel makes tasks wait
};

// All zeros: none has been found.
class Cgroup {
 public:
  // False: there is none, or it is not to be seen. `root` comes before every path, for tests.
  bool find(const char* root = "");
  bool found() const { return length_ != 0; }
  // False: it is gone.
  bool read(CgroupMemory& out) const;

 private:
  static constexpr std::size_t kPath = 768;
  char folder_[kPath] = {};
  std::size_t length_ = 0;  // of folder_
  std::size_t mount_ = 0;   // of folder_, the part that is the mount point: what is around that is not to be seen
  bool v2_ = false;
};

// Bytes of RAM that this process has now and shares with no file or other process.
std::size_t resident_anonymous();

}  // namespace bm::os
