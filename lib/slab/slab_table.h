// slab_table.h: the dense array of slab descriptors.  layer: slab
// Thread-safe, except purge_unused(). Indices are 32-bit, 0 means none. Descriptors are reused; those that nobody uses are in
// chains through themselves, or, once their memory has gone back, found by looking. A heap has a stock of two chains of its own,
// so that the lock, and what another CPU has written, is met once per chain and not once per slab.
// [ST-1] Slab::known of an index up to used_: it is in use, or in one chain of the table or of a stock. A fork's child may have
//        lost some, until purge_unused()
#pragma once

#include <cstdint>

#include "os/lock.h"
#include "pages/meta_array.h"
#include "slab/slab.h"

namespace bm::slab {

// Serialised by its owner; zero bytes are an empty one. Whoever stops between two stores leaves no descriptor in two chains.
struct SlabStock {
  std::uint32_t head;   // a chain through Slab::next
  std::uint32_t count;  // of it, about
  std::uint32_t spare;  // a whole chain, or 0
};

class SlabTable {
 public:
  static constexpr std::uint32_t kChain = 64;  // descriptors: 8 KiB
  static constexpr std::size_t bytes_for(std::size_t slabs) { return slabs * sizeof(Slab); }
  void init(const os::Vm& vm, char* storage, std::size_t bytes) { slabs_.init(vm, storage, bytes); }
  // Storage that is committed; adopt(): so much of it the caller has committed itself.
  std::size_t committed() const { return slabs_.committed(); }
  std::size_t reserved() const { return slabs_.reserved(); }
  void adopt(std::size_t bytes) { slabs_.adopt(bytes); }

  // So many can then be in use at a time, as far as there is address space for them. False: out of memory.
  bool prepare(std::size_t slabs);
  // A descriptor with an empty remote map, not in use by any heap; 0: out of memory. `queued` and pending_next are left
  // as they are: a late remote freer of its previous life may be about to queue it.
  std::uint32_t take(SlabStock& stock);
  void give_back(SlabStock& stock, std::uint32_t index);
  void drain(SlabStock& stock);  // all it has is for everybody
  // Gives whole pages of unused descriptors back to the OS. A late remote freer would lose what it writes there: no other thread
  // may be in the allocator, nor the caller's own in a call that a signal interrupted, and nothing pending. All stocks are empty,
  // or forgotten: what nobody uses is put in chains anew.
  void purge_unused();

  Slab& operator[](std::uint32_t index) const { return slabs_[index]; }
  // All indices ever in use are below.
  std::uint32_t limit() const { return __atomic_load_n(&used_, __ATOMIC_ACQUIRE) + 1; }
  void reset_lock() { lock_.reset(); }  // in a fork's child: the chains are whole after every store

 private:
  bool unused(std::uint32_t first, std::uint32_t end) const;
  // The lock held:
  std::uint32_t take_chain(std::uint32_t& count);
  void put_chain(std::uint32_t head, std::uint32_t count);
  void list(std::uint32_t first, std::uint32_t end);
  void purge_run(std::uint32_t first, std::uint32_t end);
  std::uint32_t find_unknown();

  os::Lock lock_;
  pages::MetaArray<Slab> slabs_;
  std::uint32_t used_ = 0;
  std::uint32_t chains_ = 0;         // the heads' Slab::prev leads on, free_count is a chain's length
  std::uint32_t unknown_ = 0;        // indices up to used_ that are not known
  std::uint32_t first_unknown_ = 0;  // none is below
};

}  // namespace bm::slab
