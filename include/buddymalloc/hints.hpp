// hints.hpp: hints (hints.h) for C++17: operators new spelled as tcmalloc's, and an allocator for containers.
// The operators are in the shared library and the static archive, not in the core archive. LLVM's memory profiles call the
// same ones. Their blocks go to any operator delete.
#ifndef BUDDYMALLOC_HINTS_HPP
#define BUDDYMALLOC_HINTS_HPP

#include <cstddef>
#include <cstdint>
#include <new>

#include "buddymalloc/hints.h"

// How often the block will be touched: 0 seldom, 255 often. Below 128 it lies with what lives long; from there on it is
// treated as without a hint.
enum class __hot_cold_t : std::uint8_t;

void* operator new(std::size_t, __hot_cold_t);
void* operator new[](std::size_t, __hot_cold_t);
void* operator new(std::size_t, const std::nothrow_t&, __hot_cold_t) noexcept;
void* operator new[](std::size_t, const std::nothrow_t&, __hot_cold_t) noexcept;
void* operator new(std::size_t, std::align_val_t, __hot_cold_t);
void* operator new[](std::size_t, std::align_val_t, __hot_cold_t);
void* operator new(std::size_t, std::align_val_t, const std::nothrow_t&, __hot_cold_t) noexcept;
void* operator new[](std::size_t, std::align_val_t, const std::nothrow_t&, __hot_cold_t) noexcept;

namespace buddymalloc {

using hot_cold_t = __hot_cold_t;

// For a container all of whose memory lives as long as the hint says. Where there is none, std::bad_alloc.
template <class T, bm_hint_t kHint>
struct HintedAllocator {
  using value_type = T;
  template <class U>
  struct rebind {
    using other = HintedAllocator<U, kHint>;
  };
  HintedAllocator() = default;
  template <class U>
  HintedAllocator(const HintedAllocator<U, kHint>&) noexcept {}

  T* allocate(std::size_t count) {
    void* const block =
        count <= PTRDIFF_MAX / sizeof(T) ? bm_aligned_alloc_hinted(alignof(T), count * sizeof(T), kHint) : nullptr;
    if (block == nullptr) throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t) noexcept { bm_free(block); }
  friend bool operator==(const HintedAllocator&, const HintedAllocator&) noexcept { return true; }
  friend bool operator!=(const HintedAllocator&, const HintedAllocator&) noexcept { return false; }
};

}  // namespace buddymalloc

#endif
