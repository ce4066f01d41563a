// file.cc: see file.h.  layer: os
#include "os/file.h"

#include <fcntl.h>

#include "os/syscall.h"

namespace bm::os {

bool read_file(const char* path, char* buffer, std::size_t capacity) {
  const long fd = system_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return false;
  const long n = system_call(SYS_read, fd, buffer, capacity - 1);
  system_call(SYS_close, fd);
  if (n <= 0) return false;
  buffer[n] = '\0';
  return true;
}

}  // namespace bm::os
