// slab_table.cc: see slab_table.h.  layer: slab
#include "slab/slab_table.h"

#include <algorithm>
#include <atomic>

namespace bm::slab {

bool SlabTable::prepare(std::size_t slabs) {
  os::LockGuard hold(lock_);
  return slabs_.ensure_count(std::min(slabs + 1, slabs_.capacity()));
}

// A chain, or one that nobody has used since the start or the last purge; 0: out of memory.
std::uint32_t SlabTable::take_chain(std::uint32_t& count) {
  if (const std::uint32_t head = chains_; head != 0) {
    chains_ = slabs_[head].prev;
    count = slabs_[head].count_free();
    return head;
  }
  std::uint32_t i = find_unknown();
  if (i == 0) {
    i = used_ + 1;
    if (!slabs_.ensure_count(std::size_t{i} + 1)) return 0;
    slabs_[i].known = 1;
    __atomic_store_n(&used_, i, __ATOMIC_RELEASE);
  }
  slabs_[i].next = 0;
  count = 1;
  return i;
}

void SlabTable::put_chain(std::uint32_t head, std::uint32_t count) {
  Slab& s = slabs_[head];
  s.set_count_free(count);
  s.prev = chains_;  // link, then head
  chains_ = head;
}

std::uint32_t SlabTable::take(SlabStock& stock) {
  if (stock.head == 0) {
    std::uint32_t count = kChain;
    std::uint32_t head = stock.spare;
    if (head != 0) {
      stock.spare = 0;
    } else {
      os::LockGuard hold(lock_);
      head = take_chain(count);
      if (head == 0) return 0;
    }
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stock.count = count;
    stock.head = head;
  }
  const std::uint32_t i = stock.head;
  stock.head = slabs_[i].next;
  if (stock.count != 0) --stock.count;
  if (stock.head != 0) __builtin_prefetch(&slabs_[stock.head], 1);
  return i;
}

void SlabTable::give_back(SlabStock& stock, std::uint32_t index) {
  if (stock.count >= kChain) {
    const std::uint32_t full = stock.head;
    const std::uint32_t older = stock.spare;
    stock.head = 0;
    stock.count = 0;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    stock.spare = full;
    if (older != 0) {
      os::LockGuard hold(lock_);
      put_chain(older, kChain);
    }
  }
  slabs_[index].next = stock.head;  // link, then head
  std::atomic_signal_fence(std::memory_order_release);
  stock.head = index;
  ++stock.count;
}

void SlabTable::drain(SlabStock& stock) {
  const SlabStock all = stock;
  stock = {};
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (all.head == 0 && all.spare == 0) return;
  os::LockGuard hold(lock_);
  if (all.spare != 0) put_chain(all.spare, kChain);
  if (all.head != 0) put_chain(all.head, all.count);
}

// Each index is looked at once after a purge.
std::uint32_t SlabTable::find_unknown() {
  for (; unknown_ != 0 && first_unknown_ <= used_; ++first_unknown_) {
    Slab& s = slabs_[first_unknown_];
    if (s.known != 0) continue;
    s.known = 1;
    --unknown_;
    return first_unknown_;
  }
  unknown_ = 0;
  return 0;
}

bool SlabTable::unused(std::uint32_t first, std::uint32_t end) const {
  for (std::uint32_t i = first; i < end; ++i)
    if (slabs_[i].holder() != 0 || slabs_[i].queued.load() != 0) return false;
  return true;
}

// Those not in use; the lowest is taken first.
void SlabTable::list(std::uint32_t first, std::uint32_t end) {
  for (std::uint32_t i = end; i-- != first;) {
    Slab& s = slabs_[i];
    if (s.holder() != 0) continue;
    s.known = 1;
    const std::uint32_t head = chains_;
    const std::uint32_t length = head == 0 ? kChain : slabs_[head].count_free();
    const bool joins = length < kChain;
    s.next = joins ? head : 0;
    if (joins) chains_ = slabs_[head].prev;
    put_chain(i, joins ? length + 1 : 1);
  }
}

void SlabTable::purge_run(std::uint32_t first, std::uint32_t end) {
  const std::size_t start = first == 1 ? 0 : bytes_for(first);
  if (slabs_.purge(start, bytes_for(end) - start))
    unknown_ += end - first;
  else
    list(first, end);
}

// From the top down, so that the lowest end up at the head of the chains. Only pages all of whose descriptors have been used: what
// a signal handler takes meanwhile, in the child that it forks, is above.
void SlabTable::purge_unused() {
  os::LockGuard hold(lock_);
  const auto each = static_cast<std::uint32_t>(os::granule() / sizeof(Slab));
  chains_ = unknown_ = 0;
  first_unknown_ = 1;
  std::uint32_t start = (used_ + 1) / each * each;
  list(std::max(start, 1U), used_ + 1);
  std::uint32_t end = start;  // of the run that ends here: unused, its memory not gone back yet
  while (start > 1) {
    const std::uint32_t first = std::max(start - each, 1U);
    if (!unused(first, start)) {
      if (start != end) purge_run(start, end);
      list(first, start);
      end = first;
    }
    start = first;
  }
  if (start < end) purge_run(start, end);
}

}  // namespace bm::slab
