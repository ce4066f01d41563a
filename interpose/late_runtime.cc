// late_runtime.cc: see late_runtime.h. For the shared library only.  layer: interpose
// A mention of dlopen, even a weak one, makes every static link warn, and a static program loads nothing later.
// Plug-ins are loaded privately (RTLD_LOCAL), so the global scope does not know their runtime: ask for it by name.
#include "interpose/late_runtime.h"

#include <dlfcn.h>

namespace bm::interpose {
namespace {

constexpr const char* kRuntimes[] = {"libstdc++.so.6", "libc++.so.1"};

}  // namespace

void* late_symbol(const char* name) {
  for (const char* runtime : kRuntimes) {
    // RTLD_NOLOAD: look, never load. The handle is kept: the runtime must not go away under an exception.
    void* handle = dlopen(runtime, RTLD_NOLOAD | RTLD_LAZY);
    void* symbol = handle != nullptr ? dlsym(handle, name) : nullptr;
    if (symbol != nullptr) return symbol;
  }
  return nullptr;
}

}  // namespace bm::interpose
