// slot_pool.cc: see slot_pool.h.  layer: heap
#include "heap/slot_pool.h"

#include <algorithm>

namespace bm::heap {

void** SlotPool::take(unsigned order) {
  os::LockGuard hold(lock_);
  if (void** const a = free_[order]; a != nullptr) {
    free_[order] = static_cast<void**>(*a);
    return a;
  }
  const std::size_t bytes = std::max(sizeof(void*) << order, kCacheLine);
  if (early_used_ + bytes <= kEarlyBytes) {
    auto* const a = reinterpret_cast<void**>(early_ + early_used_);
    early_used_ += bytes;
    return a;
  }
  if (!space_.ensure(used_ + bytes)) return nullptr;
  auto* const a = reinterpret_cast<void**>(space_.origin() + used_);
  used_ += bytes;
  return a;
}

void SlotPool::give_back(void** array, unsigned order) {
  os::LockGuard hold(lock_);
  *array = free_[order];  // link, then head
  free_[order] = array;
}

}  // namespace bm::heap
