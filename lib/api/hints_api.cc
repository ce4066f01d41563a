// hints_api.cc: the functions of <buddymalloc/hints.h>.  layer: api
#include "api/malloc_api.h"
#include "api/with_errno.h"
#include "buddymalloc/hints.h"

namespace api = bm::api;

namespace {

void* allocate_hinted(std::size_t alignment, std::size_t bytes, bm_hint_t hint) {
  using bm::heap::Lifetime;
  if (hint != bm_hint_long_lived && hint != bm_hint_short_lived) return api::fail(EINVAL);
  return api::hinted_alloc_strict(alignment, bytes, hint == bm_hint_long_lived ? Lifetime::kLong : Lifetime::kShort);
}

}  // namespace

extern "C" {

void* bm_malloc_hinted(size_t size, bm_hint_t hint) {
  return hint == bm_hint_none ? api::malloc(size) : allocate_hinted(bm::kMinAlignment, size, hint);
}

void* bm_aligned_alloc_hinted(size_t alignment, size_t size, bm_hint_t hint) {
  return hint == bm_hint_none ? api::aligned_alloc_strict(alignment, size) : allocate_hinted(alignment, size, hint);
}

}  // extern "C"
