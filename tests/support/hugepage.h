// hugepage.h: a pageblock that is known to be on a hugepage, where this machine gives any.  layer: tests
#pragma once

#include <catch2/catch.hpp>
#include <cstring>

#include "base/config.h"
#include "os/page_scan.h"
#include "os/vm.h"

namespace bm::test {

// False, with a message: transparent hugepages are off, there is no memory for one, or the kernel does not tell of them. All
// of the block's memory gets written.
inline bool put_on_hugepage(void* pageblock) {
  std::memset(pageblock, 1, kPageblockSize);
  os::BlockMemory memory;
  const bool told = os::PageScan("/proc/thread-self/pagemap").look(reinterpret_cast<std::uintptr_t>(pageblock), memory);
  if (told && memory.huge != os::Huge::kUnknown && os::linux_vm.collapse(pageblock, kPageblockSize)) return true;
  WARN("no hugepage here (transparent_hugepage=never, no memory, or a kernel before 6.7): not tested");
  return false;
}

}  // namespace bm::test
