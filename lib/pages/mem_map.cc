// mem_map.cc: look-ups beyond the first section, and runs.  layer: pages
#include "pages/mem_map.h"

namespace bm::pages {

bool MemMap::find(const void* p, Pfn& out) const {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const unsigned n = section_count();
  for (unsigned i = 0; i < n; ++i) {
    const Section& s = sections_[i];
    const std::uintptr_t offset = at - s.base;
    const std::uint32_t opened = __atomic_load_n(&s.opened, __ATOMIC_ACQUIRE);
    if (offset < std::uintptr_t{opened} << kPageblockShift) {
      out = first_pfn(s.first) + (offset >> kPageShift);
      return true;
    }
  }
  return false;
}

const Section* MemMap::section_of(BlockIndex b) const {
  const unsigned n = section_count();
  for (unsigned i = 0; i < n; ++i) {
    const Section& s = sections_[i];
    if (b.value - s.first.value < s.blocks) return &s;
  }
  return nullptr;
}

void* MemMap::address(Pfn p) const {
  if (p.value < fast_pages()) return reinterpret_cast<void*>(fast_base_ + (std::uintptr_t{p.value} << kPageShift));
  const Section* s = section_of(p.block());
  if (s == nullptr) return nullptr;
  const std::size_t pages = p.value - first_pfn(s->first).value;
  return reinterpret_cast<void*>(s->base + (pages << kPageShift));
}

void MemMap::purge_entries(Pfn first, std::size_t pages) {
  const std::size_t start = align_up(first.value * sizeof(std::uint32_t), os::granule());
  const std::size_t end = align_down((first.value + pages) * sizeof(std::uint32_t), os::granule());
  if (start < end) entries_.purge(start, end - start);
}

std::size_t MemMap::run_pages(Pfn p) const {
  const std::uint32_t e = entry(p);
  if (e == kRunOfBlocks) return block(p.block()).run_pages;
  return e <= kPagesPerBlock ? e : 0;
}

void MemMap::set_run(Pfn p, std::size_t pages) {
  if (pages > kPagesPerBlock) block(p.block()).run_pages = static_cast<std::uint32_t>(pages);
  set_entry(p, pages > kPagesPerBlock ? kRunOfBlocks : static_cast<std::uint32_t>(pages));
}

}  // namespace bm::pages
