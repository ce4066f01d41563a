// fatal.h: the end of a process whose heap is damaged, and plain output.  layer: os
#pragma once

#include <cstddef>

namespace bm::os {

// "buddymalloc: <what>: <address>" on fd 2, then abort(). For heap corruption only, never for lack of memory.
[[noreturn]] void fatal(const char* what, const void* address);

// All of it, through partial writes and EINTR; errors are ignored. Keeps errno.
void write_all(int fd, const char* text, std::size_t bytes);

}  // namespace bm::os
