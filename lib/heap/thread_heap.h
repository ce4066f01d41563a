// thread_heap.h: THE FAST PATH: malloc as the pop, free as the push of a thread's bin.  layer: heap
//
// Every thread has a bin per size class, and one more for the class's twin (lifetime.h): an array of ready pointers with a null
// below the lowest. malloc takes the top one (two dependent loads: bin, pointer; which bin is known early, from the size and
// the call path). free looks up the page's entry, which is the owner's tag plus the offset of the bin: one subtraction
// answers "mine?" and "which bin?" together (two dependent loads: entry, bin). Freed objects are never touched. A miss, a
// full bin, a large size, another thread's object, a foreign pointer: the slow path.
// A thread without a heap has kEmptyFront: the three bins where all its small sizes lead are empty, and its tag owns no page: no
// null test for small sizes and for free.
//
// [TH-1] base <= top <= limit for every bin; *base == nullptr; (base, top] are objects of the bin's class that no slab
//        counts as free; in a class's own bin some may be of slabs that have gone to its twin meanwhile
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

  Bin& plus(std::size_t bytes) { return *reinterpret_cast<Bin*>(reinterpret_cast<char*>(this) + bytes); }

  // The pointer, then the top: a fork's child must not find a stale pointer in a bin whose thread stopped in between.
  [[gnu::always_inline]] void push(void* p) {
    top[1] = p;
    std::atomic_signal_fence(std::memory_order_release);
    add_to_top<+1>();
  }
  // Null: empty.
  [[gnu::always_inline]] void* pop() {
    void* p = *top;
    if (p != nullptr) [[likely]] {
      add_to_top<-1>();
#if defined(__x86_64__)
      asm("" : "+a"(p));  // where a result is returned, so that it is not moved there
      if (p == nullptr) __builtin_unreachable();
#endif
    }
    return p;
  }

 private:
  // One instruction, where the compiler would take two to spare a load.
  template <int kSlots>
  [[gnu::always_inline]] void add_to_top() {
#if defined(__x86_64__)
    asm("addq %1, %0" : "+m"(top) : "i"(kSlots * static_cast<int>(sizeof(void*))) : "cc");
#else
    top += kSlots;
#endif
  }
};

inline constexpr std::uint32_t kOffsetMask = pages::kFirstOwnerEntry - 1;
inline constexpr unsigned kSmallEntries = slab::kTableLimit / kMinAlignment + 1;

inline constexpr std::uint32_t kNoTag = 0xFFFFF000;  // kEmptyFront's: no heap has this index

// What a bin's slow path remembers.
struct BinState {
  void** base;             // the array: base[0] is the null below the lowest; kEmptyFront's while there is none
  std::uint16_t capacity;  // pointers it may hold; 0: no array yet
  std::uint8_t refills;    // slow events of one kind in a row
  std::uint8_t flushes : 6;
  std::uint8_t closed : 1;   // until the next refill: holds what waits for others of its slab (wait_for_neighbours)
  std::uint8_t orderly : 1;  // ... and gets objects slab by slab
  std::uint32_t demand;      // objects taken by refills since the last flush: what the program's rhythm needs
};
static_assert(sizeof(BinState) == sizeof(Bin));

// What the fast path reads and writes of a heap. The fields a small malloc needs come first.
struct alignas(kCacheLine) Front {
  std::uint32_t tag;              // the heap's index in the bits above kOffsetMask
  Bin* small_bin[kSmallEntries];  // by (bytes + 15) / 16, of the class itself
  Bin bins[slab::kBins];
  // Right behind, as far from a bin as any verdict may lead: `base`, seen as the `top` of a bin, is that of one always empty.
  BinState state[slab::kBins];

  Bin& at(std::size_t offset) { return bins->plus(offset); }
};
static_assert(sizeof(Bin) * slab::kBins <= pages::kFirstOwnerEntry);

[[gnu::visibility("hidden")]] extern const Front kEmptyFront;  // never written

struct ThreadState {
  Front* front;
  std::uint32_t tag;      // front->tag, a load closer to free
  bool hooked;            // the exit hook is registered
  bool exited;            // ... and has run: the thread is in its last destructors
  bool inside;            // it holds its own heap's lock
  bool noting;            // it is about to list a slab under the generation it has read
  bool compacting;        // it is the one that moves blocks, or about to be
  std::uint8_t shrinker;  // it is inside the shrinker with this number; 0: none
  std::uint8_t frees;     // slow ones, counted for upkeep
  // Indices of other heaps (the pool, abandoned ones) whose locks it holds or is about to take; 0: none.
  std::uint32_t helping[2];

  // A signal handler may come in between: of what it frees nothing is then the thread's own, or every bin it knows is full.
  void use(const Front& f) {
    front = const_cast<Front*>(&f);
    tag = f.tag;
  }
};
// Initial-exec: one load from the thread pointer, and 32 bytes of the static TLS reserve when loaded by dlopen.
[[gnu::visibility("hidden")]] extern constinit thread_local ThreadState t_state
    __attribute__((tls_model("initial-exec")));

constexpr std::size_t bin_offset(unsigned size_class) { return size_class * sizeof(Bin); }

// Null: not served here. The verdict is that of the call path.
[[gnu::always_inline]] inline void* allocate_fast(std::size_t bytes, std::size_t verdict = 0) {
  Front* const f = t_state.front;
  if (bytes <= slab::kTableLimit) [[likely]]
    return f->small_bin[(bytes + kMinAlignment - 1) / kMinAlignment]->plus(verdict).pop();
  if (bytes > slab::kMaxClassSize || f->tag == kNoTag) return nullptr;
  const unsigned c = slab::class_of(bytes);
  return f->bins[c].plus(c < slab::kSlabClasses ? verdict : 0).pop();
}

[[gnu::always_inline]] inline void* allocate_fast(std::size_t bytes, CallPath path) {
  return allocate_fast(bytes, lifetimes.verdict(path.cell));
}

// False: not served here.
[[gnu::always_inline]] inline bool deallocate_fast(void* p) {
  Front* const f = t_state.front;
  const std::size_t index = process.map.fast_index(p);
  if (!process.map.is_fast(index)) [[unlikely]]
    return false;
  const std::uint32_t offset = process.map.entry_at(index) - t_state.tag;
  if (offset >= sizeof(f->bins)) [[unlikely]]
    return false;
  Bin& bin = f->at(offset);
  if (bin.top == bin.limit) [[unlikely]]
    return false;
  bin.push(p);
  return true;
}

}  // namespace bm::heap
