// address_space.cc: see address_space.h.  layer: pages
#include "pages/address_space.h"

#include <algorithm>

namespace bm::pages {
namespace {

constexpr std::size_t kSmallestSection = 1;  // blocks
constexpr std::size_t kFirstCommit = 16;     // blocks
constexpr std::size_t kLargestCommit = 512;  // blocks: 1 GiB a step

std::size_t metadata_bytes(std::size_t blocks) {
  const auto part = [](std::size_t n) { return align_up(n, MetaSpace::kStep); };
  const std::size_t pages = blocks << kPageblockOrder;
  return part(pages * sizeof(std::uint32_t)) + part(blocks * sizeof(Pageblock)) + FreeArea::bytes_for(blocks);
}

}  // namespace

std::size_t AddressSpace::capacity_blocks(const AddressSpaceConfig& config) {
  return (std::min(config.capacity_bytes, config.space_left) >> kPageblockShift) + MemMap::kMaxSections;
}

bool AddressSpace::init(const os::Vm& vm, const AddressSpaceConfig& config, MemMap& map, FreeArea& area,
                        std::size_t extra_bytes, char*& extra) {
  vm_ = &vm;
  map_ = &map;
  area_ = &area;
  // At most a quarter of what limits leave for a section; descriptors for all of it.
  const std::size_t left = config.space_left;
  const std::size_t first = std::min(config.first_section_bytes, left / 4);
  capacity_blocks_ = capacity_blocks(config);
  section_wish_blocks_ = std::max<std::size_t>(first >> kPageblockShift, kSmallestSection);
  small_page_blocks_ = config.small_page_bytes >> kPageblockShift;

  const std::size_t own = metadata_bytes(capacity_blocks_);
  auto* metadata = static_cast<char*>(vm.reserve(own + align_up(extra_bytes, MetaSpace::kStep), kPageSize));
  if (metadata == nullptr) return false;
  extra = metadata + own;
  const auto take = [&metadata](std::size_t n) {
    char* p = metadata;
    metadata += align_up(n, MetaSpace::kStep);
    return p;
  };
  const std::size_t pages = capacity_blocks_ << kPageblockOrder;
  const std::size_t entry_bytes = pages * sizeof(std::uint32_t);
  map.entries_.init(vm, take(entry_bytes), entry_bytes);
  map.blocks_.init(vm, take(capacity_blocks_ * sizeof(Pageblock)), capacity_blocks_ * sizeof(Pageblock));
  area.init(vm, metadata, capacity_blocks_);
  if (!add_section(kSmallestSection, section_wish_blocks_)) {
    vm.release(extra - own, own + align_up(extra_bytes, MetaSpace::kStep));
    return false;
  }
  map.fast_base_ = map.section(0).base;
  small_page_blocks_ = std::min<std::size_t>(small_page_blocks_, map.section(0).blocks);
  return true;
}

bool AddressSpace::add_section(std::size_t min_blocks, std::size_t wished_blocks) {
  const unsigned n = map_->section_count();
  if (n == MemMap::kMaxSections) return false;
  std::size_t start = 0;
  if (n != 0) {
    const Section& last = map_->section(n - 1);
    start = last.first.value + last.blocks + 1;  // a gap that no run crosses
  }
  if (start + min_blocks > capacity_blocks_) return false;
  std::size_t blocks = std::max(std::min(wished_blocks, capacity_blocks_ - start), min_blocks);
  void* base = nullptr;
  while ((base = vm_->reserve(blocks << kPageblockShift, kPageblockSize)) == nullptr) {
    if (blocks == min_blocks) return false;
    blocks = std::max(blocks / 2, min_blocks);
  }
  Section& s = map_->section(n);
  s.base = reinterpret_cast<std::uintptr_t>(base);
  s.first = {static_cast<std::uint32_t>(start)};
  s.blocks = static_cast<std::uint32_t>(blocks);
  const std::size_t small = n == 0 ? std::min(small_page_blocks_, blocks) : 0;
  char* at = static_cast<char*>(base);
  if (small != 0) vm_->advise_huge(at, small << kPageblockShift, false);  // also where THP is always on
  if (blocks > small) vm_->advise_huge(at + (small << kPageblockShift), (blocks - small) << kPageblockShift, true);
  map_->section_count_.store(n + 1, std::memory_order_release);
  return true;
}

bool AddressSpace::ensure_metadata(std::size_t blocks) {
  const std::size_t pages = blocks << kPageblockOrder;
  return map_->entries_.ensure_count(pages) && map_->blocks_.ensure_count(blocks) && area_->ensure(blocks);
}

bool AddressSpace::commit(Section& s, std::size_t blocks) {
  if (blocks <= s.committed) return true;
  const std::size_t step = std::clamp<std::size_t>(s.committed / 2, kFirstCommit, kLargestCommit);
  char* at = reinterpret_cast<char*>(s.base) + (std::size_t{s.committed} << kPageblockShift);
  const std::size_t ahead = std::min<std::size_t>(std::max(blocks, s.committed + step), s.blocks);
  for (const std::size_t to : {ahead, blocks}) {
    if (!ensure_metadata(s.first.value + to)) continue;
    if (!vm_->commit(at, (to - s.committed) << kPageblockShift)) continue;
    s.committed = static_cast<std::uint32_t>(to);
    if (s.first == BlockIndex{}) map_->set_fast_pages(to << kPageblockOrder);
    return true;
  }
  return false;
}

bool AddressSpace::open_in(Section& s, std::size_t count) {
  if (s.blocks - s.opened < count || !commit(s, s.opened + count)) return false;
  for (std::size_t i = 0; i < count; ++i) {
    Pageblock& b = map_->block(s.first + s.opened + i);
    b.free.set(0, kPagesPerBlock);
    b.free_pages = kPagesPerBlock;
    b.largest_order = kPageblockOrder;
    b.migratetype = Migratetype::kMovable;
    b.opened = true;
  }
  __atomic_store_n(&s.opened, static_cast<std::uint32_t>(s.opened + count), __ATOMIC_RELEASE);
  return true;
}

bool AddressSpace::open(std::size_t count, BlockIndex& first) {
  const unsigned n = map_->section_count();
  for (unsigned i = 0; i < n; ++i) {
    Section& s = map_->section(i);
    const BlockIndex at = s.first + s.opened;
    if (open_in(s, count)) {
      first = at;
      return true;
    }
    if (i + 1 == n && s.blocks - s.opened >= count) return false;  // refused memory, not short of addresses
  }
  if (!add_section(count, std::max(section_wish_blocks_, count))) return false;
  Section& s = map_->section(n);
  first = s.first;
  return open_in(s, count);
}

bool AddressSpace::open_at(BlockIndex at, std::size_t count) {
  const unsigned n = map_->section_count();
  for (unsigned i = 0; i < n; ++i) {
    Section& s = map_->section(i);
    if (s.first + s.opened == at && s.opened != 0) return open_in(s, count);
  }
  return false;
}

std::size_t AddressSpace::reserved_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i) sum += map_->section(i).blocks;
  return sum;
}

std::size_t AddressSpace::committed_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i) sum += map_->section(i).committed;
  return sum;
}

std::size_t AddressSpace::opened_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i) sum += map_->section(i).opened;
  return sum;
}

}  // namespace bm::pages
