// file.h: what the kernel tells in small files, without libc.  layer: os
#pragma once

#include <cstddef>

namespace bm::os {

// A small file in whole, cut at `capacity` - 1 bytes, as text; false when it cannot be read or is empty.
bool read_file(const char* path, char* buffer, std::size_t capacity);

}  // namespace bm::os
