// upkeep.h: what a slow path looks after when it is done and holds no lock.  layer: heap
// One predicted branch where there is nothing to do. Otherwise slack that has lost its right goes back, a boost gives
// up caches, the background thread is made or woken, and with BUDDYMALLOC_VALIDATE=n the whole heap is checked.
#pragma once

#include <atomic>
#include <cstdint>

#include "heap/process_heap.h"

namespace bm::heap {

inline constexpr std::uint8_t kUpkeepValidate = 1;  // every n-th slow path checks the heap
inline constexpr std::uint8_t kUpkeepThread = 2;    // a background thread may be wanted
inline constexpr std::uint8_t kUpkeepSamples = 4;   // the heap of samples is wanted
[[gnu::visibility("hidden")]] extern std::atomic<std::uint8_t> upkeep_wanted;

enum class SlowPath : unsigned char {
  kAlloc,
  kFree,  // libc frees with locks held that pthread_create takes: no thread is made from here
};
void upkeep_slow(SlowPath);

inline void upkeep(SlowPath from) {
  if ((upkeep_wanted.load(std::memory_order_relaxed) | process.attention()) != 0) [[unlikely]]
    upkeep_slow(from);
}

// Reads the options that upkeep follows: with the heap's start, and when the loader has loaded the library.
void configure_upkeep();

}  // namespace bm::heap
