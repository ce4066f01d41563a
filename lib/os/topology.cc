// topology.cc: see topology.h.  layer: os
#include "os/topology.h"

#include <fcntl.h>
#include <sched.h>

#include "base/text.h"
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
  const long fd = system_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) return;
  char line[256];
  const long n = system_call(SYS_read, fd, line, sizeof line - 1);
  system_call(SYS_close, fd);
  if (n <= 0) return;
  line[n] = '\0';
  const char* at = line;
  for (std::uint8_t& d : out) {
    while (*at == ' ') ++at;
    if (*at < '0' || *at > '9') return;
    unsigned v = 0;
    while (*at >= '0' && *at <= '9') v = v * 10 + static_cast<unsigned>(*at++ - '0');
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
  for (unsigned id = 0; id < kMaskBits && count < kMaxNodes; ++id)
    if ((mask[id / kWordBits] >> (id % kWordBits) & 1) != 0) out.kernel_id[count++] = static_cast<std::uint16_t>(id);
  if (count < 2) return;
  out.count = count;
  for (unsigned i = 0; i < count; ++i) {
    read_distances(out.kernel_id[i], out.distance[i]);
    out.distance[i][i] = 10;
  }
}

void fake_topology(unsigned count, Topology& out) {
  out = {};
  out.count = count < 1 ? 1 : count < kMaxNodes ? count : kMaxNodes;
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
