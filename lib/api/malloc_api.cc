// malloc_api.cc: the parts of the malloc contract that are not on the fast path.  layer: api
// Invariants API-1 to API-3 of malloc_api.h are established here.
#include "api/malloc_api.h"

#include <bit>
#include <cstdint>

#include "api/with_errno.h"
#include "base/config.h"
#include "os/vm.h"

namespace bm::api {
namespace {

constexpr std::size_t kLargestAlignment = SIZE_MAX / 2 + 1;

// The heap may add bytes and alignment; keeping the sum below PTRDIFF_MAX spares it every overflow check.
bool within_limits(std::size_t bytes, std::size_t alignment) {
  return alignment <= PTRDIFF_MAX && bytes <= PTRDIFF_MAX - alignment;
}

// Apart from errno, so that posix_memalign can leave it alone.
void* aligned_block(std::size_t bytes, std::size_t alignment) {
  if (!within_limits(bytes, alignment)) return nullptr;
  if (alignment > kMinAlignment) return heap::allocate_aligned(bytes, alignment);
  void* block = heap::allocate_fast(bytes);
  return block != nullptr ? block : heap::allocate_slow(bytes);
}

}  // namespace

void* malloc_slow(std::size_t bytes, heap::CallPath path) {
  return with_errno([=] { return heap::allocate_slow(bytes, path); });
}

void free_slow(void* block) {
  const os::ErrnoGuard keep;
  heap::deallocate_slow(block);
}

void* calloc_slow(std::size_t count, std::size_t size, heap::CallPath path) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX) [[unlikely]]
    return fail(ENOMEM);
  return with_errno([=] { return heap::allocate_zeroed(bytes, path); });
}

void* realloc(void* block, std::size_t bytes, heap::CallPath path) {
  if (block == nullptr) {
    void* const fresh = heap::allocate_fast(bytes, path);
    return fresh != nullptr ? fresh : malloc_slow(bytes, path);
  }
  if (bytes == 0) {
    free(block);
    return nullptr;
  }
  if (bytes > PTRDIFF_MAX) [[unlikely]]
    return fail(ENOMEM);
  return with_errno([=] { return heap::reallocate(block, bytes, path); });
}

void* reallocarray(void* block, std::size_t count, std::size_t size, heap::CallPath path) {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return fail(ENOMEM);
  return realloc(block, bytes, path);
}

void* allocate_aligned(std::size_t bytes, std::size_t alignment) {
  return with_errno([=] { return aligned_block(bytes, alignment); });
}

void* memalign(std::size_t alignment, std::size_t bytes) {
  if (alignment > kLargestAlignment) return fail(EINVAL);
  return allocate_aligned(bytes, std::bit_ceil(alignment));
}

void* aligned_alloc_strict(std::size_t alignment, std::size_t bytes) {
  if (!is_power_of_two(alignment)) return fail(EINVAL);
  return allocate_aligned(bytes, alignment);
}

void* hinted_alloc_strict(std::size_t alignment, std::size_t bytes, heap::Lifetime lifetime) {
  if (!is_power_of_two(alignment)) return fail(EINVAL);
  if (!within_limits(bytes, alignment)) return fail(ENOMEM);
  return with_errno([=] { return heap::allocate_hinted(bytes, alignment, lifetime); });
}

int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const os::ErrnoGuard keep;
  void* block = aligned_block(bytes, alignment);
  if (block == nullptr) return ENOMEM;
  *out = block;
  return 0;
}

void* valloc(std::size_t bytes) { return allocate_aligned(bytes, os::granule()); }

void* pvalloc(std::size_t bytes) {
  const std::size_t page = os::granule();
  if (bytes > PTRDIFF_MAX - page) return fail(ENOMEM);
  return allocate_aligned((bytes + page - 1) & ~(page - 1), page);
}

std::size_t malloc_usable_size(const void* block) { return heap::usable_size(block); }

}  // namespace bm::api
