// meta_array.h: metadata arrays and records: reserved once, committed from the front.  layer: pages
// The early bump allocator of the kernel's memblock, per kind: indices are stable, memory never goes back, and what is
// committed reads as zero. One writer at a time (the caller's lock); readers need none for elements already ensured.
#pragma once

#include <cstddef>

#include "base/bits.h"
#include "os/vm.h"

namespace bm::pages {

class MetaSpace {
 public:
  static constexpr std::size_t kStep = 64 * 1024;  // bytes; also what parts are aligned to

  void init(const os::Vm& vm, char* start, std::size_t bytes) {
    vm_ = &vm;
    start_ = start;
    reserved_ = bytes;
  }
  // Makes the first `bytes` usable. False: out of memory or of reservation; nothing changed.
  bool ensure(std::size_t bytes) {
    if (bytes <= committed_) return true;
    if (bytes > reserved_) return false;
    std::size_t to = align_up(bytes, kStep);
    const std::size_t ahead = align_up(bytes + committed_ / 4, kStep);
    if (ahead <= reserved_ && vm_->commit(start_ + committed_, ahead - committed_)) {
      committed_ = ahead;
      return true;
    }
    if (to > reserved_) to = reserved_;
    if (!vm_->commit(start_ + committed_, to - committed_)) return false;
    committed_ = to;
    return true;
  }
  char* start() const { return start_; }
  std::size_t reserved() const { return reserved_; }
  std::size_t committed() const { return committed_; }

 private:
  const os::Vm* vm_ = nullptr;
  char* start_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t committed_ = 0;
};

template <class T>
class MetaArray : public MetaSpace {
 public:
  bool ensure_count(std::size_t n) { return n <= capacity() && ensure(n * sizeof(T)); }
  T* data() const { return reinterpret_cast<T*>(start()); }
  T& operator[](std::size_t i) const { return data()[i]; }
  std::size_t capacity() const { return reserved() / sizeof(T); }
};

}  // namespace bm::pages
