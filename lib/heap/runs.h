// runs.h: page runs and direct mappings as malloc's large blocks.  layer: heap
// Thread-safe. Behind the run classes' bins: what is larger than a class, aligned beyond a page, or grown by realloc.
#pragma once

#include <cstddef>

#include "base/units.h"

namespace bm::heap {

enum class RunUse : unsigned char {
  kPlain,
  kGrowing,  // seen to grow: placed where the pages behind are free; when freed, its contents are in a longer one
};

// alignment: a power of two. *zeroed, when given, tells that the block reads as zero. Null: refused.
void* alloc_run(std::size_t bytes, std::size_t alignment, RunUse use, bool* zeroed);
// `page` is p's page; fatal when no run starts there.
void free_run(void* p, Pfn page, RunUse use = RunUse::kPlain);

}  // namespace bm::heap
