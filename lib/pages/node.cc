// node.cc: see node.h.  layer: pages
#include "pages/node.h"

namespace bm::pages {

void Nodes::init(const os::Vm& vm, MemMap& map, AddressSpace& space, Zone& zone, const os::Topology& topology) {
  vm_ = &vm;
  map_ = &map;
  first_space_ = &space;
  first_zone_ = &zone;
  topology_ = topology;
  nodes_[0].zones[index(ZoneType::kNormal)].store(&zone, std::memory_order_relaxed);
  type_of_zone_[0] = ZoneType::kNormal;
  zone_count_ = 1;
  if (!topology.fake && topology.count > 1) space.prefer_node(topology.kernel_id[0]);
  unsigned count = 1;
  while (count < topology.count && count < space.slices() && make_zone(count, ZoneType::kNormal) != nullptr) ++count;
  topology_.count = count;
  fill_zonelists();
  __atomic_store_n(&node_count_, count, __ATOMIC_RELEASE);
}

// By distance; of equally far ones the next in number, so that not all nodes overflow into the first.
void Nodes::fill_zonelists() {
  const unsigned count = topology_.count;
  for (unsigned i = 0; i < count; ++i) {
    Node& n = nodes_[i];
    n.id = i;
    n.kernel_id = topology_.kernel_id[i];
    n.next = i + 1 < count ? &nodes_[i + 1] : nullptr;
    Zonelist& only = n.zonelists[static_cast<unsigned>(ZonelistKind::kThisNode)];
    only.count = 1;
    only.node[0] = static_cast<std::uint8_t>(i);
    Zonelist& all = n.zonelists[static_cast<unsigned>(ZonelistKind::kFallback)];
    all.count = static_cast<std::uint8_t>(count);
    const auto& distance = topology_.distance[i];
    all.node[0] = static_cast<std::uint8_t>(i);
    for (unsigned k = 1; k < count; ++k) {
      const auto other = static_cast<std::uint8_t>((i + k) % count);
      unsigned at = k;
      for (; at > 1 && distance[all.node[at - 1]] > distance[other]; --at) all.node[at] = all.node[at - 1];
      all.node[at] = other;
    }
  }
}

// lock_ held, or alone. What the OS granted for a zone that then cannot be had stays reserved address space.
Nodes::ExtraZone* Nodes::make_zone(unsigned node, ZoneType type) {
  const unsigned number = zone_count_;
  if (number == kMaxZones) return nullptr;
  const std::size_t bytes = align_up(sizeof(ExtraZone), MetaSpace::kStep);
  auto* const memory = vm_->map(bytes, kPageSize);
  if (memory == nullptr) return nullptr;
  // Zero bytes are a zone nobody has initialised, as in ProcessHeap.
  auto& extra = *static_cast<ExtraZone*>(memory);
  if (type != ZoneType::kNormal) {
    const Backing backing = type == ZoneType::kDma32 ? Backing::kBelow4GiB : Backing::kExplicitHuge;
    extra.space.init_beside(*first_space_, backing, number, extra.area);
  } else if (!extra.space.init_slice(*first_space_, node, number, extra.area)) {
    vm_->release(memory, bytes);
    return nullptr;
  }
  if (!topology_.fake && topology_.count > 1) extra.space.prefer_node(topology_.kernel_id[node]);
  extra.zone.init(*vm_, *map_, extra.space, extra.area);
  extra.zone.budget = type == ZoneType::kHugetlb ? nullptr : first_zone_->budget;  // those are set aside by others
  extra.zone.keeps_reserve = type == ZoneType::kNormal && first_zone_->keeps_reserve;
  extra_[number - 1] = &extra;
  node_of_zone_[number] = static_cast<std::uint8_t>(node);
  type_of_zone_[number] = type;
  __atomic_store_n(&zone_count_, number + 1, __ATOMIC_RELEASE);
  nodes_[node].zones[index(type)].store(&extra.zone, std::memory_order_release);
  return &extra;
}

bool Nodes::ensure_zone(unsigned node, ZoneType type) {
  if (node >= count()) return false;
  if (nodes_[node].zone(type) != nullptr) return true;
  if (type == ZoneType::kDma32 && node != 0) return false;
  os::LockGuard hold(lock_);
  return nodes_[node].zone(type) != nullptr || make_zone(node, type) != nullptr;
}

std::size_t Nodes::lowmem_reserve(unsigned zone_number, ZoneType highest) const {
  const Node& n = nodes_[node_of_zone_[zone_number]];
  std::size_t above = 0;
  for (unsigned t = index(type_of_zone_[zone_number]) + 1; t <= index(highest); ++t)
    if (const Zone* const z = n.zone(static_cast<ZoneType>(t)); z != nullptr) above += z->present_pages();
  return above / kLowmemReserveRatio;
}

void Nodes::place(unsigned zone_number, ZoneReport& out) const {
  out.node = node_of_zone_[zone_number];
  const char* const name = kZoneNames[index(type_of_zone_[zone_number])];
  for (std::size_t i = 0; i < sizeof out.name; ++i)
    if ((out.name[i] = name[i]) == '\0') break;
}

template <class F>
bool Nodes::try_zones(const Where& where, std::size_t pages, F try_zone) {
  if (single() && where.highest != ZoneType::kDma32) return try_zone(*first_zone_);
  const Zonelist& list = nodes_[where.node < count() ? where.node : 0].zonelist(where.nodes);
  for (unsigned i = 0; i < list.count; ++i)
    for (unsigned t = index(where.highest) + 1; t-- != 0;) {
      Zone* const z = nodes_[list.node[i]].zone(static_cast<ZoneType>(t));
      if (z == nullptr) continue;
      if (t != index(where.highest) && z->available_pages() < pages + lowmem_reserve(z->number(), where.highest))
        continue;
      if (try_zone(*z)) return true;
    }
  return false;
}

bool Nodes::alloc(const Where& where, std::size_t pages, Migratetype type, Run& out, unsigned align_order,
                  Placement placement, Request request) {
  return try_zones(where, pages, [&](Zone& z) { return z.alloc(pages, type, out, align_order, placement, request); });
}

std::size_t Nodes::alloc_batch(const Where& where, std::size_t pages, Migratetype type, std::size_t count, Run* out) {
  std::size_t n = 0;
  try_zones(where, pages, [&](Zone& z) { return (n = z.alloc_batch(pages, type, count, out)) != 0; });
  return n;
}

bool Nodes::make_cma(const Where& where, std::size_t blocks, BlockIndex& first) {
  return try_zones(where, blocks << kPageblockOrder, [&](Zone& z) { return z.make_cma(blocks, first); });
}

void Nodes::free_batch(std::size_t pages, const Pfn* first, std::size_t count) {
  while (count != 0) {
    Zone& z = zone_of(*first);
    std::size_t here = 1;
    while (here < count && (single() || &zone_of(first[here]) == &z)) ++here;
    z.free_batch(pages, first, here);
    first += here;
    count -= here;
  }
}

}  // namespace bm::pages
