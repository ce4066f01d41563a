// new_failed.h: what operator new does when the heap has nothing.  layer: interpose
// As the standard says: call the program's new handler and try again until memory or an exception comes.
#pragma once

#include <cstddef>
#include <new>

namespace bm::interpose {

// Returns a block or leaves by an exception: the handler's, or std::bad_alloc.
[[gnu::cold]] void* new_failed(std::size_t size, std::align_val_t alignment);

// Returns a block, or null where the other one would leave by an exception.
[[gnu::cold]] void* new_failed_nothrow(std::size_t size, std::align_val_t alignment) noexcept;

}  // namespace bm::interpose
