// interpose_cxx.cc: the 20 replaceable operators new and delete of C++, and tcmalloc's 8 with a hint.  layer: interpose
// Needs no C++ runtime: what only one can do (handlers, exceptions) is in new_failed.cc, off the path.
// [IP-3] a block of any operator new can go to free, and one of malloc to any operator delete, as with glibc.
// Size and alignment given to delete are not looked at: the heap has to look the owner up anyway.
#include <cstdint>
#include <new>

#include "api/malloc_api.h"
#include "buddymalloc/buddymalloc.h"
#include "interpose/anchor.h"
#include "interpose/new_failed.h"

namespace api = bm::api;
namespace heap = bm::heap;
enum class __hot_cold_t : std::uint8_t;  // as <buddymalloc/hints.hpp> has it, whose allocator throws
using bm::interpose::new_failed;
using bm::interpose::new_failed_nothrow;
using std::align_val_t;
using std::nothrow_t;
using std::size_t;

namespace {

[[gnu::used]] const char* const c_family = &bm::interpose::c_family_anchor;

[[gnu::noinline, gnu::cold]] void* new_slow(size_t size, heap::CallPath path) {
  void* block = api::malloc_slow(size, path);
  return block != nullptr ? block : new_failed(size, align_val_t{1});
}

[[gnu::noinline, gnu::cold]] void* new_slow_nothrow(size_t size, heap::CallPath path) {
  void* block = api::malloc_slow(size, path);
  return block != nullptr ? block : new_failed_nothrow(size, align_val_t{1});
}

[[gnu::always_inline]] inline void* new_block(size_t size) {
  const size_t cell = heap::call_cell();
  void* block = heap::allocate_fast(size, heap::lifetimes.verdict(cell));
  if (block != nullptr) [[likely]]
    return block;
  return new_slow(size, heap::call_path(cell));
}

[[gnu::always_inline]] inline void* new_block_nothrow(size_t size) {
  const size_t cell = heap::call_cell();
  void* block = heap::allocate_fast(size, heap::lifetimes.verdict(cell));
  if (block != nullptr) [[likely]]
    return block;
  return new_slow_nothrow(size, heap::call_path(cell));
}

void* new_aligned(size_t size, align_val_t alignment) {
  void* block = api::aligned_alloc_strict(static_cast<size_t>(alignment), size);
  if (block != nullptr) [[likely]]
    return block;
  return new_failed(size, alignment);
}

void* new_aligned_nothrow(size_t size, align_val_t alignment) {
  void* block = api::aligned_alloc_strict(static_cast<size_t>(alignment), size);
  if (block != nullptr) [[likely]]
    return block;
  return new_failed_nothrow(size, alignment);
}

// LLVM's memory profiles say 1 for cold, 128 for not cold, 222 for either and 254 for hot.
constexpr __hot_cold_t kNotCold{128};

void* new_cold(size_t size, align_val_t alignment) {
  void* block = api::hinted_alloc_strict(static_cast<size_t>(alignment), size, heap::Lifetime::kLong);
  return block != nullptr ? block : new_failed(size, alignment);
}

void* new_cold_nothrow(size_t size, align_val_t alignment) {
  void* block = api::hinted_alloc_strict(static_cast<size_t>(alignment), size, heap::Lifetime::kLong);
  return block != nullptr ? block : new_failed_nothrow(size, alignment);
}

[[gnu::always_inline]] inline void* new_hinted(size_t n, __hot_cold_t h) {
  return h < kNotCold ? new_cold(n, align_val_t{1}) : new_block(n);
}
[[gnu::always_inline]] inline void* new_hinted_nothrow(size_t n, __hot_cold_t h) {
  return h < kNotCold ? new_cold_nothrow(n, align_val_t{1}) : new_block_nothrow(n);
}
void* new_hinted_aligned(size_t n, align_val_t a, __hot_cold_t h) {
  return h < kNotCold ? new_cold(n, a) : new_aligned(n, a);
}
void* new_hinted_aligned_nothrow(size_t n, align_val_t a, __hot_cold_t h) {
  return h < kNotCold ? new_cold_nothrow(n, a) : new_aligned_nothrow(n, a);
}

}  // namespace

BM_EXPORT void* operator new(size_t n) { return new_block(n); }
BM_EXPORT void* operator new[](size_t n) { return new_block(n); }
BM_EXPORT void* operator new(size_t n, const nothrow_t&) noexcept { return new_block_nothrow(n); }
BM_EXPORT void* operator new[](size_t n, const nothrow_t&) noexcept { return new_block_nothrow(n); }
BM_EXPORT void* operator new(size_t n, align_val_t a) { return new_aligned(n, a); }
BM_EXPORT void* operator new[](size_t n, align_val_t a) { return new_aligned(n, a); }
BM_EXPORT void* operator new(size_t n, align_val_t a, const nothrow_t&) noexcept { return new_aligned_nothrow(n, a); }
BM_EXPORT void* operator new[](size_t n, align_val_t a, const nothrow_t&) noexcept { return new_aligned_nothrow(n, a); }

BM_EXPORT void* operator new(size_t n, __hot_cold_t h) { return new_hinted(n, h); }
BM_EXPORT void* operator new[](size_t n, __hot_cold_t h) { return new_hinted(n, h); }
BM_EXPORT void* operator new(size_t n, const nothrow_t&, __hot_cold_t h) noexcept { return new_hinted_nothrow(n, h); }
BM_EXPORT void* operator new[](size_t n, const nothrow_t&, __hot_cold_t h) noexcept { return new_hinted_nothrow(n, h); }
BM_EXPORT void* operator new(size_t n, align_val_t a, __hot_cold_t h) { return new_hinted_aligned(n, a, h); }
BM_EXPORT void* operator new[](size_t n, align_val_t a, __hot_cold_t h) { return new_hinted_aligned(n, a, h); }
BM_EXPORT void* operator new(size_t n, align_val_t a, const nothrow_t&, __hot_cold_t h) noexcept {
  return new_hinted_aligned_nothrow(n, a, h);
}
BM_EXPORT void* operator new[](size_t n, align_val_t a, const nothrow_t&, __hot_cold_t h) noexcept {
  return new_hinted_aligned_nothrow(n, a, h);
}

BM_EXPORT void operator delete(void* p) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p) noexcept { api::free(p); }
BM_EXPORT void operator delete(void* p, const nothrow_t&) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p, const nothrow_t&) noexcept { api::free(p); }
BM_EXPORT void operator delete(void* p, size_t) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p, size_t) noexcept { api::free(p); }
BM_EXPORT void operator delete(void* p, align_val_t) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p, align_val_t) noexcept { api::free(p); }
BM_EXPORT void operator delete(void* p, align_val_t, const nothrow_t&) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p, align_val_t, const nothrow_t&) noexcept { api::free(p); }
BM_EXPORT void operator delete(void* p, size_t, align_val_t) noexcept { api::free(p); }
BM_EXPORT void operator delete[](void* p, size_t, align_val_t) noexcept { api::free(p); }
