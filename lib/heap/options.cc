// options.cc: see options.h.  layer: heap
#include "heap/options.h"

#include "base/number.h"
#include "os/process.h"

namespace bm::heap {

std::size_t option(const char* name, std::size_t otherwise) {
  const char* at = os::environment(name);
  if (at == nullptr) return otherwise;
  std::size_t value = 0;
  return read_number(at, value) && *at == '\0' ? value : otherwise;
}

}  // namespace bm::heap
