// node.h: the NUMA nodes of a process, their zones, and where a request looks next.  layer: pages
// One Node for each node of the machine (or of BUDDYMALLOC_NUMA=fake=N), linked as pgdat_list, the nearest memory first in
// its zonelists. A zone is created once and stays: readers take no lock. Zone number 0 is node 0's Normal zone; with one
// node and no opt-in zone it is all there is, and every function here is one compare away from it.
// [ND-1] zones()[n] has number n; Pageblock::zone and Section::zone are such numbers
// [ND-2] a node's fallback zonelist starts with itself and names every node once
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "os/lock.h"
#include "os/topology.h"
#include "os/vm.h"
#include "pages/page_report.h"
#include "pages/zone.h"

namespace bm::pages {

using os::kMaxNodes;

// In ascending order: a request that may use a zone may use those before it, too.
enum class ZoneType : unsigned char {
  kDma32,    // addresses below 4 GiB, opt-in, on the first node only
  kNormal,   // all else
  kHugetlb,  // explicit hugepages, opt-in
};
inline constexpr unsigned kZoneTypes = 3;
inline constexpr unsigned kMaxZones = kMaxNodes * kZoneTypes;
inline constexpr std::array<const char*, kZoneTypes> kZoneNames = {"DMA32", "Normal", "Hugetlb"};
constexpr unsigned index(ZoneType t) { return static_cast<unsigned>(t); }

// Nodes in the order in which a request tries them.
struct Zonelist {
  std::uint8_t count = 0;
  std::uint8_t node[kMaxNodes] = {};
};
enum class ZonelistKind : unsigned char { kFallback, kThisNode };

struct Node {
  unsigned id = 0;         // from 0 on
  unsigned kernel_id = 0;  // what the kernel calls it
  std::atomic<Zone*> zones[kZoneTypes] = {};
  Zonelist zonelists[2];
  Node* next = nullptr;  // pgdat_list

  Zone* zone(ZoneType t) const { return zones[index(t)].load(std::memory_order_acquire); }
  const Zonelist& zonelist(ZonelistKind k) const { return zonelists[static_cast<unsigned>(k)]; }
};

// Where a request may be served: zones up to `highest`, from that one downwards, of the nodes of the zonelist.
struct Where {
  unsigned node = 0;
  ZoneType highest = ZoneType::kNormal;
  ZonelistKind nodes = ZonelistKind::kFallback;
};

class Nodes {
 public:
  // `zone` and `space` are node 0's Normal zone, initialised; the space has been cut into slices for the nodes wished for.
  // Of those that cannot be had none is there.
  void init(const os::Vm& vm, MemMap& map, AddressSpace& space, Zone& zone, const os::Topology& topology);
  void reset_lock() { lock_.reset(); }  // in a fork's child

  unsigned count() const { return __atomic_load_n(&node_count_, __ATOMIC_ACQUIRE); }
  Node* pgdat_list() { return count() == 0 ? nullptr : &nodes_[0]; }
  Node& node(unsigned i) { return nodes_[i]; }
  const os::Topology& topology() const { return topology_; }

  unsigned zone_count() const { return __atomic_load_n(&zone_count_, __ATOMIC_ACQUIRE); }
  bool single() const { return zone_count() <= 1; }
  Zone& zone(unsigned number) const { return number == 0 ? *first_zone_ : extra_[number - 1]->zone; }
  Zone& normal_zone(unsigned node) { return *nodes_[node].zone(ZoneType::kNormal); }
  Zone& zone_of(Pfn p) const { return single() ? *first_zone_ : zone(map_->block(p.block()).zone); }
  unsigned node_of(unsigned zone_number) const { return node_of_zone_[zone_number]; }
  ZoneType type_of(unsigned zone_number) const { return type_of_zone_[zone_number]; }

  // Makes a zone of an opt-in type on a node, unless it is there. False: no memory, or not for that node.
  bool ensure_zone(unsigned node, ZoneType type);

  // As Zone::alloc and alloc_batch, in the first zone that will do. Lower zones keep some for requests that can have
  // nothing else (lowmem_reserve).
  bool alloc(const Where& where, std::size_t pages, Migratetype type, Run& out, unsigned align_order = 0,
             Placement placement = Placement::kPacked, Request request = Request::kNormal);
  std::size_t alloc_batch(const Where& where, std::size_t pages, Migratetype type, std::size_t count, Run* out);
  // As Zone::make_cma, likewise.
  bool make_cma(const Where& where, std::size_t blocks, BlockIndex& first);
  // Runs of the same length, of any zones.
  void free_batch(std::size_t pages, const Pfn* first, std::size_t count);

  // Fills in where the zone of a report is: node and name.
  void place(unsigned zone_number, ZoneReport& out) const;

  // Pages of a zone that requests which may use zones up to `highest` must leave.
  std::size_t lowmem_reserve(unsigned zone_number, ZoneType highest) const;

  template <class F>
  void for_each_zone(F f) const {
    const unsigned n = zone_count();
    for (unsigned i = 0; i < n; ++i) f(zone(i));
  }
  // Opened, of all zones; without a lock: a guess.
  std::size_t present_pages() const {
    std::size_t sum = 0;
    for_each_zone([&sum](const Zone& z) { sum += z.present_pages(); });
    return sum;
  }

 private:
  struct ExtraZone {
    AddressSpace space;
    FreeArea area;
    Zone zone;
  };
  ExtraZone* make_zone(unsigned node, ZoneType type);
  void fill_zonelists();
  // Calls try_zone(zone) for each zone that the request may use until one returns true.
  template <class F>
  bool try_zones(const Where& where, std::size_t pages, F try_zone);

  os::Lock lock_;  // zones are made under it; zones' locks are not taken while it is held
  const os::Vm* vm_ = nullptr;
  MemMap* map_ = nullptr;
  AddressSpace* first_space_ = nullptr;
  Zone* first_zone_ = nullptr;
  unsigned node_count_ = 0;
  unsigned zone_count_ = 0;
  ExtraZone* extra_[kMaxZones - 1] = {};  // zone n is extra_[n - 1]
  std::uint8_t node_of_zone_[kMaxZones] = {};
  ZoneType type_of_zone_[kMaxZones] = {};
  os::Topology topology_;
  Node nodes_[kMaxNodes];
};

}  // namespace bm::pages
