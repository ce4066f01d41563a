// options.h: numbers from the environment.  layer: heap
#pragma once

#include <cstddef>

namespace bm::heap {

// The decimal number that the variable holds; `otherwise` when it is not set, empty or something else.
std::size_t option(const char* name, std::size_t otherwise);

}  // namespace bm::heap
