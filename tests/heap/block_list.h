// block_list.h: blocks linked through their heads, for tests that run out of memory: a list costs none.  layer: tests
#pragma once

#include <cstring>
#include <new>

#include "tests/heap/support.h"

namespace bm::test {

struct Link {
  Link* next;
  std::size_t bytes;
};

// Written blocks of `bytes` each, 16 at least, until null or at least `most` bytes; returns how many.
inline std::size_t fill(std::size_t bytes, Link*& list, std::size_t most = SIZE_MAX) {
  std::size_t n = 0;
  for (; n * bytes < most; ++n) {
    void* const p = allocate(bytes);
    if (p == nullptr) break;
    std::memset(p, 1, bytes);
    list = new (p) Link{list, bytes};
  }
  return n;
}

inline void free_list(Link*& list) {
  while (list != nullptr) {
    Link* const next = list->next;
    deallocate(list);
    list = next;
  }
}

}  // namespace bm::test
