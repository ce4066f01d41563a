// direct_maps.cc: see direct_maps.h.  layer: heap
// System calls run without the lock: the record of a mapping that is being made or given back is in no list.
#include "heap/direct_maps.h"

#include <algorithm>

namespace bm::heap {

void DirectMaps::init(const os::Vm& vm, char* storage, std::size_t bytes) {
  vm_ = &vm;
  records_.init(vm, storage, bytes);
}

std::size_t DirectMaps::bucket(std::uintptr_t address) {
  return static_cast<std::size_t>((address >> kPageShift) * 0x9E3779B97F4A7C15ULL >> 56);
}

std::uint32_t* DirectMaps::find(std::uintptr_t address) {
  std::uint32_t* link = &heads_[bucket(address)];
  while (*link != 0 && records_[*link].address != address) link = &records_[*link].next;
  return link;
}

std::uint32_t DirectMaps::take_record() {
  if (free_ != 0) {
    const std::uint32_t r = free_;
    free_ = records_[r].next;
    return r;
  }
  return records_.ensure_count(std::size_t{used_} + 2) ? ++used_ : 0;
}

std::uint32_t DirectMaps::insert(void* p, std::size_t bytes, std::uint32_t r) {
  const auto address = reinterpret_cast<std::uintptr_t>(p);
  std::uint32_t& head = heads_[bucket(address)];
  records_[r] = {address, bytes, head};
  head = r;
  __atomic_store_n(&count_, count_ + 1, __ATOMIC_RELAXED);
  __atomic_store_n(&bytes_, bytes_ + bytes, __ATOMIC_RELAXED);
  return r;
}

void DirectMaps::erase(std::uint32_t* link) {
  const std::uint32_t r = *link;
  __atomic_store_n(&count_, count_ - 1, __ATOMIC_RELAXED);
  __atomic_store_n(&bytes_, bytes_ - records_[r].bytes, __ATOMIC_RELAXED);
  *link = records_[r].next;
  records_[r].next = free_;
  free_ = r;
}

void* DirectMaps::alloc(std::size_t bytes, std::size_t alignment) {
  if (bytes > PTRDIFF_MAX || alignment > PTRDIFF_MAX) return nullptr;
  const std::size_t size = align_up(std::max<std::size_t>(bytes, 1), os::granule());
  if (!charge(size)) return nullptr;
  std::uint32_t r;
  {
    os::LockGuard hold(lock_);
    r = take_record();
  }
  if (r == 0) {
    discharge(size);
    return nullptr;
  }
  // a hugepage's alignment where it pays; the plain one when space is short
  const std::size_t huge = size >= kPageblockSize ? kPageblockSize : kPageSize;
  void* p = vm_->map(size, std::max(alignment, huge));
  if (p == nullptr && alignment <= kPageSize && huge > kPageSize) p = vm_->map(size, kPageSize);
  os::LockGuard hold(lock_);
  if (p == nullptr) {
    discharge(size);
    records_[r].next = free_;
    free_ = r;
    return nullptr;
  }
  insert(p, size, r);
  return p;
}

bool DirectMaps::free(void* p) {
  std::size_t bytes;
  {
    os::LockGuard hold(lock_);
    std::uint32_t* link = find(reinterpret_cast<std::uintptr_t>(p));
    if (*link == 0) return false;
    bytes = records_[*link].bytes;
    erase(link);
  }
  vm_->release(p, bytes);
  discharge(bytes);
  return true;
}

std::size_t DirectMaps::size(const void* p) {
  os::LockGuard hold(lock_);
  const std::uint32_t* link = find(reinterpret_cast<std::uintptr_t>(p));
  return *link == 0 ? 0 : records_[*link].bytes;
}

void* DirectMaps::resize(void* p, std::size_t bytes) {
  const std::size_t size = align_up(bytes, os::granule());
  // The lock is held over the call: the address must not be taken by a new mapping while its record is the old one.
  os::LockGuard hold(lock_);
  std::uint32_t* link = find(reinterpret_cast<std::uintptr_t>(p));
  if (*link == 0) return nullptr;
  const std::size_t old = records_[*link].bytes;
  if (old == size) return p;
  if (size > old && !charge(size - old)) return nullptr;
  void* moved = vm_->remap(p, old, size);
  if (moved == nullptr && size > old) discharge(size - old);
  if (moved == nullptr) return nullptr;
  if (size < old) discharge(old - size);
  const std::uint32_t r = *link;
  erase(link);
  free_ = records_[r].next;
  insert(moved, size, r);
  return moved;
}

}  // namespace bm::heap
