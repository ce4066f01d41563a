// options.cc: see options.h.  layer: heap
#include "heap/options.h"

#include <cstdint>

#include "os/process.h"

namespace bm::heap {

std::size_t option(const char* name, std::size_t otherwise) {
  const char* at = os::environment(name);
  if (at == nullptr || *at == '\0') return otherwise;
  std::size_t value = 0;
  for (; *at != '\0'; ++at) {
    const auto digit = static_cast<unsigned>(*at - '0');
    if (digit > 9 || value > (SIZE_MAX - digit) / 10) return otherwise;
    value = value * 10 + digit;
  }
  return value;
}

}  // namespace bm::heap
