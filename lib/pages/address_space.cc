// address_space.cc: see address_space.h.  layer: pages
#include "pages/address_space.h"

#include <algorithm>

namespace bm::pages {
namespace {

constexpr std::size_t kSmallestSection = 1;  // blocks
constexpr std::size_t kLargestCommit = 512;  // blocks: 1 GiB a step

constexpr std::size_t kLowSection = 128;     // blocks: 256 MiB of addresses below 4 GiB at a time
constexpr std::size_t kHugeSection = 32768;  // blocks: 64 GiB of addresses for explicit hugepages
constexpr std::size_t kGiantPage = std::size_t{1} << 30;

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
  map.prepare_pages_ = config.prepare_pages;
  area.init(map.groups_);
  if (!add_section(kSmallestSection, section_wish_blocks_)) {
    vm.release(metadata, total);
    return false;
  }
  map.fast_base_ = map.section(0).base;
  cut_slices(config.slices);
  Section& s = map.section(0);
  s.small = static_cast<std::uint32_t>(std::min<std::size_t>(config.small_page_bytes >> kPageblockShift, s.blocks));
  // Also where transparent hugepages are always on.
  if (s.small != 0) vm.advise_huge(reinterpret_cast<void*>(s.base), std::size_t{s.small} << kPageblockShift, false);
  return true;
}

// The first section becomes that of the first node; the others get as much each. The metadata of all is made usable at once:
// the look-up reads entries of any of them.
void AddressSpace::cut_slices(unsigned wished) {
  Section& s = map_->section(0);
  const std::size_t each = align_down(s.blocks / wished, kGroupBlocks);
  if (wished < 2 || each < kGroupBlocks || !ensure_metadata(each * wished)) return;
  slices_ = wished;
  slice_blocks_ = each;
  s.blocks = static_cast<std::uint32_t>(each - 1);  // a gap that no run crosses
}

bool AddressSpace::init_slice(const AddressSpace& first, unsigned slice, unsigned zone, FreeArea& area) {
  init_beside(first, Backing::kNormal, zone, area);
  if (slice >= first.slices()) return false;
  section_wish_blocks_ = first.slice_blocks_;
  os::LockGuard hold(map_->lock_);
  const std::size_t start = slice * first.slice_blocks_;
  return append_section(map_->section(0).base + (start << kPageblockShift), start, first.slice_blocks_ - 1);
}

void AddressSpace::init_beside(const AddressSpace& first, Backing backing, unsigned zone, FreeArea& area) {
  vm_ = first.vm_;
  map_ = first.map_;
  area_ = &area;
  area.init(map_->groups_);
  zone_ = zone;
  backing_ = backing;
  capacity_blocks_ = first.capacity_blocks_;
  const std::size_t wish = backing == Backing::kBelow4GiB ? kLowSection : kHugeSection;
  section_wish_blocks_ = std::max<std::size_t>(std::min(wish, capacity_blocks_ / 8), kSmallestSection);
}

void AddressSpace::prefer_node(unsigned kernel_id) {
  os::LockGuard hold(map_->lock_);
  node_wish_ = kernel_id + 1;
  for (unsigned i = 0; i < map_->section_count(); ++i)
    if (map_->section(i).zone == zone_) wish_node(map_->section(i));
}

void AddressSpace::wish_node(const Section& s) {
  if (node_wish_ == 0) return;
  vm_->prefer_node(reinterpret_cast<void*>(s.base), std::size_t{s.blocks} << kPageblockShift, node_wish_ - 1);
}

// map_->lock_ held, or alone.
bool AddressSpace::append_section(std::uintptr_t base, std::size_t first, std::size_t blocks) {
  const unsigned n = map_->section_count();
  if (n == MemMap::kMaxSections) return false;
  Section& s = map_->section(n);
  s.base = base;
  s.first = {static_cast<std::uint32_t>(first)};
  s.blocks = static_cast<std::uint32_t>(blocks);
  s.opened = s.committed = s.small = 0;
  s.zone = static_cast<std::uint8_t>(zone_);
  wish_node(s);
  map_->section_count_.store(n + 1, std::memory_order_release);
  return true;
}

bool AddressSpace::add_section(std::size_t min_blocks, std::size_t wished_blocks) {
  os::LockGuard hold(map_->lock_);
  const bool added = try_section(min_blocks, wished_blocks);
  __atomic_store_n(&refused_, added ? 0 : 1, __ATOMIC_RELAXED);
  return added;
}

bool AddressSpace::try_section(std::size_t min_blocks, std::size_t wished_blocks) {
  const unsigned n = map_->section_count();
  if (n == MemMap::kMaxSections) return false;
  std::size_t start = 0;
  if (n != 0) {
    const Section& last = map_->section(n - 1);
    start = last.first.value + last.blocks + 1;  // a gap that no run crosses
    if (last.zone != zone_) start = align_up(start, kGroupBlocks);
  }
  if (start + min_blocks > capacity_blocks_) return false;
  std::size_t blocks = std::max(std::min(wished_blocks, capacity_blocks_ - start), min_blocks);
  const auto reserve = backing_ == Backing::kBelow4GiB ? vm_->reserve_low : vm_->reserve;
  // Explicit hugepages of 1 GiB need their alignment.
  const std::size_t alignment = backing_ == Backing::kExplicitHuge ? kGiantPage : kPageblockSize;
  void* base = nullptr;
  while ((base = reserve(blocks << kPageblockShift, alignment)) == nullptr) {
    if (blocks == min_blocks) return false;
    blocks = std::max(blocks / 2, min_blocks);
  }
  return append_section(reinterpret_cast<std::uintptr_t>(base), start, blocks);
}

bool AddressSpace::ensure_metadata(std::size_t blocks) {
  const std::size_t pages = blocks << kPageblockOrder;
  if (map_->entries_.committed() == 0 && blocks <= kGroupBlocks) commit_heads();
  return map_->entries_.ensure_count(pages) && area_->ensure(blocks);
}

// Counted over all zones; a section's place in the map says nothing of how many pages there are.
bool AddressSpace::prepare_above(std::size_t more_blocks) {
  if (map_->prepare_pages_ == nullptr) return true;
  std::size_t blocks = more_blocks;
  for (unsigned i = 0; i < map_->section_count(); ++i) blocks += map_->section(i).committed;
  return map_->prepare_pages_(blocks << kPageblockOrder);
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
  const std::size_t small = s.small;
  if (s.committed > small || committed <= small || backing_ == Backing::kExplicitHuge) return;
  vm_->advise_huge(reinterpret_cast<char*>(s.base) + (small << kPageblockShift), (s.blocks - small) << kPageblockShift,
                   true);
}

bool AddressSpace::commit(Section& s, std::size_t blocks) {
  if (blocks <= s.committed) return true;
  os::LockGuard hold(map_->lock_);
  // Explicit hugepages are taken from everybody else: no more than asked for, but giant ones whole.
  const bool explicit_huge = backing_ == Backing::kExplicitHuge;
  const std::size_t giant = kGiantPage >> kPageblockShift;
  const std::size_t step = std::clamp<std::size_t>(s.committed / 2, kFirstCommit, kLargestCommit);
  const std::size_t wish = explicit_huge ? align_up(blocks, giant) : std::max(blocks, s.committed + step);
  char* at = reinterpret_cast<char*>(s.base) + (std::size_t{s.committed} << kPageblockShift);
  const std::size_t ahead = std::min<std::size_t>(wish, s.blocks);
  for (const std::size_t to : {ahead, blocks}) {
    if (explicit_huge && to != blocks && blocks - s.committed < giant / 2) continue;
    if (!ensure_metadata(s.first.value + to) || !prepare_above(to - s.committed)) continue;
    const std::size_t bytes = (to - s.committed) << kPageblockShift;
    if (!(explicit_huge ? vm_->commit_huge : vm_->commit)(at, bytes)) continue;
    advise(s, to);
    s.committed = static_cast<std::uint32_t>(to);
    if (s.base - map_->fast_base_ == std::uintptr_t{s.first.value} << kPageblockShift)
      map_->raise_fast_pages((s.first.value + to) << kPageblockOrder);
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
    b.most_in_row = kPagesPerBlock;
    b.largest_order = kPageblockOrder;
    b.migratetype = Migratetype::kMovable;
    b.zone = static_cast<std::uint8_t>(zone_);
    b.opened = true;
  }
  __atomic_store_n(&s.opened, static_cast<std::uint32_t>(s.opened + count), __ATOMIC_RELEASE);
  return true;
}

bool AddressSpace::open(std::size_t count, BlockIndex& first) {
  const unsigned n = map_->section_count();
  const Section* latest = nullptr;
  for (unsigned i = 0; i < n; ++i) {
    Section& s = map_->section(i);
    if (s.zone != zone_) continue;
    const BlockIndex at = s.first + s.opened;
    if (open_in(s, count)) {
      first = at;
      return true;
    }
    latest = &s;
  }
  if (latest != nullptr && latest->blocks - latest->opened >= count)
    return false;  // refused memory, not short of addresses
  if (!add_section(count, std::max(section_wish_blocks_, count))) return false;
  unsigned added = map_->section_count() - 1;  // or one before it: other zones have added theirs meanwhile
  while (map_->section(added).zone != zone_) --added;
  first = map_->section(added).first;
  return open_in(map_->section(added), count);
}

bool AddressSpace::open_at(BlockIndex at, std::size_t count) {
  const unsigned n = map_->section_count();
  for (unsigned i = 0; i < n; ++i) {
    Section& s = map_->section(i);
    if (s.zone == zone_ && s.first + s.opened == at && s.opened != 0) return open_in(s, count);
  }
  return false;
}

std::size_t AddressSpace::reserved_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i)
    if (map_->section(i).zone == zone_) sum += map_->section(i).blocks;
  return sum;
}

std::size_t AddressSpace::committed_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i)
    if (map_->section(i).zone == zone_) sum += map_->section(i).committed;
  return sum;
}

std::size_t AddressSpace::opened_blocks() const {
  std::size_t sum = 0;
  for (unsigned i = 0; i < map_->section_count(); ++i)
    if (map_->section(i).zone == zone_) sum += __atomic_load_n(&map_->section(i).opened, __ATOMIC_RELAXED);
  return sum;
}

}  // namespace bm::pages
