// movable_api.cc: the functions of <buddymalloc/movable.h>: arguments and errno.  layer: api
#include <cstdint>

#include "api/with_errno.h"
#include "buddymalloc/movable.h"
#include "heap/movable.h"
#include "heap/process_heap.h"

namespace heap = bm::heap;

extern "C" {

bm_movable bm_movable_alloc(size_t size) {
  if (size == 0 || size > PTRDIFF_MAX) {
    errno = EINVAL;
    return 0;
  }
  return bm::api::with_errno([=] { return heap::movable_alloc(size); });
}

void bm_movable_free(bm_movable block) {
  const bm::os::ErrnoGuard keep;
  if (block != 0) heap::movable_free(block);
}

void* bm_movable_pin(bm_movable block) { return heap::movable_pin(block); }
void bm_movable_unpin(bm_movable block) { heap::movable_unpin(block); }
size_t bm_movable_size(bm_movable block) { return heap::movable_size(block); }

size_t bm_compact(void) {
  const bm::os::ErrnoGuard keep;
  return heap::process.compaction.run();
}

}  // extern "C"
