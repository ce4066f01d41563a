// anchor.h: keeps the C and the C++ symbols together in a static link.  layer: interpose
// A program that names only operator new would take interpose_cxx.o from the archive and malloc from libc, and free
// of a block made by a library's strdup would meet the wrong heap. So interpose_cxx.cc refers to this one symbol.
// The reverse is not needed: libstdc++'s operators call malloc and free. In the same way the C family brings startup.o,
// which nothing else names.
#pragma once

namespace bm::interpose {

extern const char c_family_anchor;
extern const char startup_anchor;

}  // namespace bm::interpose
