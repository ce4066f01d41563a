// code.h: the program's code and constants in its address space.  layer: os
#pragma once

#include <cstdint>

namespace bm::os {

// Whether that is an address inside the program or one of its libraries. Without a lock, from anywhere; false where libc cannot
// tell (before glibc 2.35, others).
bool in_program(std::uintptr_t address);

}  // namespace bm::os
