// handle_table.h: the state of every movable block's handle, in one word each.  layer: heap
// Thread-safe; lock-free but for taking and giving back indices. Knows nothing of zones: who moves or frees a block's pages is
// heap/movable.h and heap/compact.h. Records are type-stable: a late user of a stale handle reads a record, never other data.
//
// A handle is (generation << 32 | index), never 0. A record's word is, from its low bit on,
//   | pins 14 | state 2 | generation 16 | page number 32 |
// so that one compare-and-swap pins and yields the address, and one publishes a new address.
// [HT-1] pins != 0 only in state kLive: a pinned block is never moved or freed
// [HT-2] while live or moving, the page has the entry kMovableRun and the index in its slab_index; its owner alone removes
//        them: the freer after the state has become kFree, the mover after it has published another page
// [HT-3] a generation is never given twice to an index: after the last one the index is retired
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/units.h"
#include "os/lock.h"
#include "pages/meta_array.h"

namespace bm::heap {

class HandleTable {
  struct Record {
    std::atomic<std::uint64_t> word;
    std::atomic<std::uint32_t> pages;  // length of the block
    std::uint32_t next;                // of a free index, under lock_
  };
  static_assert(sizeof(Record) == 16);

 public:
  enum class State : unsigned char {
    kFree,
    kLive,
    kMoving,         // its contents are being copied: pinning and freeing wait
    kMovingAwaited,  // ... and somebody does
  };
  struct Word {
    std::uint64_t bits = 0;
    unsigned pins() const { return static_cast<unsigned>(bits & kMaxPins); }
    State state() const { return static_cast<State>(bits >> kStateShift & 3); }
    bool moving() const { return state() == State::kMoving || state() == State::kMovingAwaited; }
    std::uint32_t generation() const { return static_cast<std::uint32_t>(bits >> kGenerationShift & 0xFFFF); }
    Pfn page() const { return {static_cast<std::uint32_t>(bits >> 32)}; }
  };
  enum class Claim : unsigned char { kYes, kPinned, kGone };  // kGone: no such block there any more
  static constexpr unsigned kPinBits = 14;
  static constexpr std::uint64_t kMaxPins = (std::uint64_t{1} << kPinBits) - 1;

  static constexpr std::size_t bytes_for(std::size_t handles) { return handles * sizeof(Record); }
  void init(const os::Vm& vm, char* storage, std::size_t bytes) { records_.init(vm, storage, bytes); }

  // An index that is nobody's; 0: out of memory.
  std::uint32_t take();
  void give_back(std::uint32_t index);
  // The block of a taken index: from now on its handle, which is returned, works.
  std::uint64_t open(std::uint32_t index, Pfn first, std::size_t pages);

  // By handle; fatal when it is stale or misused.
  Pfn pin(std::uint64_t handle);
  void unpin(std::uint64_t handle);
  // The handle is stale from now on; its pages are the caller's, and the index is to be given back.
  Pfn close(std::uint64_t handle);
  std::size_t pages(std::uint64_t handle) const;

  // By index, for compaction. Below limit() are all indices ever in use.
  std::uint32_t limit() const { return __atomic_load_n(&used_, __ATOMIC_ACQUIRE) + 1; }
  Word word(std::uint32_t index) const { return {records_[index].word.load(std::memory_order_acquire)}; }
  std::size_t pages_of(std::uint32_t index) const { return records_[index].pages.load(std::memory_order_relaxed); }
  // Keeps users of the block at `first` waiting until publish(); `claimed` is for that.
  Claim claim(std::uint32_t index, Pfn first, Word& claimed);
  // The block is at `first` from now on. False: a fork's release_claim() has ended the move, nothing changed.
  bool publish(std::uint32_t index, Word claimed, Pfn first);
  // In a fork's child, whose mover is gone or will learn of it: the block stays where it is.
  void release_claim(std::uint32_t index);

  void reset_lock() { lock_.reset(); }  // in a fork's child: the free list is whole after every store

 private:
  static constexpr unsigned kStateShift = kPinBits;
  static constexpr unsigned kGenerationShift = 16;
  static constexpr Word make(Pfn page, std::uint32_t generation, State state) {
    return {std::uint64_t{page.value} << 32 | std::uint64_t{generation} << kGenerationShift |
            std::uint64_t{static_cast<unsigned>(state)} << kStateShift};
  }
  Record& record(std::uint64_t handle) const;
  static bool move_on(Record& r, Word& seen, Word wanted);
  static Word wait_for_mover(Record& r, Word seen);
  template <class F>
  static Word change(Record& r, std::uint64_t handle, F wanted);

  os::Lock lock_;
  pages::MetaArray<Record> records_;
  std::uint32_t used_ = 0;
  std::uint32_t free_ = 0;
};

}  // namespace bm::heap
