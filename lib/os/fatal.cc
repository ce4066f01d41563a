// fatal.cc: see fatal.h.  layer: os
#include "os/fatal.h"

#include <cerrno>
#include <cstdlib>

#include "base/text.h"
#include "os/syscall.h"

namespace bm::os {

void write_all(int fd, const char* text, std::size_t bytes) {
  while (bytes != 0) {
    const long n = system_call(SYS_write, fd, text, bytes);
    if (n == -EINTR) continue;
    if (n <= 0) return;
    text += n;
    bytes -= static_cast<std::size_t>(n);
  }
}

void fatal(const char* what, const void* address) {
  char buffer[256];
  Text text(buffer, sizeof buffer);
  text << "buddymalloc: " << what << ": ";
  text.hex(reinterpret_cast<std::uintptr_t>(address)) << "\n";
  write_all(2, buffer, text.size());
  abort();
}

}  // namespace bm::os
