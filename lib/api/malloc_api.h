// malloc_api.h: the malloc contract of C, POSIX and glibc 2.36, apart from statistics.  layer: api
// Adds to the heap what the standards ask for: overflow, alignment, zero size, errno. Only malloc and free are inline,
// for the exported symbols to be as short as the heap's fast path; everything rare is a call away and cold.
// [API-1] a function that returns a block returns null only with errno ENOMEM, or EINVAL where glibc says so.
// [API-2] errno does not change on success, nor by free, nor by posix_memalign, which returns its code.
// [API-3] every size, zero included, gives a block of its own; above PTRDIFF_MAX there is none.
#pragma once

#include <cstddef>

#include "heap/heap.h"

namespace bm::api {

// std::has_single_bit calls into libgcc where the processor's population count may not be used.
constexpr bool is_power_of_two(std::size_t value) { return value != 0 && (value & (value - 1)) == 0; }

[[gnu::noinline, gnu::cold]] void* malloc_slow(std::size_t bytes, heap::CallPath path);
[[gnu::noinline, gnu::cold]] void free_slow(void* block);

[[gnu::always_inline]] inline void* malloc(std::size_t bytes) {
  const std::size_t cell = heap::call_cell();
  void* block = heap::allocate_fast(bytes, heap::lifetimes.verdict(cell));
  if (block != nullptr) [[likely]]
    return block;
  return malloc_slow(bytes, heap::call_path(cell));
}

inline void free(void* block) {
  if (heap::deallocate_fast(block)) [[likely]]
    return;
  free_slow(block);
}

// A block of a bin, whose class has that many bytes rounded up to 16: for small ones a call would take longer than it works.
[[gnu::always_inline]] inline void* clear(void* block, std::size_t bytes) {
  using Chunk [[gnu::vector_size(16), gnu::may_alias]] = long long;
  constexpr std::size_t kShort = 128;
  if (bytes > kShort) return __builtin_memset(block, 0, bytes);
  auto* at = static_cast<Chunk*>(block);
  for (const Chunk* const end = at + (bytes + sizeof(Chunk) - 1) / sizeof(Chunk); at < end; ++at) {
    *at = Chunk{};
    asm("" : "+r"(at));  // the compiler would make it a call
  }
  return block;
}

[[gnu::noinline, gnu::cold]] void* calloc_slow(std::size_t count, std::size_t size, heap::CallPath path);

[[gnu::always_inline]] inline void* calloc(std::size_t count, std::size_t size) {
  const std::size_t cell = heap::call_cell();
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) [[unlikely]]
    return calloc_slow(count, size, heap::call_path(cell));
  void* const block = heap::allocate_fast(bytes, heap::lifetimes.verdict(cell));
  if (block != nullptr) [[likely]]
    return clear(block, bytes);
  return calloc_slow(count, size, heap::call_path(cell));
}

// realloc(null, n) is malloc(n); realloc(p, 0) frees and returns null with errno kept, as glibc does.
void* realloc(void* block, std::size_t bytes, heap::CallPath path = {});
void* reallocarray(void* block, std::size_t count, std::size_t size, heap::CallPath path = {});

// A block aligned to a power of two, which is the caller's promise; errno as malloc.
void* allocate_aligned(std::size_t bytes, std::size_t alignment);

// glibc 2.36: an alignment that is no power of two is rounded up to one; above the largest power of two: EINVAL.
// aligned_alloc is the same function there, whatever C11 says about its size.
void* memalign(std::size_t alignment, std::size_t bytes);

// The strict form: EINVAL unless alignment is a power of two.
void* aligned_alloc_strict(std::size_t alignment, std::size_t bytes);

// The same with heap::allocate_hinted.
void* hinted_alloc_strict(std::size_t alignment, std::size_t bytes, heap::Lifetime lifetime);

// EINVAL unless alignment is a power of two and a multiple of sizeof(void*); out is written on success only.
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes);

// Aligned to the system's page; pvalloc rounds the size up to pages as well.
void* valloc(std::size_t bytes);
void* pvalloc(std::size_t bytes);

std::size_t malloc_usable_size(const void* block);

}  // namespace bm::api
