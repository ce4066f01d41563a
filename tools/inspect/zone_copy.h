// zone_copy.h: one zone of another process, copied while nothing changed.  tool: inspect
#pragma once

#include <cstring>
#include <vector>

#include "pages/zone_report.h"
#include "tools/inspect/memory.h"
#include "tools/inspect/remote_copy.h"

namespace bm::inspect {

class ZoneCopy {
 public:
  // Copies until a copy is consistent, for two seconds at most; throws Failure after that. A core file is copied once.
  ZoneCopy(const Memory& memory, const pages::Zone* zone, const pages::MemMap* map);

  // Fills the report; false: what was copied was in the middle of a change.
  bool evaluate(pages::ZoneReport& out) const;

  // Calls f(section, block, Pageblock) for the opened pageblocks in ascending order; of a Pageblock only its head is copied.
  template <class F>
  void for_each_block(F f) const {
    pages::Pageblock block{};
    std::size_t next = 0;
    for (unsigned i = 0; i < map_.value().section_count(); ++i) {
      const pages::Section& s = map_.value().section(i);
      if (s.zone != zone_.value().number()) continue;
      for (std::uint32_t k = 0; k < s.opened; ++k) {
        std::memcpy(static_cast<void*>(&block), heads_[next++].bytes, kHeadBytes);
        f(s, s.first + k, block);
      }
    }
  }

 private:
  // The front of a Pageblock: its maps and what is known of it as a whole; what follows is the slabs' business.
  static constexpr std::size_t kHeadBytes = 3 * kCacheLine;
  struct Head {
    unsigned char bytes[kHeadBytes];
  };
  bool attempt(const Memory& memory, const pages::Zone* zone, const pages::MemMap* map);

  Copy<pages::Zone> zone_;
  Copy<pages::MemMap> map_;
  std::vector<Head> heads_;  // of the opened pageblocks in ascending order
  bool consistent_ = false;
};

}  // namespace bm::inspect
