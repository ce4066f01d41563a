// slot_pool.cc: see slot_pool.h.  layer: heap
#include "heap/slot_pool.h"

#include <algorithm>

#include "base/bits.h"

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
  if (!space_.ensure(used_ + bytes) || !populate(used_ + bytes)) return nullptr;
  auto* const a = reinterpret_cast<void**>(space_.origin() + used_);
  used_ += bytes;
  return a;
}

bool SlotPool::populate(std::size_t bytes) {
  const std::size_t end = align_up(bytes, os::granule());
  if (end <= populated_) return true;
  if (!space_.populate(populated_, end - populated_)) return false;
  populated_ = end;
  return true;
}

void SlotPool::give_back(void** array, unsigned order) {
  os::LockGuard hold(lock_);
  *array = free_[order];  // link, then head
  free_[order] = array;
}

}  // namespace bm::heap
