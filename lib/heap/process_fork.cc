// process_fork.cc: a fork's child makes its copy of the heap usable.  layer: heap
// There are no atfork handlers: whoever first comes to a slow path in the child does this, alone (os::ForkSentinel). Threads that are
// gone may have stopped anywhere, and so may this one, when a signal handler forked.
#include <utility>

#include "heap/background.h"
#include "heap/limit.h"
#include "heap/reclaim.h"
#include "heap/thread_heap_slow.h"

namespace bm::heap {

// The child of a fork has one thread. Locks are as they were in threads that are gone.
void ProcessHeap::after_fork() {
  if (sentinel_.claim() != os::ForkSentinel::Claim::kMine) return;
  // A signal handler may have interrupted list_remote(): what that is about to list must not be listed twice. The marks of
  // vanished threads then stay valid, and what those had not listed yet is heard when its heap is recounted.
  if (!t_state.noting) __atomic_store_n(&forks_, forks_ + 1, __ATOMIC_RELAXED);
  ThreadHeap* const own = current_heap();
  lock_.reset();
  slabs.reset_lock();
  slots.reset_lock();
  direct.reset_lock();
  handles.reset_lock();
  map.reset_lock();
  nodes.reset_lock();
  nodes.for_each_zone([](pages::Zone& z) {
    if (z.interrupted()) z.recover();
  });
  limit.after_fork();
  background.after_fork();
  shrinkers_after_fork();
  abandoned_ = 0;
  orphans_ = late_ = active_ = 0;
  if (own != nullptr) own_after_fork(*own);
  for (std::uint32_t& helping : t_state.helping) freeze_helped(std::exchange(helping, 0));
  // A thread that the child has started may be first to come here. The one that forked goes on with its heap; which one that
  // is, only that thread knows. The heaps of vanished threads are then only freed into, never adopted.
  const bool first_thread = own != nullptr || os::is_main_thread();
  compaction.after_fork(first_thread && !t_state.compacting);
  for (std::uint32_t i = 1; i <= heap_count_; ++i) {
    ThreadHeap& h = heap(i);
    if (&h == own || h.state.load() == HeapState::kFrozen) continue;
    h.late = false;
    if (i == pool_ || i == samples_)
      pool_after_fork(h);
    else if (!first_thread && h.in_use())
      keep_after_fork(h);
    else
      others_after_fork(h);
  }
  // Lists first become meaningful when every heap's state is known. An orphan's own slabs wait for its recount().
  for (std::uint32_t i = 1; i <= heap_count_; ++i) {
    ThreadHeap& h = heap(i);
    const HeapState s = h.state.load();
    if (s == HeapState::kActive || s == HeapState::kAbandoned) {
      h.drain_pending();
      if (s == HeapState::kAbandoned) h.drain_stocks();
    } else if (s == HeapState::kOrphan || s == HeapState::kFrozen || s == HeapState::kUnsettled) {
      h.forward_pending();
    }
  }
  sentinel_.settle();
}

// Locked by itself: inside its own slow path, a signal handler forked. The interrupted call may yet go on; leave it the
// heap. Locked by a helper: that is gone.
void ProcessHeap::own_after_fork(ThreadHeap& h) {
  const bool busy = h.lock.held();
  const bool frozen = busy && t_state.inside;
  if (frozen) {
    t_state.use(kEmptyFront);
    t_state.inside = false;
  } else if (busy || h.state.load() == HeapState::kUnsettled) {
    h.lock.reset();
    h.recount();
  }
  h.state.store(frozen ? HeapState::kFrozen : HeapState::kActive);
  h.owner = os::thread_id();
  if (!frozen) add_active(1);
}

// A heap that this thread was helping when its signal handler forked, or waited for: the interrupted call may yet go on
// with it, and nobody else ever does.
void ProcessHeap::freeze_helped(std::uint32_t index) {
  if (index == 0) return;
  heap(index).state.store(HeapState::kFrozen);
  heap(index).lock.reset();
  if (index == pool_) pool_ = 0;
  if (index == samples_) {
    samples_ = 0;
    observation.forget();
  }
}

// Perhaps the forking thread's heap: nobody else may touch it. What a helper that is gone left of it, its owner mends.
void ProcessHeap::keep_after_fork(ThreadHeap& h) {
  if (h.lock.held()) h.state.store(HeapState::kUnsettled);
  h.lock.reset();
  add_active(1);
}

void ProcessHeap::pool_after_fork(ThreadHeap& h) {
  if (!h.lock.held()) return;
  h.lock.reset();
  h.recount();
}

void ProcessHeap::others_after_fork(ThreadHeap& h) {
  if (h.state.load() == HeapState::kAbandoned && !h.lock.held()) {
    h.next_abandoned = abandoned_;
    abandoned_ = h.index;
    return;
  }
  h.lock.reset();
  h.state.store(HeapState::kOrphan);
  ++orphans_;
}

}  // namespace bm::heap
