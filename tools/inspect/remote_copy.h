// remote_copy.h: an object of another process, as bytes to be looked at through its own type.  tool: inspect
// Pointers in it are addresses over there. Only const members that do not follow them may be called.
#pragma once

#include <memory>
#include <new>

#include "tools/inspect/failure.h"
#include "tools/inspect/memory.h"

namespace bm::inspect {

inline std::uint64_t address_of(const void* over_there) { return reinterpret_cast<std::uint64_t>(over_there); }

template <class T>
class CopyOfMany {
 public:
  CopyOfMany(const Memory& memory, const T* over_there, std::size_t count)
      : size_(count), bytes_(std::make_unique<Bytes[]>(count)) {
    if (!memory.read(address_of(over_there), bytes_.get(), count * sizeof(T)))
      throw Failure(memory.name() + ": the heap's state cannot be read");
  }
  std::size_t size() const { return size_; }
  const T& operator[](std::size_t i) const { return *std::launder(reinterpret_cast<const T*>(bytes_[i].byte)); }

 private:
  struct alignas(T) Bytes {
    unsigned char byte[sizeof(T)];
  };
  std::size_t size_;
  std::unique_ptr<Bytes[]> bytes_;
};

template <class T>
class Copy {
 public:
  Copy(const Memory& memory, const T* over_there) : copy_(memory, over_there, 1) {}
  const T& value() const { return copy_[0]; }

 private:
  CopyOfMany<T> copy_;
};

}  // namespace bm::inspect
