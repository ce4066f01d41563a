// address_space.cc: see address_space.h.  layer: pages
#include "pages/address_space.h"

#include <algorithm>

namespace bm::pages {
namespace {

constexpr std::size_t kSmallestSection = 1;  // blocks
constexpr std::size_t kFirstCommit = 16;     // blocks
constexpr std::size_t kLargestCommit = 512;  // blocks: 1 GiB a step

constexpr std::size_t part(std::size_t bytes) { return align_up(bytes, MetaSpace::kStep); }

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

  // Groups grow down and entries up from where they meet, which is the middle of what one page table maps.
  const std::size_t group_bytes = part(groups_for(capacity_blocks_) * sizeof(BlockGroup));
  const std::size_t entry_bytes = part((capacity_blocks_ << kPageblockOrder) * sizeof(std::uint32_t));
  const std::size_t total = group_bytes + entry_bytes + part(extra_bytes) + kPageblockSize;
  auto* const metadata = static_cast<char*>(vm.reserve(total, kPageSize));
  if (metadata == nullptr) return false;
  const auto start = reinterpret_cast<std::uintptr_t>(metadata);
  const std::uintptr_t middle =
      align_down(start + group_bytes + kPageblockSize / 2, kPageblockSize) + kPageblockSize / 2;
  char* const meet = metadata + (middle - start);
  map.groups_.init(vm, meet, group_bytes);
  map.entries_.init(vm, meet, entry_bytes);
  extra = meet + entry_bytes;
  area.init(map.groups_);
  if (!add_section(kSmallestSection, section_wish_blocks_)) {
    vm.release(metadata, total);
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
  if (small != 0) vm_->advise_huge(base, small << kPageblockShift, false);  // also where THP is always on
  map_->section_count_.store(n + 1, std::memory_order_release);
  return true;
}

bool AddressSpace::ensure_metadata(std::size_t blocks) {
  const std::size_t pages = blocks << kPageblockOrder;
  if (map_->entries_.committed() == 0 && blocks <= kGroupBlocks) commit_heads();
  return map_->entries_.ensure_count(pages) && area_->ensure(blocks);
}

// The first group and the first entries lie side by side: one call for both. Refused: one at a time, then.
void AddressSpace::commit_heads() {
  const std::size_t groups = part(sizeof(BlockGroup));
  const std::size_t entries = part((std::size_t{kGroupBlocks} << kPageblockOrder) * sizeof(std::uint32_t));
  if (groups > map_->groups_.reserved() || entries > map_->entries_.reserved()) return;
  if (!vm_->commit(map_->groups_.origin() - groups, groups + entries)) return;
  map_->groups_.adopt(groups);
  map_->entries_.adopt(entries);
}

// Hugepages are wished for once per section, when it first commits beyond the part on small pages.
void AddressSpace::advise(Section& s, std::size_t committed) {
  const std::size_t small = s.first == BlockIndex{} ? small_page_blocks_ : 0;
  if (s.committed > small || committed <= small) return;
  vm_->advise_huge(reinterpret_cast<char*>(s.base) + (small << kPageblockShift), (s.blocks - small) << kPageblockShift,
                   true);
}

bool AddressSpace::commit(Section& s, std::size_t blocks) {
  if (blocks <= s.committed) return true;
  const std::size_t step = std::clamp<std::size_t>(s.committed / 2, kFirstCommit, kLargestCommit);
  char* at = reinterpret_cast<char*>(s.base) + (std::size_t{s.committed} << kPageblockShift);
  const std::size_t ahead = std::min<std::size_t>(std::max(blocks, s.committed + step), s.blocks);
  for (const std::size_t to : {ahead, blocks}) {
    if (!ensure_metadata(s.first.value + to)) continue;
    if (!vm_->commit(at, (to - s.committed) << kPageblockShift)) continue;
    advise(s, to);
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
