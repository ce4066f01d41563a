// movable.hpp: movable blocks (movable.h) for C++17: an owner and a pin, both header only.
// Neither throws: an owner that got no memory is false, with errno as bm_movable_alloc leaves it.
#pragma once

#include <cstddef>
#include <utility>

#include "movable.h"

namespace buddymalloc {

// The address of a movable block, which stays where it is for as long as this lives. The block must outlive it.
class Pin {
 public:
  explicit Pin(bm_movable block) noexcept : block_(block), address_(bm_movable_pin(block)) {}
  ~Pin() {
    if (block_ != 0) bm_movable_unpin(block_);
  }
  Pin(Pin&& other) noexcept
      : block_(std::exchange(other.block_, 0)), address_(std::exchange(other.address_, nullptr)) {}
  Pin& operator=(Pin other) noexcept {
    std::swap(block_, other.block_);
    std::swap(address_, other.address_);
    return *this;
  }
  Pin(const Pin&) = delete;

  void* get() const noexcept { return address_; }
  template <class T>
  T* as() const noexcept {
    return static_cast<T*>(address_);
  }

 private:
  bm_movable block_;
  void* address_;
};

// Owns a movable block, or none.
class Movable {
 public:
  Movable() noexcept = default;
  explicit Movable(std::size_t bytes) noexcept : block_(bm_movable_alloc(bytes)) {}
  ~Movable() { bm_movable_free(block_); }
  Movable(Movable&& other) noexcept : block_(other.release()) {}
  Movable& operator=(Movable other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  Movable(const Movable&) = delete;

  explicit operator bool() const noexcept { return block_ != 0; }
  bm_movable handle() const noexcept { return block_; }
  bm_movable release() noexcept { return std::exchange(block_, 0); }  // the caller frees it

  // Of an owner that has a block.
  [[nodiscard]] Pin pin() const noexcept { return Pin(block_); }
  std::size_t size() const noexcept { return bm_movable_size(block_); }  // bytes

 private:
  bm_movable block_ = 0;
};

}  // namespace buddymalloc
