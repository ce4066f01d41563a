// slab_table.cc: see slab_table.h.  layer: slab
#include "slab/slab_table.h"

#include <algorithm>

namespace bm::slab {

bool SlabTable::prepare(std::size_t slabs) {
  os::LockGuard hold(lock_);
  return slabs_.ensure_count(std::min(slabs + 1, slabs_.capacity()));
}

std::uint32_t SlabTable::take() {
  os::LockGuard hold(lock_);
  if (free_head_ != 0) {
    const std::uint32_t i = free_head_;
    free_head_ = slabs_[i].next;
    return i;
  }
  if (const std::uint32_t i = find_unknown(); i != 0) return i;
  const std::uint32_t i = used_ + 1;
  if (!slabs_.ensure_count(std::size_t{i} + 1)) return 0;
  slabs_[i].known = 1;
  __atomic_store_n(&used_, i, __ATOMIC_RELEASE);
  return i;
}

void SlabTable::give_back(std::uint32_t index) {
  os::LockGuard hold(lock_);
  slabs_[index].next = free_head_;  // link, then head
  free_head_ = index;
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
    s.next = free_head_;
    free_head_ = i;
  }
}

void SlabTable::purge_run(std::uint32_t first, std::uint32_t end) {
  const std::size_t start = first == 1 ? 0 : bytes_for(first);
  if (slabs_.purge(start, bytes_for(end) - start))
    unknown_ += end - first;
  else
    list(first, end);
}

// From the top down, so that the lowest end up at the head of the list. Only pages all of whose descriptors have been used: what
// a signal handler takes meanwhile, in the child that it forks, is above.
void SlabTable::purge_unused() {
  os::LockGuard hold(lock_);
  const auto each = static_cast<std::uint32_t>(os::granule() / sizeof(Slab));
  free_head_ = unknown_ = 0;
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
