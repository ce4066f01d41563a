// zone_copy.cc: see zone_copy.h.  tool: inspect
#include "tools/inspect/zone_copy.h"

#include <chrono>
#include <cstddef>
#include <thread>

#include "tools/inspect/failure.h"

namespace bm::inspect {

ZoneCopy::ZoneCopy(const Memory& memory, const pages::Zone* zone, const pages::MemMap* map)
    : zone_(memory, zone), map_(memory, map) {
  static_assert(offsetof(pages::Pageblock, slab_index) == kHeadBytes);
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!(consistent_ = attempt(memory, zone, map)) && memory.runs()) {
    if (std::chrono::steady_clock::now() >= last)
      throw Failure(memory.name() + " changes its heap, or is stopped while it does: no consistent copy in 2 seconds");
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

bool ZoneCopy::attempt(const Memory& memory, const pages::Zone* zone, const pages::MemMap* map_at) {
  zone_ = {memory, zone};
  const std::uint32_t before = zone_.value().changes();
  if (before % 2 != 0 && memory.runs()) return false;
  map_ = {memory, map_at};
  const pages::MemMap& map = map_.value();
  std::vector<Piece> pieces;
  for (unsigned i = 0; i < map.section_count(); ++i) {
    if (i == pages::MemMap::kMaxSections || map.section(i).opened > map.section(i).blocks)
      throw Failure(memory.name() + ": the heap's state is damaged");
    if (map.section(i).zone != zone_.value().number()) continue;
    for (std::uint32_t k = 0; k < map.section(i).opened; ++k)
      pieces.push_back({address_of(&map.block(map.section(i).first + k)), nullptr, kHeadBytes});
  }
  heads_.resize(pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i].to = heads_[i].bytes;
  if (!memory.read(pieces)) throw Failure(memory.name() + ": the descriptors of its pageblocks cannot be read");
  return before % 2 == 0 && Copy<pages::Zone>(memory, zone).value().changes() == before;
}

bool ZoneCopy::evaluate(pages::ZoneReport& out) const {
  pages::Pageblock block{};
  std::size_t next = 0;
  const auto in_order = [&](BlockIndex) -> const pages::Pageblock& {
    std::memcpy(static_cast<void*>(&block), heads_[next++].bytes, kHeadBytes);
    return block;
  };
  pages::evaluate(zone_.value(), map_.value(), in_order, out);
  return consistent_;
}

}  // namespace bm::inspect
