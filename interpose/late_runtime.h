// late_runtime.h: finds a C++ runtime that was loaded after this library.  layer: interpose
#pragma once

namespace bm::interpose {

// The address of a symbol of libstdc++ or libc++ if one is loaded, else null. Weak: absent from the static archive.
[[gnu::weak]] void* late_symbol(const char* name);

}  // namespace bm::interpose
