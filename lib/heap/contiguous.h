// contiguous.h: contiguous ranges and isolation for the public page API.  layer: heap
// Thread-safe. An area is named by the address of its first byte. Nothing here is kept beside the page layer's own maps:
// [PA-2] Pageblock::run_pages of a contiguous range's first pageblock is the range's length; of its others it is 0.
//        It is free for that: what is lent from such a pageblock is never longer than one.
#pragma once

#include <cstddef>

#include "heap/page_api.h"

namespace bm::heap {

enum class Outcome : unsigned char { kDone, kNoMemory, kBusy, kInvalid };

void* reserve_area(std::size_t bytes, const Place& place);  // bytes >= 1; null: no memory
// pages >= 1; alignment: bytes, a power of two of at least a page. kNoMemory, or kBusy: what is lent would have to go.
Outcome alloc_in_area(const void* area, std::size_t pages, std::size_t alignment, void** out);
void free_in_area(const void* area, void* start, std::size_t pages);  // null is fine
Outcome release_area(const void* area);                               // kBusy: something of it is in use

// Multiples of a pageblock. kInvalid: not of our pages; kBusy: isolated already, or reserved.
Outcome isolate_pages(const void* start, std::size_t bytes);
Outcome unisolate_pages(const void* start, std::size_t bytes);

}  // namespace bm::heap
