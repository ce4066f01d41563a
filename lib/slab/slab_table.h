// slab_table.h: the dense array of slab descriptors.  layer: slab
// Thread-safe. Indices are 32-bit, 0 means none. Descriptors are reused, their array never shrinks.
#pragma once

#include <cstdint>

#include "os/lock.h"
#include "pages/meta_array.h"
#include "slab/slab.h"

namespace bm::slab {

class SlabTable {
 public:
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
  std::uint32_t take();
  void give_back(std::uint32_t index);

  Slab& operator[](std::uint32_t index) const { return slabs_[index]; }
  // All indices ever in use are below.
  std::uint32_t limit() const { return __atomic_load_n(&used_, __ATOMIC_ACQUIRE) + 1; }
  void reset_lock() { lock_.reset(); }  // in a fork's child: the free list is whole after every store

 private:
  os::Lock lock_;
  pages::MetaArray<Slab> slabs_;
  std::uint32_t used_ = 0;
  std::uint32_t free_head_ = 0;
};

}  // namespace bm::slab
