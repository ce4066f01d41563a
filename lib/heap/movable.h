// movable.h: blocks that are known by a handle, so that compaction may move them while they are not pinned.  layer: heap
// Thread-safe. A misused handle is fatal. Blocks are page runs of type Movable, and are lent contiguous ranges.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm::heap {

// At least `bytes` (1..PTRDIFF_MAX), contents undefined. 0: out of memory.
std::uint64_t movable_alloc(std::size_t bytes);
void movable_free(std::uint64_t handle);
// The address, the same until as many unpins as pins have come. Neither takes a lock; pin waits while the block is copied.
void* movable_pin(std::uint64_t handle);
void movable_unpin(std::uint64_t handle);
std::size_t movable_size(std::uint64_t handle);  // usable bytes

// Broken invariants of handle_table.h, each named on fd 2. Other threads may go on.
int validate_handles();

}  // namespace bm::heap
