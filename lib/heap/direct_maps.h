// direct_maps.h: requests that page space cannot or should not serve: a mapping each.  layer: heap
// Thread-safe. A hash of records by address; looked up only for pointers that are in no section.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/config.h"
#include "os/lock.h"
#include "pages/budget.h"
#include "pages/meta_array.h"

namespace bm::heap {

class DirectMaps {
  struct Record {
    std::uintptr_t address;
    std::size_t bytes;
    std::uint32_t next;
  };

 public:
  static constexpr std::size_t bytes_for(std::size_t mappings) { return mappings * sizeof(Record); }
  void init(const os::Vm& vm, char* storage, std::size_t bytes);

  // Zeroed, at least `bytes`, aligned as asked (a power of two). Null: refused.
  void* alloc(std::size_t bytes, std::size_t alignment);
  // False: not the start of one of these mappings.
  bool free(void* p);
  // Usable bytes; 0: not the start of one.
  std::size_t size(const void* p);
  // Same mapping with at least `bytes`, moved if need be; null: refused, unchanged, or not one of ours.
  void* resize(void* p, std::size_t bytes);

  std::size_t count() const { return __atomic_load_n(&count_, __ATOMIC_RELAXED); }
  std::size_t total_bytes() const { return __atomic_load_n(&bytes_, __ATOMIC_RELAXED); }
  void reset_lock() { lock_.reset(); }

  pages::Budget* budget = nullptr;  // null: no limit can be set

 private:
  static constexpr std::size_t kBuckets = 256;
  bool charge(std::size_t bytes) const {
    return budget == nullptr || !budget->limited() || budget->charge(bytes >> kPageShift);
  }
  void discharge(std::size_t bytes) const {
    if (budget != nullptr && budget->limited()) budget->discharge(bytes >> kPageShift);
  }
  static std::size_t bucket(std::uintptr_t address);
  std::uint32_t* find(std::uintptr_t address);  // the link to the record; *link == 0: none
  std::uint32_t take_record();
  std::uint32_t insert(void* p, std::size_t bytes, std::uint32_t record);
  void erase(std::uint32_t* link);

  os::Lock lock_;
  const os::Vm* vm_ = nullptr;
  pages::MetaArray<Record> records_;
  std::uint32_t used_ = 0;
  std::uint32_t free_ = 0;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::uint32_t heads_[kBuckets] = {};
};

}  // namespace bm::heap
