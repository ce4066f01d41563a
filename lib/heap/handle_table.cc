// handle_table.cc: see handle_table.h.  layer: heap
#include "heap/handle_table.h"

#include "os/fatal.h"

namespace bm::heap {
namespace {

constexpr int kSpins = 200;
constexpr std::uint32_t kLastGeneration = 0xFFFF;

const void* as_address(std::uint64_t handle) { return reinterpret_cast<const void*>(handle); }

[[noreturn]] void stale(std::uint64_t handle) {
  os::fatal("stale or invalid handle of a movable block", as_address(handle));
}

// What waiters sleep on: state and generation; the page number changes only together with the state.
const std::atomic<std::uint32_t>& low_half(const std::atomic<std::uint64_t>& word) {
  static_assert(std::endian::native == std::endian::little);
  return reinterpret_cast<const std::atomic<std::uint32_t>&>(word);
}

}  // namespace

std::uint32_t HandleTable::take() {
  os::LockGuard hold(lock_);
  if (free_ != 0) {
    const std::uint32_t i = free_;
    free_ = records_[i].next;
    return i;
  }
  const std::uint32_t i = used_ + 1;
  if (!records_.ensure_count(std::size_t{i} + 1)) return 0;
  records_[i].word.store(make({}, 1, State::kFree).bits, std::memory_order_relaxed);
  __atomic_store_n(&used_, i, __ATOMIC_RELEASE);
  return i;
}

void HandleTable::give_back(std::uint32_t index) {
  if (word(index).generation() == 0) return;  // [HT-3]
  os::LockGuard hold(lock_);
  records_[index].next = free_;  // link, then head
  free_ = index;
}

std::uint64_t HandleTable::open(std::uint32_t index, Pfn first, std::size_t pages) {
  Record& r = records_[index];
  const std::uint32_t generation = word(index).generation();
  r.pages.store(static_cast<std::uint32_t>(pages), std::memory_order_relaxed);
  r.word.store(make(first, generation, State::kLive).bits, std::memory_order_release);
  return std::uint64_t{generation} << 32 | index;
}

HandleTable::Record& HandleTable::record(std::uint64_t handle) const {
  const auto index = static_cast<std::uint32_t>(handle);
  if (index == 0 || index >= limit() || handle >> 32 > kLastGeneration) stale(handle);
  return records_[index];
}

// One compare-and-swap. False: `seen` is what the word is now.
bool HandleTable::move_on(Record& r, Word& seen, Word wanted) {
  return r.word.compare_exchange_weak(seen.bits, wanted.bits, std::memory_order_acq_rel, std::memory_order_acquire);
}

// A copy takes microseconds. The waiter leaves a mark, so that the mover wakes it; it looks again in any case, as a mover
// that vanished in a fork wakes nobody.
HandleTable::Word HandleTable::wait_for_mover(Record& r, Word seen) {
  for (int i = 0; i < kSpins; ++i) {
    seen = {r.word.load(std::memory_order_acquire)};
    if (!seen.moving()) return seen;
  }
  if (seen.state() == State::kMovingAwaited ||
      move_on(r, seen, make(seen.page(), seen.generation(), State::kMovingAwaited)))
    os::wait_while(low_half(r.word),
                   static_cast<std::uint32_t>(make({}, seen.generation(), State::kMovingAwaited).bits));
  return {r.word.load(std::memory_order_acquire)};
}

// Replaces the word of a live block by wanted(word); returns what it was.
template <class F>
HandleTable::Word HandleTable::change(Record& r, std::uint64_t handle, F wanted) {
  Word seen{r.word.load(std::memory_order_acquire)};
  for (;;) {
    if (seen.generation() != handle >> 32 || seen.state() == State::kFree) stale(handle);
    if (seen.moving())
      seen = wait_for_mover(r, seen);
    else if (move_on(r, seen, wanted(seen)))
      return seen;
  }
}

Pfn HandleTable::pin(std::uint64_t handle) {
  return change(record(handle), handle,
                [&](Word w) {
                  if (w.pins() == kMaxPins) os::fatal("movable block pinned too often", as_address(handle));
                  return Word{w.bits + 1};
                })
      .page();
}

void HandleTable::unpin(std::uint64_t handle) {
  change(record(handle), handle, [&](Word w) {
    if (w.pins() == 0) os::fatal("unpin of a movable block that is not pinned", as_address(handle));
    return Word{w.bits - 1};
  });
}

Pfn HandleTable::close(std::uint64_t handle) {
  return change(record(handle), handle,
                [&](Word w) {
                  if (w.pins() != 0) os::fatal("free of a movable block that is pinned", as_address(handle));
                  return make({}, (w.generation() + 1) & kLastGeneration, State::kFree);
                })
      .page();
}

std::size_t HandleTable::pages(std::uint64_t handle) const {
  const Record& r = record(handle);
  const std::size_t pages = r.pages.load(std::memory_order_relaxed);
  const Word w{r.word.load(std::memory_order_acquire)};
  if (w.generation() != handle >> 32 || w.state() == State::kFree) stale(handle);
  return pages;
}

HandleTable::Claim HandleTable::claim(std::uint32_t index, Pfn first, Word& claimed) {
  if (index == 0 || index >= limit()) return Claim::kGone;
  Record& r = records_[index];
  Word seen{r.word.load(std::memory_order_acquire)};
  for (;;) {
    if (seen.state() != State::kLive || seen.page() != first) return Claim::kGone;
    if (seen.pins() != 0) return Claim::kPinned;
    claimed = make(first, seen.generation(), State::kMoving);
    if (move_on(r, seen, claimed)) return Claim::kYes;
  }
}

bool HandleTable::publish(std::uint32_t index, Word claimed, Pfn first) {
  Record& r = records_[index];
  const Word live = make(first, claimed.generation(), State::kLive);
  Word seen = claimed;
  for (;;) {
    if (move_on(r, seen, live)) break;
    if (!seen.moving() || seen.generation() != claimed.generation()) return false;
  }
  if (seen.state() == State::kMovingAwaited) os::wake_all(low_half(r.word));
  return true;
}

void HandleTable::release_claim(std::uint32_t index) {
  const Word w = word(index);
  if (w.moving()) publish(index, w, w.page());
}

}  // namespace bm::heap
