// survivors.h: many objects of one size of which few stay.  layer: tests
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "tests/heap/check_heap.h"

namespace bm::test {

// Every `every`-th of them stays.
struct Survivors {
  Survivors(std::size_t bytes_each, std::size_t total, std::size_t every) : bytes(bytes_each) {
    for (std::size_t sum = 0; sum < total; sum += bytes) {
      blocks.push_back(allocate(bytes));
      paint(blocks.back(), bytes, blocks.size());
    }
    for (std::size_t i = 0; i < blocks.size(); ++i)
      if (i % every != 0) deallocate(std::exchange(blocks[i], nullptr));
  }
  ~Survivors() {
    for (void* const p : blocks) deallocate(p);
  }
  std::size_t pages() const {  // that hold a part of them
    std::set<std::uintptr_t> all;
    for (void* const p : blocks)
      if (p != nullptr)
        for (std::size_t k = 0; k < bytes; k += 16) all.insert((reinterpret_cast<std::uintptr_t>(p) + k) >> kPageShift);
    return all.size();
  }
  bool intact() const {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      if (blocks[i] != nullptr && !painted(blocks[i], bytes, i + 1)) return false;
    return true;
  }
  std::size_t bytes;
  std::vector<void*> blocks;
};

}  // namespace bm::test
