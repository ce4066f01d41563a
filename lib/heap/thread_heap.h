// thread_heap.h: THE FAST PATH: malloc as the pop, free as the push of a thread's bin.  layer: heap
//
// Every thread has a bin per size class, and one more for the class's twin (lifetime.h): an array of ready pointers with a null
// below the lowest. malloc takes the top one (two dependent loads: bin, pointer; which bin is known early, from the size and
// the caller's address). free looks up the page's entry, which is the owner's tag plus the offset of the bin: one subtraction
// answers "mine?" and "which bin?" together (two dependent loads: entry, bin). Freed objects are never touched. A miss, a
// full bin, a large size, another thread's object, a foreign pointer: the slow path.
// A thread without a heap has kEmptyFront: the two bins where all its small sizes lead are empty, and its tag owns no page: no
// null test for small sizes and for free.
//
// [TH-1] base <= top <= limit for every bin; *base == nullptr; (base, top] are objects of the bin's class that no slab
//        counts as free
// [TH-2] an owner entry e of a page means: the page belongs to the heap with tag e & ~kOffsetMask and the bin at offset
//        e & kOffsetMask
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heap/lifetime.h"
#include "heap/process_heap.h"
#include "slab/size_class.h"

namespace bm::heap {

struct Bin {
  void** top;
  void** limit;

  // The pointer, then the top: a fork's child must not find a stale pointer in a bin whose thread stopped in between.
  [[gnu::always_inline]] void push(void* p) {
    void** const at = top + 1;
    *at = p;
    std::atomic_signal_fence(std::memory_order_release);
    top = at;
  }
};

inline constexpr std::uint32_t kOffsetMask = pages::kFirstOwnerEntry - 1;
inline constexpr unsigned kSmallEntries = slab::kTableLimit / kMinAlignment + 1;

inline constexpr std::uint32_t kNoTag = 0xFFFFF000;  // kEmptyFront's: no heap has this index

// What the fast path reads and writes of a heap. The fields a small malloc needs come first.
struct alignas(kCacheLine) Front {
  std::uint32_t tag;                          // the heap's index in the bits above kOffsetMask
  std::uint16_t small_offset[kSmallEntries];  // bin offset by (bytes + 15) / 16, of the class itself
  Bin bins[slab::kBins];

  Bin& at(std::size_t offset) { return *reinterpret_cast<Bin*>(reinterpret_cast<char*>(bins) + offset); }
};
static_assert(sizeof(Bin) * slab::kBins <= pages::kFirstOwnerEntry);

extern const Front kEmptyFront;  // never written

struct ThreadState {
  Front* front;
  bool hooked;            // the exit hook is registered
  bool exited;            // ... and has run: the thread is in its last destructors
  bool inside;            // it holds its own heap's lock
  bool noting;            // it is about to list a slab under the generation it has read
  bool compacting;        // it is the one that moves blocks, or about to be
  std::uint8_t shrinker;  // it is inside the shrinker with this number; 0: none
  std::uint8_t frees;     // slow ones, counted for upkeep
  // Indices of other heaps (the pool, abandoned ones) whose locks it holds or is about to take; 0: none.
  std::uint32_t helping[2];
};
// Initial-exec: one load from the thread pointer, and 24 bytes of the static TLS reserve when loaded by dlopen.
extern constinit thread_local ThreadState t_state __attribute__((tls_model("initial-exec")));

constexpr std::size_t bin_offset(unsigned size_class) { return size_class * sizeof(Bin); }

// Null: not served here.
[[gnu::always_inline]] inline void* allocate_fast(std::size_t bytes, CallPath path = {}) {
  Front* const f = t_state.front;
  std::size_t offset;
  if (bytes <= slab::kTableLimit) [[likely]] {
    offset = f->small_offset[(bytes + kMinAlignment - 1) / kMinAlignment];
    std::size_t way;
    if (!lifetimes.quick_way(path, way)) [[unlikely]]
      return nullptr;
    offset += way;
  } else if (bytes <= slab::kMaxClassSize && f->tag != kNoTag) {
    const unsigned c = slab::class_of(bytes);
    offset = bin_offset(c);
    if (c < slab::kSlabClasses) {
      std::size_t way;
      if (!lifetimes.quick_way(path, way)) return nullptr;
      offset += way;
    }
  } else {
    return nullptr;
  }
  Bin& bin = f->at(offset);
  void** const top = bin.top;
  void* const p = *top;
  if (p != nullptr) [[likely]]
    bin.top = top - 1;
  return p;
}

// False: not served here.
[[gnu::always_inline]] inline bool deallocate_fast(void* p) {
  Front* const f = t_state.front;
  const std::size_t index = process.map.fast_index(p);
  if (index >= process.map.fast_pages()) [[unlikely]]
    return false;
  const std::uint32_t offset = process.map.entry_at(index) - f->tag;
  if (offset >= sizeof(f->bins)) [[unlikely]]
    return false;
  Bin& bin = f->at(offset);
  if (bin.top == bin.limit) [[unlikely]]
    return false;
  bin.push(p);
  return true;
}

}  // namespace bm::heap
