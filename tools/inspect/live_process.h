// live_process.h: a running process, read without stopping it.  tool: inspect
#pragma once

#include <sys/types.h>

#include "tools/inspect/memory.h"

namespace bm::inspect {

class LiveProcess : public Memory {
 public:
  explicit LiveProcess(pid_t pid);  // throws Failure: no such process, or not allowed

  using Memory::read;
  bool read(std::span<const Piece> pieces) const override;  // throws Failure when it may not or has ended
  bool runs() const override { return true; }
  std::string folder() const override { return folder_; }
  FileView open(const Mapping& mapping) const override;
  std::string name() const override { return "process " + std::to_string(pid_); }

 private:
  [[noreturn]] void refused() const;
  pid_t pid_;
  std::string folder_;  // its /proc
};

}  // namespace bm::inspect
