// topology.cc: see topology.h.  layer: os
#include "os/topology.h"

#include <sched.h>

#include "base/bits.h"
#include "base/number.h"
#include "base/text.h"
#include "os/file.h"
#include "os/syscall.h"

namespace bm::os {
namespace {

constexpr unsigned kMaskBits = 1024;
constexpr unsigned kWordBits = 8 * sizeof(unsigned long);

// Distances from a node to all nodes online, in ascending order of these; taken for those we may use.
void read_distances(unsigned kernel_id, std::uint8_t (&out)[kMaxNodes]) {
  char path[80];
  Text text(path, sizeof path - 1);
  text << "/sys/devices/system/node/node" << std::uint64_t{kernel_id} << "/distance";
  path[text.size()] = '\0';
  for (std::uint8_t& d : out) d = 20;
  char line[256];
  if (!read_file(path, line, sizeof line)) return;
  const char* at = line;
  for (std::uint8_t& d : out) {
    while (*at == ' ') ++at;
    std::size_t v = 0;
    if (!read_number(at, v)) return;
    d = static_cast<std::uint8_t>(v < 255 ? v : 255);
  }
}

}  // namespace

void one_node(Topology& out) {
  out = {};
  out.count = 1;
  out.distance[0][0] = 10;
}

void read_topology(Topology& out) {
  one_node(out);
  constexpr unsigned long kMemsAllowed = 4;  // MPOL_F_MEMS_ALLOWED
  unsigned long mask[kMaskBits / kWordBits] = {};
  if (system_call(SYS_get_mempolicy, nullptr, mask, kMaskBits, nullptr, kMemsAllowed) != 0) return;
  unsigned count = 0;
  for (unsigned w = 0; w < kMaskBits / kWordBits; ++w)
    for (unsigned long left = mask[w]; left != 0 && count < kMaxNodes; left &= left - 1)
      out.kernel_id[count++] = static_cast<std::uint16_t>(w * kWordBits + lowest_bit(left));
  if (count < 2) return;
  out.count = count;
  for (unsigned i = 0; i < count; ++i) {
    read_distances(out.kernel_id[i], out.distance[i]);
    out.distance[i][i] = 10;
  }
}

void fake_topology(std::size_t count, Topology& out) {
  out = {};
  out.count = count < 1 ? 1 : count < kMaxNodes ? static_cast<unsigned>(count) : kMaxNodes;
  out.fake = true;
  for (unsigned i = 0; i < out.count; ++i) {
    out.kernel_id[i] = static_cast<std::uint16_t>(i);
    for (unsigned k = 0; k < out.count; ++k)
      out.distance[i][k] = static_cast<std::uint8_t>(10 + 10 * (i > k ? i - k : k - i));
  }
}

unsigned current_node(const Topology& topology) {
  if (topology.count < 2) return 0;
  unsigned cpu = 0;
  unsigned kernel_id = 0;
  if (getcpu(&cpu, &kernel_id) != 0) return 0;  // libc's: no system call where the vDSO knows
  if (topology.fake) return cpu % topology.count;
  for (unsigned i = 0; i < topology.count; ++i)
    if (topology.kernel_id[i] == kernel_id) return i;
  return 0;
}

}  // namespace bm::os
