// thread_heap_slow.h: the whole of a thread's heap; the slow side of thread_heap.h.  layer: heap
// bins and the page API's lists are the owning thread's alone, without a lock; everything else below `lock` is reached under
// it, by the owner on its slow path and by others who help (drain what they freed into an idle or abandoned heap, trim,
// validate).
// A heap outlives its thread: it is handed whole to a later one. Only its index ever names the owner of a slab.
// [HP-1] a slab of this heap with free objects is in the bucket list [its class][Slab::wanted_bucket()]; others are in none
// [HP-2] capacity is 2^k - 1 and limit - base == capacity for every bin that has an array; of one that is closed
//        base <= limit <= base + capacity
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include "heap/observation.h"
#include "heap/thread_heap.h"
#include "pcp/page_lists.h"

namespace bm::heap {

enum class HeapState : std::uint8_t {
  kUnused,
  kActive,     // a thread allocates from it
  kAbandoned,  // its thread is gone; drained, waiting for the next
  kOrphan,     // its thread vanished in a fork: recount() before any use
  kAdopted,    // ... and a thread is about to recount() it for itself
  kUnsettled,  // in a fork's child: as kActive, but a helper that is gone had its lock: settle() before any use
  kFrozen,     // in a fork's child: its own thread was inside when a signal handler forked; only remote frees
};

inline constexpr std::int64_t kAskStep = std::int64_t{32} << 20;                       // bytes
inline constexpr std::int64_t kTakenStep = std::int64_t{256} << 10;                    // bytes
inline constexpr std::uint32_t kManyPending = (std::uint32_t{1} << 20) >> kPageShift;  // pages
inline constexpr std::size_t kLargeObject = std::size_t{32}
                                            << 10;  // bytes; above: few are kept ready, and turnover counts
inline constexpr unsigned kBatch = 64;              // most objects that one refill or flush of a bin in balance moves

// The slabs behind a bin.
struct BinSlabs {
  std::uint32_t bucket[slab::kBuckets];  // partly free slabs by occupancy
  std::uint32_t last_refill;             // ThreadHeap::refill_clock
};

struct alignas(kCacheLine) ThreadHeap {
  Front front;

  // --- rarely written, read with each free by another thread: not on the line of `lock`, which the owner writes
  alignas(kCacheLine) std::atomic<HeapState> state;
  bool late;  // taken after its thread's exit hook had run: watch for the thread's end
  std::uint32_t index;
  std::uint32_t owner;           // thread id; meaningful while active
  std::uint32_t next_abandoned;  // under the registry's lock

  // --- owner and helpers, under lock
  alignas(kCacheLine) os::Lock lock;
  std::int32_t turnover;        // bytes of large objects handed out again, not yet told the zone
  std::size_t cached_capacity;  // bytes all bins could hold
  std::size_t given_back;       // bytes that bins have flushed since the last refill of any of them
  std::uint32_t refill_clock;   // refills of any bin
  std::uint32_t cache_calls;    // ProcessHeap::cache_calls() that it has followed
  std::uint32_t no_room_since;  // as refill_clock: the last search for room that found none
  // Bytes of free objects in slabs. Slabs move from heap to heap and this does not: only the sum over all heaps means something,
  // and that roughly. Read without the lock.
  std::atomic<std::int64_t> slab_free;
  std::int64_t asks_at;         // slab_free, for the background thread
  std::int64_t taken;           // bytes that slabs have handed out, less what came back, not yet told `observation`
  std::int64_t sample_in;       // bytes to be fetched until the next sample
  slab::SlabStock descriptors;  // for its next slabs, as are its
  pcp::SlabPageLists pages;     // of the zone with this number:
  unsigned pages_zone;

  // --- any thread
  alignas(kCacheLine) std::atomic<std::uint32_t> pending;  // slabs with remote frees, linked by Slab::pending_next
  std::atomic<std::uint32_t> pending_pages;                // of these, about
  std::atomic<std::uint32_t> freed_pages;  // of those that have all their objects back, about; without a thread

  // --- as `lock`; behind the others so that a small program touches two pages of all this
  alignas(kCacheLine) BinSlabs bin_slabs[slab::kBins];

  // --- the owning thread's alone, without a lock, as its bins are
  alignas(kCacheLine) pcp::ApiPageLists api_pages;  // of the zone with this number:
  unsigned api_zone;

  void start(std::uint32_t heap_index);

  // The next object of a class whose bin is empty, and a batch for the bin; null: out of memory.
  void* allocate_miss(unsigned size_class, CallPath path, bool* zeroed);
  // Takes back an object of this heap whose bin is full.
  void deallocate_overflow(unsigned size_class, void* p);
  // One object of a class of slabs, from a heap without a thread; lock held.
  void* take_one(unsigned size_class);
  // 2^order pages near this thread, and back; lock held.
  bool take_pages(unsigned order, pages::Migratetype type, Pfn& out);
  void give_back_pages(unsigned order, Pfn first);
  // What it keeps for its next slabs goes back, pages and descriptors.
  void drain_stocks() {
    pages.drain(process.nodes.zone(pages_zone));
    process.slabs.drain(descriptors);
  }
  // By the owner, or for it once it is gone.
  void drain_api_pages() { api_pages.drain(process.nodes.zone(api_zone)); }
  // Everything the bins and stocks hold goes back, lock held. By the owner, or for it once it is gone.
  void flush_all();
  // The same when somebody has asked for it since the last time.
  bool follow_cache_calls() {
    if (cache_calls == process.cache_calls()) [[likely]]
      return false;
    cache_calls = process.cache_calls();
    flush_all();
    return true;
  }
  // Merges what other threads freed, lock held.
  void drain_pending();
  // Called by the freeing thread. `slab_index` has new remote bits; that of `object` is the latest.
  void note_remote(std::uint32_t slab_index, unsigned object) {
    const slab::Slab& s = process.slabs[slab_index];
    // Listed by an earlier free: nothing to do as long as there is an owner who will come by.
    if (s.queued.load() == process.generation() && state.load() == HeapState::kActive) [[likely]]
      return;
    list_remote(slab_index, object);
  }
  // Merges what is pending of an abandoned heap, unless somebody is at it; after each hold of such a heap's lock.
  void help_abandoned();
  // Others have freed so much that somebody should merge it although he need not.
  bool many_pending() const { return pending_pages.load(std::memory_order_relaxed) >= kManyPending; }
  // Of a heap without a thread: half of what is pending would go back as a whole, or 256 KiB of it. Not with the first slab: who merges
  // looks at all that is pending, and the next frees list it again.
  bool much_to_give_back() const {
    constexpr std::uint32_t kMuch = (std::uint32_t{256} << 10) >> kPageShift;
    const std::uint32_t freed = freed_pages.load(std::memory_order_relaxed);
    return freed != 0 && freed >= std::min(pending_pages.load(std::memory_order_relaxed) / 2, kMuch);
  }
  // Empties the pending list; what belongs to other heaps is noted there. Of this heap's own slabs nothing is merged:
  // recount() does that. Lock held, or alone in a fork's child.
  void forward_pending();
  // The owner's, lock held: recounts what a vanished helper may have left half done.
  void settle() {
    if (state.load(std::memory_order_relaxed) != HeapState::kUnsettled) [[likely]]
      return;
    recount();
    state.store(HeapState::kActive);
  }
  // By a thread, as far as can be told.
  bool in_use() const { return state.load() == HeapState::kActive || state.load() == HeapState::kUnsettled; }
  // Rebuilds counts and lists from the slabs' maps, lock held; the previous owner may have stopped anywhere.
  void recount();
  // Takes over a slab of another heap, or all its partly free ones; both locks held.
  void take_over(ThreadHeap& from, std::uint32_t slab_index);
  // The same, with what others have freed in it.
  void adopt(ThreadHeap& from, std::uint32_t slab_index);
  void take_over_all(ThreadHeap& from);
  // Whether what drains of the class has slabs of its own here.
  bool twin_in_use(unsigned size_class) const;
  // The fullest partly free slab of the class; 0: none. Without the lock: a guess.
  std::uint32_t fullest(unsigned size_class) const;

  std::size_t cached_objects(unsigned size_class) const;
  // The zone that is nearest now, where page lists are filled: `lists` holds pages of one zone, `number`, at a time, and
  // what it has of another goes back first. By the owner.
  template <class Lists>
  pages::Zone& follow_nearest(Lists& lists, unsigned& number) {
    if (process.nodes.single()) return process.zone;
    pages::Zone& nearest = process.nodes.normal_zone(process.local(this).node);
    if (number != nearest.number()) {
      lists.drain(process.nodes.zone(number));
      number = nearest.number();
    }
    return nearest;
  }

 private:
  // Bytes of objects that slabs have handed out; negative: came back.
  void note_taken(std::int64_t bytes) {
    note_slab_free(-bytes);
    taken += bytes;
    if (taken >= kTakenStep || taken <= -kTakenStep) [[unlikely]]
      observation.moved(std::exchange(taken, 0));
  }
  void note_slab_free(std::int64_t bytes) {
    slab_free.store(slab_free.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  bool resize_bin(unsigned size_class, unsigned capacity);
  bool too_small(unsigned size_class) const;
  void adapt_for_refill(unsigned size_class);
  unsigned bin_to_shrink(std::size_t more_bytes) const;
  bool make_room(std::size_t more_bytes);
  bool grow_bin(unsigned size_class);
  void* sample(unsigned size_class, CallPath path, std::size_t bytes);
  unsigned gather(unsigned size_class, unsigned want, void** out);
  std::uint32_t new_slab(unsigned size_class);
  void list_remote(std::uint32_t slab_index, unsigned object);
  void note_turnover(std::int32_t bytes);
  void own_pages(slab::Slab& s);
  void merge_remote(slab::Slab& s);
  void release_slab(std::uint32_t slab_index);
  std::size_t put_back(unsigned size_class, void* const* objects, std::size_t n);
  void put_back_runs(unsigned size_class, void* const* objects, std::size_t n);
  void put_back_one(unsigned size_class, void* p);
  std::size_t put_in_slab(unsigned size_class, void* const* objects, std::size_t n);
  std::size_t flush(unsigned size_class, std::size_t n);
  void close_bin(unsigned size_class);
  bool seldom(unsigned size_class) const;
  void close_idle_runs();
  void flush_closed(unsigned size_class);
  bool wait_for_neighbours(unsigned size_class, void* p);
  bool belongs_to_twin(const slab::Slab& s) const;
  bool may_be_mixed(unsigned size_class) const;
  void hand_mixed_to_twin(unsigned size_class);
  void rebucket(std::uint32_t slab_index);
  void unlist(std::uint32_t slab_index);
  void ask_for_sleepers();
  void* allocate_run(unsigned size_class, unsigned want, bool* zeroed);
};

// The owner's own hold of its heap's lock. A signal handler may fork meanwhile: the child must know that it was this
// thread, which may yet go on, and not a helper, which is gone.
class OwnerGuard {
 public:
  explicit OwnerGuard(ThreadHeap& h) : hold_(h.lock) {
    mark(true);
    h.settle();
  }
  ~OwnerGuard() { mark(false); }

 private:
  static void mark(bool inside) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_state.inside = inside;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  os::LockGuard hold_;
};

// A hold of another heap's lock, the pool's for one. Noted before the lock is taken and until after it is free, for a signal
// handler that forks: its child leaves that heap to the interrupted call. Two at a time at most, and only the pool is waited
// for while another is held.
class HelperGuard {
 public:
  explicit HelperGuard(ThreadHeap& h) : heap_(h) {
    note();
    h.lock.lock();
  }
  // Perhaps not held: somebody else holds the lock, or this thread helps two heaps already.
  struct Try {};
  HelperGuard(ThreadHeap& h, Try) : heap_(h) {
    if (t_state.helping[1] != 0) return;
    note();
    if (!h.lock.try_lock()) forget();
  }
  ~HelperGuard() {
    if (slot_ == nullptr) return;
    heap_.lock.unlock();
    forget();
  }
  HelperGuard(const HelperGuard&) = delete;
  HelperGuard& operator=(const HelperGuard&) = delete;
  explicit operator bool() const { return slot_ != nullptr; }

 private:
  void note() {
    slot_ = &t_state.helping[t_state.helping[0] == 0 ? 0 : 1];
    *slot_ = heap_.index;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  void forget() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    *slot_ = 0;
    slot_ = nullptr;
  }
  ThreadHeap& heap_;
  std::uint32_t* slot_ = nullptr;
};

// The first thread's heap lies in the library's own memory, as do its first bins: a start needs that much less of the OS.
// Zero bytes are a heap nobody has started, as in the array of the others.
[[gnu::visibility("hidden")]] extern char first_heap[sizeof(ThreadHeap)];

inline ThreadHeap& ProcessHeap::heap(std::uint32_t index) const {
  auto* const heaps = reinterpret_cast<ThreadHeap*>(heaps_.origin());
  return index == 1 ? *reinterpret_cast<ThreadHeap*>(first_heap) : heaps[index];
}

void free_run_object(void* p);  // of a run class, with or without a heap

inline ThreadHeap* current_heap() {
  Front* const f = t_state.front;
  return f == &kEmptyFront ? nullptr : reinterpret_cast<ThreadHeap*>(f);
}

// The calling thread's, made if need be; null: out of memory.
inline ThreadHeap* heap_of_thread() {
  ThreadHeap* const h = current_heap();
  return h != nullptr ? h : process.acquire();
}

}  // namespace bm::heap
