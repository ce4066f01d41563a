// test_node.cc: several zones over one map: nodes, zonelists, zones below 4 GiB and of explicit hugepages.  layer: tests
#include "pages/node.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "support/child.h"
#include "support/fake_vm.h"
#include "support/private_member.h"
#include "support/random.h"
#include "support/zone_fixture.h"

namespace bm::test {

struct MapLockOf {
  using Owner = pages::MemMap;
  friend void* member(MapLockOf, pages::MemMap&);
};
template struct PrivateMember<MapLockOf, &pages::MemMap::lock_>;
struct NodesLockOf {
  using Owner = pages::Nodes;
  friend void* member(NodesLockOf, pages::Nodes&);
};
template struct PrivateMember<NodesLockOf, &pages::Nodes::lock_>;

}  // namespace bm::test

namespace bm::pages {
namespace {

using namespace test;

constexpr std::size_t kSlice = 64;  // pageblocks: the least there is

struct NodesFixture {
  explicit NodesFixture(unsigned count, std::size_t blocks = 4 * kSlice, std::size_t capacity = 4096)
      : NodesFixture(topology_of(count), blocks, capacity) {}
  NodesFixture(const os::Topology& topology, std::size_t blocks, std::size_t capacity) {
    AddressSpaceConfig config;
    config.first_section_bytes = blocks << kPageblockShift;
    config.capacity_bytes = capacity << kPageblockShift;
    config.small_page_bytes = 2 << kPageblockShift;
    config.slices = topology.count;
    char* extra = nullptr;
    REQUIRE(space.init(FakeVm::table, config, map, area, 0, extra));
    first.init(FakeVm::table, map, space, area);
    nodes->init(FakeVm::table, map, space, first, topology);
  }
  static os::Topology topology_of(unsigned count) {
    os::Topology t;
    os::fake_topology(count, t);
    return t;
  }
  bool alloc(const Where& where, std::size_t pages, Run& out) { return nodes->alloc(where, pages, kMovable, out); }
  Run alloc(const Where& where, std::size_t pages) {
    Run run;
    REQUIRE(alloc(where, pages, run));
    return run;
  }
  void free(const Run& run) { nodes->zone_of(run.first).free(run.first, run.pages); }
  unsigned node_of(const Run& run) { return nodes->node_of(nodes->zone_of(run.first).number()); }
  ZoneType type_of(const Run& run) { return nodes->type_of(nodes->zone_of(run.first).number()); }
  int broken() {
    int sum = 0;
    nodes->for_each_zone([&](Zone& z) { sum += z.validate(2); });
    return sum;
  }
  // Hands out all that a node has at hand, in whole pageblocks.
  std::vector<Run> exhaust(unsigned node) {
    std::vector<Run> taken;
    Run run;
    while (alloc({node, ZoneType::kNormal, ZonelistKind::kThisNode}, kBlock, run)) taken.push_back(run);
    return taken;
  }

  MemMap map;
  FreeArea area;
  AddressSpace space;
  Zone first;
  std::unique_ptr<Nodes> nodes = std::make_unique<Nodes>();
};

// The first reservation and metadata, no further sections.
struct NoSections : FakeVm {
  NoSections() {
    refuse = [this](const VmCall& c) {
      return (c.op == VmOp::kReserve && count(VmOp::kReserve) == 2) || c.op == VmOp::kReserveLow;
    };
  }
};

TEST_CASE("the backed pages that a critical request has are its zone's own", "[node]") {
  NoSections vm;
  NodesFixture z(2);
  z.free(z.alloc({0}, 8));
  for (const unsigned node : {1U, 0U}) {
    Run run;
    const Where where{node, ZoneType::kNormal, ZonelistKind::kThisNode};
    REQUIRE(z.nodes->alloc(where, 8, kMovable, run, 0, Placement::kPacked, Request::kCritical));
    CHECK(z.node_of(run) == node);
    CHECK(run.zeroed == (node == 1));
    z.free(run);
  }
  CHECK(z.broken() == 0);
}

TEST_CASE("one node: one zone, and nothing more", "[node]") {
  FakeVm vm;
  NodesFixture n(1);
  CHECK(n.nodes->count() == 1);
  CHECK(n.nodes->single());
  CHECK(n.nodes->pgdat_list()->next == nullptr);
  CHECK(n.nodes->pgdat_list()->zone(ZoneType::kNormal) == &n.first);
  CHECK(n.nodes->pgdat_list()->zone(ZoneType::kDma32) == nullptr);
  CHECK(vm.count(VmOp::kMap) == 0);
  CHECK(&n.nodes->zone_of(n.alloc({}, 3).first) == &n.first);
}

TEST_CASE("ND-1: nodes are linked as pgdat_list; each has a slice of page space and a zone of its own", "[node]") {
  FakeVm vm;
  NodesFixture n(4);
  REQUIRE(n.nodes->count() == 4);
  REQUIRE(n.nodes->zone_count() == 4);
  unsigned id = 0;
  for (const Node* node = n.nodes->pgdat_list(); node != nullptr; node = node->next) {
    CHECK(node->id == id);
    CHECK(node->zone(ZoneType::kNormal)->number() == id);
    CHECK(&n.nodes->zone(id) == node->zone(ZoneType::kNormal));
    const Run run = n.alloc({id}, 7);
    CHECK(n.node_of(run) == id);
    CHECK(run.first.block() == BlockIndex{static_cast<std::uint32_t>(id * kSlice)});
    // one reservation: the look-up by arithmetic knows every node's pages
    char* const address = static_cast<char*>(n.map.address(run.first));
    address[0] = 1;
    CHECK(n.map.fast_index(address) == run.first.value);
    CHECK(n.map.fast_pages() > run.first.value);
    CHECK(n.map.entry(run.first) == 0);
    Pfn found;
    REQUIRE(n.map.find(address, found));
    CHECK(found == run.first);
    ++id;
  }
  CHECK(id == 4);
  CHECK(n.broken() == 0);
}

TEST_CASE("ND-2: zonelists: this node only, and all nodes by distance", "[node]") {
  FakeVm vm;
  NodesFixture n(4);
  const auto list = [&](unsigned node, ZonelistKind kind) {
    const Zonelist& l = n.nodes->node(node).zonelist(kind);
    return std::vector<unsigned>(l.node, l.node + l.count);
  };
  using List = std::vector<unsigned>;
  CHECK(list(2, ZonelistKind::kThisNode) == List{2});
  CHECK(list(0, ZonelistKind::kFallback) == List{0, 1, 2, 3});
  CHECK(list(3, ZonelistKind::kFallback) == List{3, 2, 1, 0});
  // of equally far ones the next in number
  CHECK(list(1, ZonelistKind::kFallback) == List{1, 2, 0, 3});
  CHECK(list(2, ZonelistKind::kFallback) == List{2, 3, 1, 0});
}

TEST_CASE("a full node's requests go to the nearest other, unless they are for this node only", "[node]") {
  NoSections vm;
  NodesFixture n(3, 3 * kSlice, 3 * kSlice);
  REQUIRE(n.nodes->count() == 3);
  std::vector<Run> taken = n.exhaust(1);
  CHECK(taken.size() == kSlice - 1);  // the last is the gap that no run crosses
  for (const Run& run : taken) CHECK(n.node_of(run) == 1);
  Run run;
  CHECK_FALSE(n.alloc({1, ZoneType::kNormal, ZonelistKind::kThisNode}, 1, run));
  CHECK(n.node_of(n.alloc({1}, 1)) == 2);
  Run batch[4];
  CHECK(n.nodes->alloc_batch({1}, 3, kMovable, 4, batch) == 4);
  CHECK(n.node_of(batch[3]) == 2);
  const std::vector<Run> second = n.exhaust(2);
  CHECK(n.node_of(n.alloc({1}, kBlock)) == 0);
  n.free(taken.back());
  taken.pop_back();
  CHECK(n.node_of(n.alloc({1}, 1)) == 1);
  CHECK(n.broken() == 0);
}

TEST_CASE("memory is wished for from the kernel's nodes, not for fake ones", "[node]") {
  FakeVm vm;
  os::Topology real = NodesFixture::topology_of(2);
  real.fake = false;
  real.kernel_id[0] = 3;
  real.kernel_id[1] = 5;
  const auto nodes_wished = [&] {
    std::set<unsigned> ids;
    for (const VmCall& c : vm.calls())
      if (c.op == VmOp::kPreferNode) ids.insert(c.node);
    return ids;
  };
  NodesFixture fake(2);
  CHECK(nodes_wished().empty());
  NodesFixture n(real, 4 * kSlice, 4096);
  CHECK(nodes_wished() == std::set<unsigned>{3, 5});
  // sections to come, too
  const std::size_t before = vm.count(VmOp::kPreferNode);
  n.alloc({1}, 2 * kSlice * kBlock);
  CHECK(vm.count(VmOp::kPreferNode) > before);
  CHECK(nodes_wished() == std::set<unsigned>{3, 5});
}

TEST_CASE("too little page space for slices, or memory for zones: fewer nodes", "[node]") {
  FakeVm vm;
  CHECK(NodesFixture(4, 4 * kSlice - 1).nodes->count() == 1);
  vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kMap && vm.count(VmOp::kMap) == 1; };
  NodesFixture n(4);
  CHECK(n.nodes->count() == 2);
  CHECK(n.nodes->node(0).zonelist(ZonelistKind::kFallback).count == 2);
  CHECK(n.node_of(n.alloc({1}, 1)) == 1);
  CHECK(n.node_of(n.alloc({3}, 1)) == 0);  // no such node: the first
  vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kCommit; };
  CHECK(NodesFixture(4).nodes->count() == 1);  // metadata of all slices
}

TEST_CASE("DMA32: on request, below 4 GiB, and for others only above lowmem_reserve", "[node]") {
  FakeVm vm;
  NodesFixture n(2);
  const Where low{0, ZoneType::kDma32};
  Run run;
  CHECK_FALSE(n.alloc(low, 1, run));  // no such zone yet
  CHECK_FALSE(NodesFixture(1).alloc(low, 1, run));
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  CHECK(n.nodes->zone_count() == 3);
  CHECK_FALSE(n.nodes->ensure_zone(1, ZoneType::kDma32));
  CHECK_FALSE(n.nodes->ensure_zone(7, ZoneType::kHugetlb));
  run = n.alloc(low, 100);
  CHECK(n.type_of(run) == ZoneType::kDma32);
  CHECK(reinterpret_cast<std::uintptr_t>(n.map.address(run.first)) + (100 << kPageShift) <= std::uintptr_t{1} << 32);
  CHECK(run.first.value % (kGroupBlocks << kPageblockOrder) == 0);  // no descriptors' word is two zones'
  CHECK(n.type_of(n.alloc({}, 100)) == ZoneType::kNormal);
  BlockIndex area;
  REQUIRE(n.nodes->make_cma(low, 2, area));
  CHECK(n.type_of({first_pfn(area), 1, false}) == ZoneType::kDma32);
  REQUIRE(n.nodes->make_cma({1, ZoneType::kNormal, ZonelistKind::kThisNode}, 2, area));
  CHECK(n.node_of({first_pfn(area), 1, false}) == 1);
  CHECK_FALSE(n.nodes->make_cma({1, ZoneType::kDma32, ZonelistKind::kThisNode}, 1, area));
  CHECK(n.broken() == 0);
}

TEST_CASE("lowmem_reserve: a 256th of the higher zones stays for those who need the lower", "[node]") {
  NoSections vm;
  NodesFixture n(1, 2 * kSlice, 1024);
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  vm.refuse = [&](const VmCall& c) {
    return (c.op == VmOp::kReserve && vm.count(VmOp::kReserve) >= 2) ||
           (c.op == VmOp::kReserveLow && vm.count(VmOp::kReserveLow) == 1);
  };
  const Run low = n.alloc({0, ZoneType::kDma32}, 1);
  const std::size_t normal = n.exhaust(0).size();  // of node 0: the low zone's share included
  Zone& dma = n.nodes->zone(1);
  const std::size_t reserve = n.nodes->lowmem_reserve(1, ZoneType::kNormal);
  CHECK(reserve == n.first.present_pages() / 256);
  CHECK(reserve != 0);
  CHECK(normal > 2 * kSlice);
  // what is left of the low zone is for low requests
  std::size_t left = 0;
  Run run;
  while (n.alloc({}, 1, run)) CHECK(n.type_of(run) == ZoneType::kDma32);
  while (n.alloc({0, ZoneType::kDma32}, 1, run)) ++left;
  CHECK(left == reserve);
  n.free(low);
  CHECK_FALSE(n.alloc({}, 1, run));
  CHECK(dma.validate(2) == 0);
  CHECK(n.broken() == 0);
}

TEST_CASE("HUGETLB: pages set aside one by one, never given back; where there are none, the next zone serves",
          "[node]") {
  FakeVm vm;
  NodesFixture n(1);
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kHugetlb));
  const Where huge{0, ZoneType::kHugetlb};
  const Run run = n.alloc(huge, kBlock);
  CHECK(n.type_of(run) == ZoneType::kHugetlb);
  CHECK(vm.count(VmOp::kCommitHuge) == 1);
  CHECK(n.map.section(1).committed == 1);
  const auto base = reinterpret_cast<std::uintptr_t>(n.map.address(run.first));
  CHECK(base % (std::uintptr_t{1} << 30) == 0);
  n.free(run);
  Zone& zone = n.nodes->zone(1);
  zone.watermarks = {0, 0};
  const std::size_t purges = vm.count(VmOp::kPurge);
  n.free(n.alloc(huge, 1));
  CHECK(zone.purge(0, true) == 0);
  CHECK(vm.count(VmOp::kPurge) == purges);
  CHECK_FALSE(n.alloc(huge, 1).zeroed);  // what was used once stays as it was
  // half a GiB and more: a giant page, where there is one
  const Run giant = n.alloc(huge, 300 * kBlock);
  CHECK(n.type_of(giant) == ZoneType::kHugetlb);
  CHECK(n.map.section(1).committed % 512 == 0);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kCommitHuge; };
  const Run other = n.alloc(huge, 215 * kBlock);  // more than is committed
  CHECK(n.type_of(other) == ZoneType::kNormal);
  CHECK(n.broken() == 0);
}

TEST_CASE("a zone that cannot be made is not there", "[node]") {
  FakeVm vm;
  NodesFixture n(1);
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kMap; };
  CHECK_FALSE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  CHECK(n.nodes->single());
  vm.refuse = [](const VmCall& c) { return c.op == VmOp::kReserveLow; };
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  Run run;
  CHECK_FALSE(n.alloc({0, ZoneType::kDma32}, 1, run));
  vm.refuse = nullptr;
  CHECK(n.alloc({0, ZoneType::kDma32}, 1, run));
  CHECK(n.broken() == 0);
}

TEST_CASE("isolation, contiguous ranges and growth stay within a zone", "[node]") {
  NoSections vm;
  NodesFixture n(2, 2 * kSlice, 2 * kSlice);
  const std::vector<Run> all = n.exhaust(0);
  const Run last = all.back();
  CHECK_FALSE(n.first.extend(last.first, kBlock, 2 * kBlock));  // into the gap, or the neighbour
  CHECK_FALSE(n.first.isolate({static_cast<std::uint32_t>(kSlice)}, 1));
  n.alloc({1}, 1);
  CHECK_FALSE(n.first.isolate({static_cast<std::uint32_t>(kSlice)}, 1));
  BlockIndex range;
  CHECK_FALSE(n.first.make_cma(2, range));
  REQUIRE(n.nodes->zone(1).make_cma(2, range));
  CHECK(range.value >= kSlice);
  CHECK(n.broken() == 0);
}

TEST_CASE("a zone's report is placed: its node, and its name", "[node]") {
  FakeVm vm;
  NodesFixture f(2);
  REQUIRE(f.nodes->ensure_zone(0, ZoneType::kDma32));
  CHECK(f.nodes->topology().count == 2);
  for (unsigned n = 0; n < 2; ++n) {
    ZoneReport report;
    f.nodes->place(f.nodes->normal_zone(n).number(), report);
    CHECK(report.node == n);
    CHECK(report.name == std::string("Normal"));
  }
  ZoneReport report;
  f.nodes->place(2, report);
  CHECK(report.node == 0);
  CHECK(report.name == std::string("DMA32"));
}

TEST_CASE("in a fork's child the locks of the map and of the nodes are free again", "[node]") {
  FakeVm vm;
  NodesFixture f(2);
  static_cast<os::Lock*>(member(MapLockOf{}, f.map))->lock();
  static_cast<os::Lock*>(member(NodesLockOf{}, *f.nodes))->lock();
  f.map.reset_lock();
  f.nodes->reset_lock();
  REQUIRE(f.nodes->ensure_zone(0, ZoneType::kDma32));
  Where low;
  low.highest = ZoneType::kDma32;
  f.free(f.alloc(low, 1));  // a section is added
}

TEST_CASE("PB-5: an opened block's zone is that of its section", "[node]") {
  FakeVm vm;
  NodesFixture n(2);
  n.alloc({1}, 1);
  Pageblock& block = n.map.block({static_cast<std::uint32_t>(2 * kSlice)});
  CHECK(block.zone == 1);
  block.zone = 0;
  CHECK(n.nodes->zone(1).validate(-1) != 0);
  block.zone = 1;
  CHECK(n.broken() == 0);
}

TEST_CASE("free_batch sends each run to its zone", "[node]") {
  FakeVm vm;
  NodesFixture n(3);
  std::vector<Pfn> first;
  for (const unsigned node : {0U, 0U, 2U, 1U, 1U, 0U}) first.push_back(n.alloc({node}, 5).first);
  n.nodes->free_batch(5, first.data(), first.size());
  n.nodes->for_each_zone([](Zone& z) {
    const auto c = z.counters();
    CHECK(c.free_pages == c.opened_pages);
  });
  CHECK(n.broken() == 0);
}

TEST_CASE("a fork's child rebuilds one zone and leaves the others alone", "[node]") {
  FakeVm vm;
  NodesFixture n(3);
  for (unsigned node = 0; node < 3; ++node)
    for (const std::size_t pages : {1U, 17U, 512U, 900U}) n.free(n.alloc({node}, pages)), n.alloc({node}, pages);
  CHECK(in_child([&] {
          n.map.reset_lock();
          n.nodes->zone(1).recover();
          Run run;
          return n.broken() == 0 && n.alloc({1}, 3, run) && n.node_of(run) == 1;
        }).ok);
}

TEST_CASE("random requests on all nodes and zones, contents checked", "[node]") {
  FakeVm vm;
  NodesFixture n(3);
  REQUIRE(n.nodes->ensure_zone(0, ZoneType::kDma32));
  REQUIRE(n.nodes->ensure_zone(2, ZoneType::kHugetlb));
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  Random random(11);
  struct Held {
    Run run;
    unsigned value;
  };
  std::vector<Held> held;
  const auto words = [&](const Run& run) { return static_cast<unsigned*>(n.map.address(run.first)); };
  for (unsigned step = 1; step <= 4000; ++step) {
    if (!held.empty() && random.one_in(2)) {
      std::swap(held[random.below(held.size())], held.back());
      const Held h = held.back();
      held.pop_back();
      REQUIRE(words(h.run)[0] == h.value);
      REQUIRE(words(h.run)[h.run.pages * 1024 - 1] == h.value);
      n.free(h.run);
    } else {
      const Where where{static_cast<unsigned>(random.below(3)), static_cast<ZoneType>(random.below(3)),
                        random.one_in(4) ? ZonelistKind::kThisNode : ZonelistKind::kFallback};
      Run run;
      const auto type = static_cast<Migratetype>(random.below(kPcpTypes));
      if (!n.nodes->alloc(where, random.one_in(20) ? random.between(500, 1500) : random.between(1, 40), type, run)) {
        REQUIRE(where.highest == ZoneType::kDma32);  // on this node only, where there is no such zone
        continue;
      }
      if (where.nodes == ZonelistKind::kThisNode) REQUIRE(n.node_of(run) == where.node);
      REQUIRE(n.type_of(run) <= where.highest);
      words(run)[0] = words(run)[run.pages * 1024 - 1] = step;
      held.push_back({run, step});
    }
    if (step % 256 == 0) REQUIRE(n.broken() == 0);
  }
  CHECK(n.broken() == 0);
}

TEST_CASE("threads on different nodes at once: what zones share is guarded", "[zone_threads]") {
  FakeVm vm;
  NodesFixture n(4, 8 * kSlice);
  std::vector<std::thread> threads;
  for (unsigned node = 0; node < 4; ++node)
    threads.emplace_back([&n, node] {
      for (int i = 0; i < 300; ++i) {
        Run run;
        if (!n.alloc({node}, 200 + 13 * static_cast<unsigned>(i % 40), run)) std::abort();
        static_cast<char*>(n.map.address(run.first))[0] = 1;
        if (i % 3 != 0) n.free(run);
        if (i == 100 && node == 2 && !n.nodes->ensure_zone(0, ZoneType::kDma32)) std::abort();
      }
    });
  for (std::thread& t : threads) t.join();
  CHECK(n.broken() == 0);
}

}  // namespace
}  // namespace bm::pages
