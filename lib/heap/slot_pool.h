// slot_pool.h: the arrays behind the threads' bins.  layer: heap
// Thread-safe. Sizes are powers of two from 2 to 8192 pointers; arrays are recycled by size and never given back.
// Each has cache lines of its own: the thread whose bin it is behind writes to it without a lock. And memory behind it: frees take
// arrays, too, and a free must not die of a page fault that the OS refuses.
// The first few come from the pool itself: a small process needs no memory beside the library's own for them.
#pragma once

#include <cstddef>

#include "base/config.h"
#include "os/lock.h"
#include "pages/meta_array.h"

namespace bm::heap {

class SlotPool {
 public:
  static constexpr unsigned kMaxOrder = 13;  // 8192 slots
  static constexpr std::size_t kEarlyBytes = 32 * 1024;

  void init(const os::Vm& vm, char* storage, std::size_t bytes) { space_.init(vm, storage, bytes); }

  // An array of 2^order pointers, contents undefined; null: out of memory.
  void** take(unsigned order);
  void give_back(void** array, unsigned order);
  void reset_lock() { lock_.reset(); }

 private:
  bool populate(std::size_t bytes);

  os::Lock lock_;
  pages::MetaSpace space_;
  std::size_t early_used_ = 0;
  std::size_t used_ = 0;
  std::size_t populated_ = 0;        // whole OS pages from the start of the space
  void** free_[kMaxOrder + 1] = {};  // linked through the first slot
  alignas(kCacheLine) char early_[kEarlyBytes] = {};
};

}  // namespace bm::heap
