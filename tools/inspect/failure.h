// failure.h: why the command cannot answer, for people.  tool: inspect
#pragma once

#include <stdexcept>

namespace bm::inspect {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace bm::inspect
