// startup.cc: what the loader runs once when it has loaded the library.  layer: interpose
// Not on malloc's path: malloc has usually served many requests by then. Silent unless asked.
#include "heap/heap.h"
#include "interpose/anchor.h"

const char bm::interpose::startup_anchor = 0;

namespace {

[[gnu::constructor]] void announce_library() { bm::heap::announce(); }

}  // namespace
