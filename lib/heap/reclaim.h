// reclaim.h: what is given up before a request fails: our own caches first, then what the program offers.  layer: heap
// Thread-safe; called on slow paths with no lock held. Bounded: a request goes through a handful of stages once.
// [RC-1] a shrinker is called only while it is registered, never with a lock of ours held, and never from within a
//        shrinker by the same thread
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm::heap {

// Everything this thread's bins and page lists hold goes back to slabs and zones.
void give_up_caches();
// What other threads have freed is merged, and the lists of heaps without a thread are emptied. Bins that belong to a
// living thread are its own: they stay.
void drain_other_heaps();
void drain_heaps();  // both

// do { try; } while (reclaim.next());
class Reclaim {
 public:
  explicit Reclaim(std::size_t bytes) : bytes_(bytes) {}
  // Gives up the next there is; false: nothing is left to try.
  bool next();
  bool started() const { return stage_ != 0; }

 private:
  bool give_up(unsigned stage);
  std::size_t bytes_;
  unsigned stage_ = 0;
};

// Bytes that could be freed; bytes freed, or kShrinkStop.
using ShrinkerCount = std::size_t (*)(void* argument);
using ShrinkerScan = std::size_t (*)(void* argument, std::size_t bytes);
inline constexpr std::size_t kShrinkStop = SIZE_MAX;
struct Shrinker;

// Null: there are too many.
Shrinker* register_shrinker(ShrinkerCount count, ShrinkerScan scan, void* argument);
// Returns when no thread is inside it any more. From within a shrinker: fatal.
void unregister_shrinker(Shrinker* shrinker);

// In a fork's child: the threads that were inside shrinkers are gone, but for the calling one.
void shrinkers_after_fork();

}  // namespace bm::heap
