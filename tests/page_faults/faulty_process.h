// faulty_process.h: the whole library on a FakeVm: this program has a system_vm() of its own.  layer: tests
// One life per process: the heap starts once and is never torn down, so every test runs in a child.
#pragma once

#include <cerrno>
#include <cstdio>

#include "buddymalloc/buddymalloc.h"
#include "buddymalloc/pages.h"
#include "heap/process_heap.h"
#include "support/child.h"
#include "support/fake_vm.h"

namespace bm::test {

inline std::size_t pages_in_use() {
  pages::Zone::Counters c;
  heap::process.nodes.for_each_zone([&](pages::Zone& zone) { c += zone.counters(); });
  return c.opened_pages - c.free_pages;
}

inline bool contract_kept(FakeVm& vm) {
  for (const std::string& text : vm.take_broken()) {
    std::fprintf(stderr, "os::Vm: %s\n", text.c_str());
    return false;
  }
  return true;
}

}  // namespace bm::test
