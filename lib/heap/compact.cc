// compact.cc: see compact.h.  layer: heap
#include "heap/compact.h"

#include <algorithm>
#include <cstring>

#include "heap/reclaim.h"
#include "heap/thread_heap_slow.h"

namespace bm::heap {
namespace {

using pages::Migratetype;

constexpr std::size_t kBlocksPerHold = 1024;  // that one hold of the zone's lock looks at, when it asks for hugepages
constexpr int kEvacuationPasses = 5;          // pins are short: a pinned block gets some chances
constexpr int kNapsForTurn = 50;              // of up to 20 ms each

// Calls f(zone, first, count) for the opened pageblocks of each section.
template <class F>
void for_each_opened(F f) {
  for (unsigned i = 0; i < process.map.section_count(); ++i) {
    const pages::Section& s = process.map.section(i);
    f(process.nodes.zone(s.zone), s.first, __atomic_load_n(&s.opened, __ATOMIC_ACQUIRE));
  }
}

}  // namespace

// Marked in the thread's state while it holds lock_, for a signal handler that forks: the child must know that the move goes
// on when the handler returns. The mark is there whenever the lock is.
class Compaction::Turn {
 public:
  explicit Turn(os::Lock& lock) : lock_(lock) {
    if (t_state.compacting) return;  // a signal handler's child inside the interrupted call
    mark(true);
    held_ = lock.try_lock();
    if (!held_) mark(false);
  }
  ~Turn() {
    if (!held_) return;
    lock_.unlock();
    mark(false);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  explicit operator bool() const { return held_; }

 private:
  static void mark(bool compacting) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    t_state.compacting = compacting;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  os::Lock& lock_;
  bool held_ = false;
};

void Compaction::init(const os::Vm& vm, char* storage, std::size_t pageblocks) {
  const std::size_t movable_bytes = align_up(pageblocks * sizeof(std::uint16_t), pages::MetaSpace::kStep);
  movable_.init(vm, storage, movable_bytes);
  ranked_.init(vm, storage + movable_bytes, pageblocks * sizeof(Candidate));
}

// Copies the block at `source` to where find_target(pages, run) says. kYes: `pages` is its length. In every other case it is
// where it was, as far as this thread is concerned.
template <class FindTarget>
Compaction::Moved Compaction::move(Pfn source, std::size_t& pages, FindTarget find_target) {
  const std::uint32_t index = process.map.slab_index(source);
  HandleTable::Word claimed;
  move_.index.store(index, std::memory_order_release);
  if (const auto claim = process.handles.claim(index, source, claimed); claim != HandleTable::Claim::kYes) {
    move_.index.store(0, std::memory_order_release);
    return claim == HandleTable::Claim::kPinned ? Moved::kPinned : Moved::kNotThere;
  }
  pages = process.handles.pages_of(index);
  pages::Run target;
  if (!find_target(pages, target)) {
    process.handles.publish(index, claimed, source);
    move_.index.store(0, std::memory_order_release);
    return Moved::kNoRoom;
  }
  move_.source = source;
  move_.target = target.first;
  move_.pages.store(pages, std::memory_order_release);
  std::memcpy(process.map.address(target.first), process.map.address(source), pages << kPageShift);
  process.map.set_slab_index(target.first, index);
  process.map.set_entry(target.first, pages::kMovableRun);
  const bool published = process.handles.publish(index, claimed, target.first);
  const Pfn left = published ? source : target.first;
  process.map.set_entry(left, 0);
  // Noted no longer, then freed: a fork's child may lose the run, it never frees what others have been given since.
  move_.pages.store(0, std::memory_order_release);
  move_.index.store(0, std::memory_order_release);
  process.nodes.zone_of(left).free(left, pages);
  return published ? Moved::kYes : Moved::kForked;
}

// Moves the movable blocks of a pageblock that nothing lands in, until one does not move.
template <class FindTarget>
Compaction::Moved Compaction::drain(BlockIndex b, const pages::BlockView& view, FindTarget find_target) {
  for (std::size_t at = 0; at < kPagesPerBlock;) {
    const Pfn page = first_pfn(b) + at;
    std::size_t pages = 1;
    if (!view.free.any(at, 1) && process.map.entry(page) == pages::kMovableRun) {
      const Moved moved = move(page, pages, find_target);
      if (moved != Moved::kYes && moved != Moved::kNotThere) return moved;
    }
    at += pages;
  }
  return Moved::kYes;
}

// False: no memory for the counters.
bool Compaction::count_movable() {
  bool ok = true;
  for_each_opened([&](pages::Zone&, BlockIndex first, std::uint32_t count) {
    if (!ok || !(ok = movable_.ensure_count(first.value + std::size_t{count}))) return;
    std::fill_n(&movable_[first.value], count, std::uint16_t{0});
  });
  if (!ok) return false;
  const std::size_t blocks = movable_.committed() / sizeof(std::uint16_t);
  for (std::uint32_t i = 1; i < process.handles.limit(); ++i) {
    const HandleTable::Word w = process.handles.word(i);
    const std::size_t pages = process.handles.pages_of(i);
    if (w.state() != HandleTable::State::kLive || w.pins() != 0 || pages > kPagesPerBlock) continue;
    if (w.page().block().value >= blocks) continue;  // opened meanwhile
    std::uint16_t& n = movable_[w.page().block().value];
    n = static_cast<std::uint16_t>(n + pages);
  }
  return true;
}

// Fills ranked_ with all of the zone that could be emptied or could take something; returns how many.
std::size_t Compaction::rank(pages::Zone& zone) {
  std::size_t n = 0;
  for_each_opened([&](pages::Zone& z, BlockIndex first, std::uint32_t count) {
    if (&z != &zone) return;
    for (std::uint32_t k = 0; k < count; ++k) {
      const BlockIndex b = first + k;
      pages::BlockView v;
      if (!zone.look(b, v) || v.free_pages == 0 || v.free_pages == kPagesPerBlock) continue;
      const bool can_take = v.type == Migratetype::kMovable;
      const auto used = static_cast<std::uint16_t>(kPagesPerBlock - v.free_pages);
      const bool can_empty = (can_take || v.type == Migratetype::kCma) && movable_[b.value] == used;
      if ((!can_take && !can_empty) || !ranked_.ensure_count(n + 1)) continue;
      ranked_[n++] = {b, used, can_empty, can_take};
    }
  });
  std::sort(ranked_.data(), ranked_.data() + n, [](const Candidate& a, const Candidate& b) {
    if (a.can_empty != b.can_empty) return a.can_empty;
    return a.used != b.used ? a.used < b.used : b.block < a.block;
  });
  return n;
}

// In the last-ranked pageblock that has room, behind the source's place.
bool Compaction::find_room(pages::Zone& zone, Room& room, std::size_t source_place, std::size_t pages,
                           pages::Run& out) const {
  if (pages > kPagesPerBlock) return false;
  for (std::size_t& next = room.next[ceil_order(pages)]; next > source_place + 1; --next) {
    const Candidate& c = ranked_[next - 1];
    if (!c.can_take || !zone.alloc_in(c.block, pages, out)) continue;
    room.pages -= std::min(room.pages, pages);
    return true;
  }
  return false;
}

// Blocks move inside their zone. Returns how many pageblocks it emptied.
std::size_t Compaction::make_whole(pages::Zone& zone) {
  const std::size_t candidates = rank(zone);
  Room room{};
  std::fill(std::begin(room.next), std::end(room.next), candidates);
  for (std::size_t i = 0; i < candidates; ++i)
    if (ranked_[i].can_take) room.pages += kPagesPerBlock - ranked_[i].used;
  std::size_t emptied = 0;
  for (std::size_t place = 0; place < candidates && ranked_[place].can_empty; ++place) {
    const Candidate& c = ranked_[place];
    if (c.can_take) room.pages -= std::min<std::size_t>(room.pages, kPagesPerBlock - c.used);
    if (c.used > room.pages) break;
    if (!zone.set_aside(c.block)) continue;
    pages::BlockView view;
    Moved end = Moved::kNotThere;
    // What has got more since it was ranked is not worth the trouble any more.
    if (zone.look(c.block, view) && kPagesPerBlock - view.free_pages <= c.used)
      end = drain(c.block, view,
                  [&](std::size_t pages, pages::Run& out) { return find_room(zone, room, place, pages, out); });
    if (zone.put_back(c.block)) ++emptied;
    if (end == Moved::kNoRoom || end == Moved::kForked) break;
  }
  return emptied;
}

std::size_t Compaction::run() {
  if (!process.ready()) return 0;
  process.settle_fork();
  drain_heaps();  // cached pages would keep their pageblocks
  const Turn turn(lock_);
  if (!turn) return 0;
  std::size_t emptied = 0;
  if (count_movable()) process.nodes.for_each_zone([&](pages::Zone& zone) { emptied += make_whole(zone); });
  for_each_opened([](pages::Zone& zone, BlockIndex first, std::uint32_t count) {
    for (std::size_t k = 0; k < count; k += kBlocksPerHold)
      zone.collapse(first + k, std::min<std::size_t>(kBlocksPerHold, count - k), process.generation());
  });
  return emptied << kPageblockShift;
}

bool Compaction::empty_isolated(pages::Zone& zone, BlockIndex first, std::size_t count) {
  bool empty = true;
  for (std::size_t k = 0; k < count; ++k) {
    const BlockIndex b = first + k;
    pages::BlockView view;
    if (!zone.look(b, view)) return false;
    if (view.free_pages == kPagesPerBlock) continue;
    const Moved end = drain(b, view, [&](std::size_t pages, pages::Run& out) {
      return zone.alloc(pages, Migratetype::kMovable, out);  // in no contiguous range
    });
    if (end == Moved::kNoRoom || end == Moved::kForked) return false;
    empty &= zone.look(b, view) && view.free_pages == kPagesPerBlock;
  }
  return empty;
}

bool Compaction::evacuate(BlockIndex first, std::size_t count) {
  process.settle_fork();
  const pages::Section* const section = process.ready() ? process.map.section_of(first) : nullptr;
  if (section == nullptr) return false;
  pages::Zone& zone = process.nodes.zone(section->zone);
  if (!zone.isolate(first, count)) return false;
  for (int nap = 0; nap < kNapsForTurn; ++nap) {
    if (const Turn turn(lock_); turn) {
      for (int pass = 0; pass < kEvacuationPasses; ++pass) {
        if (empty_isolated(zone, first, count)) return true;
        os::yield();
      }
      break;
    }
    os::nap();
  }
  zone.unisolate(first, count);
  return false;
}

void Compaction::after_fork(bool mover_is_gone) {
  const std::uint32_t index = move_.index.load();
  if (index != 0) {
    const bool published = !process.handles.word(index).moving();
    process.handles.release_claim(index);
    const std::size_t pages = move_.pages.load();
    if (mover_is_gone && pages != 0) {
      const Pfn left = published ? move_.source : move_.target;
      process.map.set_entry(left, 0);
      process.nodes.zone_of(left).free(left, pages);
    }
  }
  if (!mover_is_gone) return;
  move_.pages.store(0);
  move_.index.store(0);
  lock_.reset();
}

}  // namespace bm::heap
