// code.cc: see code.h.  layer: os
#include "os/code.h"

#include <dlfcn.h>

#ifdef DLFO_STRUCT_HAS_EH_DBASE
extern "C" int _dl_find_object(void*, dl_find_object*) noexcept __attribute__((weak));
#endif

namespace bm::os {

#ifdef DLFO_STRUCT_HAS_EH_DBASE
bool in_program(std::uintptr_t address) {
  // What is no address at all is most of what is asked about.
  constexpr std::uintptr_t kLeast = std::uintptr_t{1} << 16;
  constexpr std::uintptr_t kMost = std::uintptr_t{1} << 47;
  dl_find_object found;
  return address >= kLeast && address < kMost && _dl_find_object != nullptr &&
         _dl_find_object(reinterpret_cast<void*>(address), &found) == 0;
}
#else
bool in_program(std::uintptr_t) { return false; }
#endif

}  // namespace bm::os
