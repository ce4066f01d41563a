// slot_pool.h: the arrays behind the threads' bins.  layer: heap
// Thread-safe. Sizes are powers of two from 2 to 2048 pointers; arrays are recycled by size and never given back.
#pragma once

#include <cstddef>

#include "os/lock.h"
#include "pages/meta_array.h"

namespace bm::heap {

class SlotPool {
 public:
  static constexpr unsigned kMaxOrder = 11;  // 2048 slots
  // The first `taken` bytes of the storage belong to somebody else; they are committed with the rest.
  void init(const os::Vm& vm, char* storage, std::size_t bytes, std::size_t taken = 0) {
    space_.init(vm, storage, bytes);
    used_ = taken;
  }
  bool ensure_first() { return space_.ensure(used_); }
  void* storage() const { return space_.start(); }

  // An array of 2^order pointers, contents undefined; null: out of memory.
  void** take(unsigned order);
  void give_back(void** array, unsigned order);
  void reset_lock() { lock_.reset(); }

 private:
  os::Lock lock_;
  pages::MetaSpace space_;
  std::size_t used_ = 0;
  void** free_[kMaxOrder + 1] = {};  // linked through the first slot
};

}  // namespace bm::heap
