// enumeration.cc: the states of a tiny zone, see enumeration.h.  layer: tests
#include "pages_tiny/enumeration.h"

#include "support/arena_vm.h"

namespace bm::test {
namespace {

using pages::Run;
using Page = NaiveZone::Page;

constexpr std::size_t kBlock = kPagesPerBlock;
static_assert(kBlock == 4, "the states of larger pageblocks do not fit a word, nor a lifetime");

// One pageblock's part of a state, from bit 0: two bits a page, type, type before, opened.
constexpr unsigned kBits = 16;

using pages::Migratetype;

std::uint64_t part(const Page* page, Migratetype type, Migratetype before, bool opened) {
  if (!opened) return 0;
  std::uint64_t bits = 1U << 14;
  for (unsigned i = 0; i < kBlock; ++i) bits |= std::uint64_t{static_cast<unsigned char>(page[i])} << (2 * i);
  bits |= std::uint64_t{index(type)} << 8;
  return bits | std::uint64_t{type == Migratetype::kIsolate ? index(before) : 0} << 11;
}

pages::AddressSpaceConfig space_of(std::size_t first_section) {
  pages::AddressSpaceConfig c;
  c.first_section_bytes = first_section << kPageblockShift;
  c.capacity_bytes = std::size_t{8} << kPageblockShift;
  return c;
}

std::vector<NaiveZone::Section> layout_of(const pages::MemMap& map) {
  std::vector<NaiveZone::Section> layout;
  for (unsigned i = 0; i < map.section_count(); ++i) {
    const pages::Section& s = map.section(i);
    layout.push_back({s.first.value, s.blocks, s.base >> kPageblockShift});
  }
  return layout;
}

}  // namespace

// Builds the zone, and makes it reserve its further sections, which never go again, by runs that fit nowhere else.
Enumeration::Enumeration(const Config& config) : config_(config), naive_({{0, 1, 0}}) {
  ArenaVm::reset();
  if (!space_.init(ArenaVm::table, space_of(config.sections[0]), map_, area_, 0, extra_)) std::abort();
  zone_.init(ArenaVm::table, map_, space_, area_);
  const std::size_t mark = config.marks_of_0 ? 0 : SIZE_MAX >> 1;
  zone_.watermarks = {mark, mark};
  for (std::size_t i = 1; i < config.sections.size(); ++i)
    for (Run run; map_.section_count() <= i;)
      if (!zone_.alloc(config.sections[i] * kBlock, Migratetype::kMovable, run)) std::abort();
  ArenaVm::refuse(ArenaVm::kReserve, true);
  if (map_.section_count() != config.sections.size()) std::abort();
  naive_ = NaiveZone(layout_of(map_));
  zone_.keeps_reserve = naive_.keeps_reserve = config.reserve;
  for (const NaiveZone::Section& s : naive_.sections)
    for (std::size_t b = s.first; b < s.first + s.blocks; ++b) slots_.push_back(b);
}

Enumeration::State Enumeration::zone_state() {
  State state = 0;
  for (std::size_t k = slots_.size(); k-- != 0;) {
    const pages::Pageblock& d = map_.block({static_cast<std::uint32_t>(slots_[k])});
    Page page[kBlock];
    for (std::size_t i = 0; i < kBlock; ++i)
      page[i] = !d.free.any(i, 1) ? Page::kUsed : d.dirty.any(i, 1) ? Page::kDirty : Page::kClean;
    state = state << kBits | part(page, d.migratetype, d.type_before, d.opened);
  }
  return state;
}

Enumeration::State Enumeration::naive_state() const {
  State state = 0;
  for (std::size_t k = slots_.size(); k-- != 0;) {
    const NaiveZone::Block& d = naive_.blocks[slots_[k]];
    state = state << kBits | part(&naive_.pages[slots_[k] * kBlock], d.type, d.before, d.opened);
  }
  return state;
}

// Where dirt is not looked at, free pages are dirty: but for the reserve's, of which those with memory are.
Enumeration::State Enumeration::as_kept(State state) const {
  if (config_.purges) return state;
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    const std::uint64_t bits = state >> (k * kBits);
    if ((bits >> 14 & 1) == 0 || (bits >> 8 & 7) == index(Type::kHighAtomic)) continue;
    for (unsigned i = 0; i < kBlock; ++i)
      if ((bits >> (2 * i) & 3) == static_cast<unsigned>(Page::kClean)) state ^= State{3} << (k * kBits + 2 * i);
  }
  return state;
}

// Puts both zones and the OS into the state.
void Enumeration::enter(State state) {
  entered_ = true;
  clock_.pass(3'600'000);  // what was refaulted long ago earns nothing
  for (auto& s : naive_.sections) s.opened = 0;
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    const std::size_t b = slots_[k];
    const std::uint64_t bits = state >> (k * kBits);
    const bool opened = (bits >> 14 & 1) != 0;
    pages::Pageblock& d = map_.block({static_cast<std::uint32_t>(b)});
    NaiveZone::Block& n = naive_.blocks[b];
    n.opened = d.opened = opened;
    n.type = d.migratetype = opened ? static_cast<Type>(bits >> 8 & 7) : Type::kUnmovable;
    n.before = d.type_before = static_cast<Type>(bits >> 11 & 7);
    d.isolated = false;
    d.free = d.dirty = {};
    d.free_pages = 0;
    d.largest_order = 0;
    for (unsigned i = 0; i < kBlock; ++i) {
      const auto page = opened ? static_cast<Page>(bits >> (2 * i) & 3) : Page::kClean;
      naive_.pages[b * kBlock + i] = page;
      if (opened && page != Page::kUsed) d.free.set(i, 1);
      if (page != Page::kClean) d.dirty.set(i, 1);
      ArenaVm::impose(address(b * kBlock + i), page != Page::kClean);
    }
    naive_.update(b);
    for (auto& s : naive_.sections) s.opened += opened && b >= s.first && b < s.first + s.blocks ? 1 : 0;
  }
  for (unsigned i = 0; i < map_.section_count(); ++i)
    map_.section(i).opened = map_.section(i).committed = static_cast<std::uint32_t>(naive_.sections[i].opened);
  area_.clear_words({0}, slots_.back() + 1);  // recover() looks at what is committed: no real frontier goes back
  zone_.recover();
  naive_.mixing = zone_.counters().mixing;
}

// Two free pageblocks and a reserve of two pages, which only a large zone makes so large.
Enumeration::State Enumeration::with_reserve() {
  enter(0);
  for (const std::size_t b : {0U, 1U, 2U}) naive_.blocks[b].opened = true, naive_.blocks[b].type = Type::kMovable;
  naive_.blocks[2].type = Type::kHighAtomic;
  naive_.pages[2 * kBlock] = naive_.pages[2 * kBlock + 1] = Page::kDirty;
  return as_kept(naive_state());
}

// A pageblock as its type's letter, and a letter for each page.
std::string Enumeration::text(State state) const {
  std::string out;
  for (std::size_t k = 0; k < slots_.size(); ++k) {
    const std::uint64_t bits = state >> (k * kBits);
    if ((bits >> 14 & 1) == 0) {
      out += "[unopened]";
      continue;
    }
    out += std::string("[") + pages::kMigratetypeNames[bits >> 8 & 7] + ' ';
    for (unsigned i = 0; i < kBlock; ++i) out += "x.d?"[bits >> (2 * i) & 3];
    out += ']';
  }
  return out;
}

}  // namespace bm::test
