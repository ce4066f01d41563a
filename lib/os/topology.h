// topology.h: which NUMA nodes there are, and where the calling thread runs.  layer: os
#pragma once

#include <cstddef>
#include <cstdint>

namespace bm::os {

inline constexpr unsigned kMaxNodes = 16;  // further ones are served as the first

struct Topology {
  unsigned count = 0;                                // at least 1 once read
  bool fake = false;                                 // nodes by option, for tests: no memory is bound to any
  std::uint16_t kernel_id[kMaxNodes] = {};           // what the kernel calls them
  std::uint8_t distance[kMaxNodes][kMaxNodes] = {};  // as the firmware says: 10 is here
};

void one_node(Topology& out);
// The nodes whose memory this process may use. One node where the kernel does not tell.
void read_topology(Topology& out);
// `count` nodes that are none, each the farther from another the farther their numbers are apart.
void fake_topology(std::size_t count, Topology& out);
// The node of the CPU that the calling thread runs on, as an index into the topology. Of fake nodes: CPUs take turns.
unsigned current_node(const Topology& topology);

}  // namespace bm::os
