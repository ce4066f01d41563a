// heap_state.cc: see heap_state.h.  tool: inspect
#include "tools/inspect/heap_state.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>
#include <string>

#include "tools/inspect/elf_file.h"
#include "tools/inspect/failure.h"

namespace bm::inspect {
namespace {

// Calls try_root(address) for bm_state_root in each mapped file that has one, until it returns true; those first whose name
// promises it: to read all symbols of all files takes a millisecond or two. False: none of them did.
template <class F>
bool find_root(const Memory& memory, F try_root) {
  std::vector<Mapping> files = memory.mappings();
  std::stable_partition(files.begin(), files.end(),
                        [](const Mapping& m) { return m.path.find("buddymalloc") != std::string::npos; });
  std::set<std::string> seen;
  for (const Mapping& m : files) {
    if (!seen.insert(m.path).second) continue;
    const ElfFile file(memory.open(m));
    const auto value = file.find_data("bm_state_root");
    const auto bias = file.bias(m.offset, m.start);
    if (value && bias && try_root(*value + *bias)) return true;
  }
  return false;
}

std::string quoted(const char (&text)[16]) { return {text, strnlen(text, sizeof text)}; }

}  // namespace

HeapState::HeapState(const Memory& memory) : memory_(memory) {
  bool loaded = false;
  // A library that is loaded twice is used once.
  const bool found = find_root(memory, [&](std::uint64_t at) {
    loaded = true;
    if (!memory.read(at, &root_, sizeof root_)) throw Failure(memory.name() + ": bm_state_root cannot be read");
    check_root();
    return initialised();
  });
  if (found) return;
  throw Failure(memory.name() + (loaded ? ": buddymalloc is loaded, but its state is not initialised yet"
                                        : " does not run on buddymalloc"));
}

void HeapState::check_root() const {
  if (std::memcmp(root_.magic, heap::kStateMagic, sizeof root_.magic) != 0)
    throw Failure(memory_.name() + ": bm_state_root is not what it should be; the file may have changed since");
  if (root_.layout == heap::kStateLayout && root_.root_bytes == sizeof root_ && root_.sizes == heap::StateSizes{})
    return;
  throw Failure(memory_.name() + " has buddymalloc " + quoted(root_.library) + " with state layout " +
                std::to_string(root_.layout) + " of " + std::to_string(root_.root_bytes) +
                " bytes; this command, " BM_VERSION ", reads layout " + std::to_string(heap::kStateLayout) + " of " +
                std::to_string(sizeof root_) + " bytes only: use the command of that build");
}

bool HeapState::initialised() const { return Copy<pages::Nodes>(memory_, root_.nodes).value().zone_count() != 0; }

unsigned HeapState::zone_count(const pages::Nodes& nodes) const {
  if (nodes.zone_count() > pages::kMaxZones) throw Failure(memory_.name() + ": the heap's state is damaged");
  return nodes.zone_count();
}

HeapState::Zones HeapState::zones() const {
  Zones out;
  const Copy<pages::Nodes> copy(memory_, root_.nodes);
  const pages::Nodes& nodes = copy.value();
  // As the kernel prints them: by node, the lowest zone first.
  std::vector<unsigned> numbers(zone_count(nodes));
  std::iota(numbers.begin(), numbers.end(), 0U);
  std::sort(numbers.begin(), numbers.end(), [&](unsigned a, unsigned b) {
    return std::pair(nodes.node_of(a), nodes.type_of(a)) < std::pair(nodes.node_of(b), nodes.type_of(b));
  });
  for (const unsigned number : numbers) {
    pages::ZoneReport report;
    nodes.place(number, report);
    out.consistent = ZoneCopy(memory_, &nodes.zone(number), root_.map).evaluate(report) && out.consistent;
    out.reports.push_back(report);
  }
  pages::set_protection(out.reports.data(), out.reports.size());
  return out;
}

slab::SlabReport HeapState::slabs() const {
  constexpr std::uint32_t kAtATime = 4096;
  slab::SlabReport report;
  const Copy<slab::SlabTable> table(memory_, root_.slabs);
  const std::uint32_t limit = table.value().limit();
  for (std::uint32_t i = 1; i < limit; i += kAtATime) {
    const CopyOfMany<slab::Slab> slabs(memory_, &table.value()[i], std::min(kAtATime, limit - i));
    for (std::size_t k = 0; k < slabs.size(); ++k) report.add(slabs[k]);
  }
  return report;
}

}  // namespace bm::inspect
