// reclaim_api.cc: the functions of <buddymalloc/reclaim.h>.  layer: api
#include "buddymalloc/reclaim.h"

#include <cerrno>

#include "heap/reclaim.h"

namespace heap = bm::heap;

static_assert(BM_SHRINK_STOP == heap::kShrinkStop);

extern "C" {

bm_shrinker* bm_shrinker_register(bm_shrinker_count count, bm_shrinker_scan scan, void* argument) {
  if (count == nullptr || scan == nullptr) {
    errno = EINVAL;
    return nullptr;
  }
  heap::Shrinker* const s = heap::register_shrinker(count, scan, argument);
  if (s == nullptr) errno = ENOMEM;
  return reinterpret_cast<bm_shrinker*>(s);
}

void bm_shrinker_unregister(bm_shrinker* shrinker) {
  if (shrinker != nullptr) heap::unregister_shrinker(reinterpret_cast<heap::Shrinker*>(shrinker));
}

}  // extern "C"
