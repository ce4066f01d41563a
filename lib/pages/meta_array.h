// meta_array.h: metadata arrays and records: reserved once, committed from the front.  layer: pages
// The early bump allocator of the kernel's memblock, per kind: indices are stable, and what is committed reads as
// zero. One writer at a time (the caller's lock); readers need none for elements already ensured.
// An array may grow downwards, so that the heads of two arrays lie side by side: one commit serves both, and a small
// process has one page table for them.
#pragma once

#include <cstddef>

#include "base/bits.h"
#include "os/vm.h"

namespace bm::pages {

enum class Growth : unsigned char { kUp, kDown };

class MetaSpace {
 public:
  static constexpr std::size_t kStep = 64 * 1024;  // bytes; also what parts are aligned to

  // The space is [origin, origin + bytes), or [origin - bytes, origin) when it grows downwards.
  void init(const os::Vm& vm, char* origin, std::size_t bytes, Growth growth = Growth::kUp) {
    vm_ = &vm;
    origin_ = origin;
    reserved_ = bytes;
    growth_ = growth;
  }
  // Makes the first `bytes` usable, counted from the origin. False: out of memory or of reservation; nothing changed.
  bool ensure(std::size_t bytes) {
    if (bytes <= committed_) return true;
    if (bytes > reserved_) return false;
    const std::size_t ahead = align_up(bytes + committed_ / 4, kStep);
    if (ahead <= reserved_ && commit_to(ahead)) return true;
    const std::size_t to = align_up(bytes, kStep);
    return commit_to(to < reserved_ ? to : reserved_);
  }
  // The caller has committed that much itself, together with something beside it.
  void adopt(std::size_t bytes) { committed_ = bytes; }

  // Whole granules of what is committed read as zero again and cost nothing. False: unchanged.
  bool purge(std::size_t offset, std::size_t bytes) {
    char* const start = growth_ == Growth::kUp ? origin_ + offset : origin_ - offset - bytes;
    return offset + bytes <= committed_ && vm_->purge(start, bytes);
  }

  // Puts memory behind a part of what is committed and grows upwards. False: the OS refuses, which touching it would not survive.
  bool populate(std::size_t offset, std::size_t bytes) { return vm_->populate(origin_ + offset, bytes); }

  char* origin() const { return origin_; }
  std::size_t reserved() const { return reserved_; }
  std::size_t committed() const { return committed_; }

 private:
  bool commit_to(std::size_t to) {
    char* const start = growth_ == Growth::kUp ? origin_ + committed_ : origin_ - to;
    if (!vm_->commit(start, to - committed_)) return false;
    committed_ = to;
    return true;
  }

  const os::Vm* vm_ = nullptr;
  char* origin_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t committed_ = 0;
  Growth growth_ = Growth::kUp;
};

template <class T, Growth kGrowth = Growth::kUp>
class MetaArray : public MetaSpace {
 public:
  void init(const os::Vm& vm, char* origin, std::size_t bytes) { MetaSpace::init(vm, origin, bytes, kGrowth); }
  bool ensure_count(std::size_t n) { return n <= capacity() && ensure(n * sizeof(T)); }
  T* data() const { return reinterpret_cast<T*>(origin()); }
  T& operator[](std::size_t i) const {
    if constexpr (kGrowth == Growth::kUp)
      return data()[i];
    else
      return *(data() - 1 - i);
  }
  std::size_t capacity() const { return reserved() / sizeof(T); }
};

}  // namespace bm::pages
