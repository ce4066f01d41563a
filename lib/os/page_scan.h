// page_scan.h: which pages of a process have memory behind them, and where that is a hugepage.  layer: os
// Asks /proc/PID/pagemap: of this process without libc or allocation, of another one that may be traced just so. Linux 6.7
// and later tell both (PAGEMAP_SCAN). Before, presence alone is told; with /proc/kpageflags root could see that a page is
// part of a hugepage, but not whether it is still mapped as one, which is the question. So it stays unknown.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/config.h"

namespace bm::os {

enum class Huge : unsigned char { kNo, kYes, kUnknown };

// A pageblock as the OS has it.
struct BlockMemory {
  std::uint64_t resident[(kPagesPerBlock + 63) / 64] = {};  // a bit for each page
  Huge huge = Huge::kUnknown;                               // kYes: one hugepage, mapped as such, is behind all of it
};

class PageScan {
 public:
  explicit PageScan(const char* pagemap);  // "/proc/thread-self/pagemap", "/proc/PID/pagemap"
  ~PageScan();
  PageScan(const PageScan&) = delete;
  PageScan& operator=(const PageScan&) = delete;

  bool opened() const { return file_ >= 0; }
  // The pageblock that begins at an address over there. False: the OS does not tell.
  bool look(std::uint64_t address, BlockMemory& out);

 private:
  bool scan(std::uint64_t address, BlockMemory& out) const;
  bool read_presence(std::uint64_t address, BlockMemory& out) const;
  long file_;
  bool scans_ = true;  // until the kernel says that it cannot
};

}  // namespace bm::os
