// slab_table.cc: see slab_table.h.  layer: slab
#include "slab/slab_table.h"

#include <algorithm>

namespace bm::slab {

bool SlabTable::prepare(std::size_t slabs) {
  os::LockGuard hold(lock_);
  return slabs_.ensure_count(std::min(slabs + 1, slabs_.capacity()));
}

std::uint32_t SlabTable::take() {
  os::LockGuard hold(lock_);
  if (free_head_ != 0) {
    const std::uint32_t i = free_head_;
    free_head_ = slabs_[i].next;
    return i;
  }
  const std::uint32_t i = used_ + 1;
  if (!slabs_.ensure_count(std::size_t{i} + 1)) return 0;
  __atomic_store_n(&used_, i, __ATOMIC_RELEASE);
  return i;
}

void SlabTable::give_back(std::uint32_t index) {
  os::LockGuard hold(lock_);
  slabs_[index].next = free_head_;  // link, then head
  free_head_ = index;
}

}  // namespace bm::slab
