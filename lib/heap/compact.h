// compact.h: makes whole pageblocks by moving movable blocks together.  layer: heap
// One compaction at a time. Rules:
// * Pageblocks that hold nothing but unpinned movable blocks are emptied, those with the least in use first (the migrate
//   scanner). All others of type Movable that are partly used are never emptied: what else is in them would stay.
// * Blocks go into partly used pageblocks of type Movable only: first those that cannot be emptied, then the fullest (the
//   free scanner). When the scanners meet, or there is no more room, compaction ends; no pageblock is opened for it.
// * Blocks stay in their zone.
// * The pageblock that is being emptied is out of all free sets meanwhile; no lock but lock_ is held while bytes are copied.
// * A block is claimed (its users wait), copied, published with one store, and its old pages freed.
//
// [CM-1] move_ names the one block that may be claimed, and its second run of pages while it has one: a fork's child learns
//        from the handle's word which of the two runs is the block
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heap/handle_table.h"
#include "pages/zone.h"

namespace bm::heap {

class Compaction {
  struct Candidate {
    BlockIndex block;
    std::uint16_t used;  // pages
    bool can_empty;      // all of them are in unpinned movable blocks
    bool can_take;       // of type Movable: not a lent contiguous range
  };

 public:
  static constexpr std::size_t bytes_for(std::size_t pageblocks) {
    return pageblocks * sizeof(Candidate) + align_up(pageblocks * sizeof(std::uint16_t), pages::MetaSpace::kStep);
  }
  void init(const os::Vm& vm, char* storage, std::size_t pageblocks);

  // Bytes of the pageblocks that it emptied; 0 also when another thread is at it. Also asks the OS for a hugepage behind
  // dense pageblocks (Zone::collapse).
  std::size_t run();

  // Empties pageblocks of a contiguous range, or any others, for whoever wants just these. True: nothing is in use there,
  // and they stay isolated (Zone::take hands them out, Zone::unisolate ends it). False: nothing is isolated; something cannot
  // be moved, is pinned, or there is no memory to move it to.
  bool evacuate(BlockIndex first, std::size_t count);

  // In a fork's child. mover_is_gone: nobody will go on with the move that was under way.
  void after_fork(bool mover_is_gone);

 private:
  enum class Moved : unsigned char { kYes, kNotThere, kPinned, kNoRoom, kForked };
  struct Move {
    std::atomic<std::uint32_t> index;  // of the handle; 0: none
    Pfn source;
    Pfn target;
    std::atomic<std::size_t> pages;  // of each run; 0: no target yet
  };
  // For the free scanner: where to look next for room of each order.
  struct Room {
    std::size_t next[kPageblockOrder + 1];  // place in ranked_, counted from 1; all from it on have no room
    std::size_t pages;                      // free in all of them
  };

  class Turn;  // the calling thread's, to compact
  template <class FindTarget>
  Moved move(Pfn source, std::size_t& pages, FindTarget find_target);
  template <class FindTarget>
  Moved drain(BlockIndex b, const pages::BlockView& view, FindTarget find_target);
  bool count_movable();
  std::size_t rank(pages::Zone& zone);
  std::size_t make_whole(pages::Zone& zone);
  bool find_room(pages::Zone& zone, Room& room, std::size_t source_place, std::size_t pages, pages::Run& out) const;
  bool empty_isolated(pages::Zone& zone, BlockIndex first, std::size_t count);

  os::Lock lock_;
  Move move_;
  pages::MetaArray<Candidate> ranked_;       // by what emptying costs, those that cannot be emptied last
  pages::MetaArray<std::uint16_t> movable_;  // pages in unpinned movable blocks, by pageblock
};

}  // namespace bm::heap
