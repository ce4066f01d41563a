// test_address_space.cc: the frontier, sections when one runs out, limits, refusals.  layer: tests
#include "pages/address_space.h"

#include <algorithm>
#include <catch2/catch.hpp>

#include "support/fake_vm.h"
#include "support/zone_fixture.h"

namespace bm::pages {
namespace {

using test::FakeVm;
using test::space_of;
using test::VmCall;
using test::VmOp;

struct Fixture {
  explicit Fixture(const AddressSpaceConfig& config) {
    ready = space.init(FakeVm::table, config, map, area, 100, extra);
  }
  void check_invariants() {
    for (unsigned i = 0; i < map.section_count(); ++i) {
      const Section& s = map.section(i);
      CHECK(s.opened <= s.committed);  // AS-1
      CHECK(s.committed <= s.blocks);
      CHECK(vm.committed(reinterpret_cast<void*>(s.base), std::size_t{s.committed} << kPageblockShift));
      for (std::uint32_t k = 0; k < s.opened; ++k) {  // AS-2
        const BlockIndex b = s.first + k;
        CHECK(vm.committed(&map.block(b), sizeof(Pageblock)));
        CHECK(map.entry(first_pfn(b) + 511) == 0);  // readable: or we die here
        CHECK(map.slab_index(first_pfn(b) + 511) == 0);
        CHECK_FALSE(area.contains(0, b));
      }
    }
  }
  FakeVm vm;
  MemMap map;
  FreeArea area;
  AddressSpace space;
  char* extra = nullptr;
  bool ready = false;
};

TEST_CASE("init: one section, nothing opened, memory not touched", "[address_space]") {
  Fixture f(space_of(32));
  REQUIRE(f.ready);
  CHECK(f.map.section_count() == 1);
  CHECK(f.space.reserved_blocks() == 32);
  CHECK(f.space.opened_blocks() == 0);
  CHECK(f.space.committed_blocks() == 0);
  CHECK(f.map.section(0).base % kPageblockSize == 0);
  CHECK(f.vm.count(VmOp::kReserve) == 2);
  CHECK(f.vm.count(VmOp::kCommit) == 0);
  const VmCall metadata = f.vm.calls()[0];
  CHECK((f.extra >= metadata.start && f.extra + 100 <= metadata.start + metadata.bytes));
}

TEST_CASE("the frontier moves up block by block; commits run ahead of it", "[address_space]") {
  Fixture f(space_of(128));
  for (std::uint32_t b = 0; b < 128; ++b) {
    BlockIndex got;
    REQUIRE(f.space.open(1, got));
    REQUIRE(got.value == b);
    const Pageblock& d = f.map.block(got);
    REQUIRE((d.opened && d.whole_free() && d.free.count() == kPagesPerBlock && d.dirty.count() == 0));
  }
  CHECK(f.space.opened_blocks() == 128);
  f.check_invariants();
  std::size_t of_section = 0;
  for (const VmCall& c : f.vm.calls())
    of_section += c.op == VmOp::kCommit && reinterpret_cast<std::uintptr_t>(c.start) >= f.map.section(0).base &&
                  reinterpret_cast<std::uintptr_t>(c.start) < f.map.section(0).base + (128 << kPageblockShift);
  CHECK(of_section <= 8);
}

TEST_CASE("commits are 16 pageblocks ahead, then half as much again, a gibibyte at most", "[address_space]") {
  Fixture f(space_of(2500, 2500));
  std::vector<std::size_t> committed = {0};
  for (BlockIndex got; f.space.opened_blocks() < 2500;) {
    REQUIRE(f.space.open(1, got));
    if (f.space.committed_blocks() != committed.back()) committed.push_back(f.space.committed_blocks());
  }
  CHECK(committed == std::vector<std::size_t>{0, 16, 32, 48, 72, 108, 162, 243, 364, 546, 819, 1228, 1740, 2252, 2500});
  f.check_invariants();
}

TEST_CASE("metadata: the heads of both arrays come with one call, the rest as it is needed", "[address_space]") {
  Fixture f(space_of(100));
  BlockIndex got;
  REQUIRE(f.space.open(1, got));
  CHECK(f.vm.count(VmOp::kCommit) == 2);  // and the pageblocks
  REQUIRE(f.space.open(63, got));
  const std::size_t before = f.vm.count(VmOp::kCommit);
  REQUIRE(f.space.open(36, got));
  CHECK(f.vm.count(VmOp::kCommit) > before);
  f.check_invariants();
}

TEST_CASE("metadata of more pageblocks than the heads are for", "[address_space]") {
  Fixture f(space_of(100));
  BlockIndex got;
  REQUIRE(f.space.open(100, got));
  f.check_invariants();
}

TEST_CASE("metadata whose heads are refused together is had one at a time", "[address_space]") {
  Fixture f(space_of(32));
  bool refused = false;
  f.vm.refuse = [&](const VmCall& c) { return c.op == VmOp::kCommit && !std::exchange(refused, true); };
  BlockIndex got;
  REQUIRE(f.space.open(1, got));
  CHECK(refused);
  f.check_invariants();
}

TEST_CASE("a quarter of what limits leave is a section, and a section is at least a pageblock", "[address_space]") {
  for (const auto& [left, blocks] : {std::pair{16U, 4U}, {40U, 10U}, {1000U, 32U}, {3U, 1U}}) {
    AddressSpaceConfig config = space_of(32, 64);
    config.space_left = left * kPageblockSize;
    Fixture f(config);
    REQUIRE(f.ready);
    CHECK(f.space.reserved_blocks() == blocks);
    CHECK(AddressSpace::capacity_blocks(config) == std::min(left, 64U) + MemMap::kMaxSections);
  }
}

TEST_CASE("open_at works at a frontier only", "[address_space]") {
  Fixture f(space_of(8));
  BlockIndex got;
  CHECK_FALSE(f.space.open_at({0}, 1));  // the section has not been begun
  REQUIRE(f.space.open(2, got));
  CHECK_FALSE(f.space.open_at({1}, 1));
  CHECK_FALSE(f.space.open_at({3}, 1));
  CHECK_FALSE(f.space.open_at({2}, 7));
  CHECK(f.space.opened_blocks() == 2);
  CHECK(f.space.open_at({2}, 6));
  CHECK(f.space.opened_blocks() == 8);
  f.check_invariants();
}

TEST_CASE("a section that runs out is followed by others, with a gap that is never opened", "[address_space]") {
  Fixture f(space_of(8));
  BlockIndex got;
  std::uint32_t expected[] = {0, 4, 9, 13, 18};
  for (const std::uint32_t b : expected) {
    REQUIRE(f.space.open(4, got));
    CHECK(got.value == b);
  }
  CHECK(f.map.section_count() == 3);
  REQUIRE(f.space.open(20, got));  // longer than a section is wished for
  CHECK(got.value == 27);
  REQUIRE(f.space.open(4, got));  // fills what is left below
  CHECK(got.value == 22);
  CHECK(f.space.opened_blocks() == 8 + 8 + 8 + 20);
  CHECK(f.map.section_of({8}) == nullptr);
  CHECK_FALSE(f.map.block({8}).opened);
  f.check_invariants();
}

TEST_CASE("capacity and the number of sections are bounds", "[address_space]") {
  Fixture by_capacity(space_of(8, 64));
  BlockIndex got;
  std::size_t opened = 0;
  while (by_capacity.space.open(1, got)) ++opened;
  CHECK(opened >= 64);
  CHECK(opened <= AddressSpace::capacity_blocks(space_of(8, 64)));
  CHECK(opened == by_capacity.space.opened_blocks());
  const Section& last = by_capacity.map.section(by_capacity.map.section_count() - 1);
  CHECK(last.first.value + last.blocks == AddressSpace::capacity_blocks(space_of(8, 64)));  // to the last descriptor
  CHECK_FALSE(by_capacity.space.open(SIZE_MAX >> kPageblockShift, got));
  by_capacity.check_invariants();
}

TEST_CASE("64 sections at most", "[address_space]") {
  Fixture f(space_of(1, 1000));
  BlockIndex got;
  std::size_t opened = 0;
  while (f.space.open(1, got)) ++opened;
  CHECK(opened == MemMap::kMaxSections);
  CHECK(f.map.section_count() == MemMap::kMaxSections);
  CHECK(f.map.section(MemMap::kMaxSections - 1).first == BlockIndex{2 * MemMap::kMaxSections - 2});
  f.check_invariants();
}

TEST_CASE("small limits: 64 MiB left", "[address_space]") {
  AddressSpaceConfig config;
  config.space_left = std::size_t{64} << 20;
  Fixture f(config);
  REQUIRE(f.ready);
  std::size_t bytes = 0;
  for (const VmCall& c : f.vm.calls()) bytes += c.op == VmOp::kReserve ? c.bytes : 0;
  CHECK(bytes <= config.space_left / 2);  // the process needs the rest
  CHECK(f.space.reserved_blocks() >= 4);
  BlockIndex got;
  CHECK(f.space.open(f.space.reserved_blocks(), got));
  f.check_invariants();
  config.space_left = 1;
  CHECK(AddressSpace::capacity_blocks(config) >= 1);
}

TEST_CASE("a reservation that is refused is tried smaller", "[address_space]") {
  FakeVm vm;
  vm.refuse = [](const VmCall& c) { return c.bytes > 24 * kPageblockSize; };
  MemMap map;
  FreeArea area;
  AddressSpace space;
  char* extra = nullptr;
  REQUIRE(space.init(FakeVm::table, space_of(64), map, area, 0, extra));
  CHECK(space.reserved_blocks() == 16);
  CHECK(vm.take_broken().empty());
}

TEST_CASE("init that is refused says so and leaves nothing reserved", "[address_space]") {
  for (const std::size_t refused_from : {1U, 2U}) {
    test::FaultVm vm(refused_from, test::FaultVm::kFromThenOn);
    MemMap map;
    FreeArea area;
    AddressSpace space;
    char* extra = nullptr;
    CHECK_FALSE(space.init(FakeVm::table, space_of(64), map, area, 0, extra));
    CHECK(map.section_count() == 0);
    CHECK(vm.areas() == 0);
  }
}

TEST_CASE("a refused commit opens nothing, and no section is added for it", "[address_space]") {
  Fixture f(space_of(64));
  BlockIndex got;
  REQUIRE(f.space.open(1, got));
  const std::size_t committed = f.space.committed_blocks();
  f.vm.refuse = [](const VmCall& c) { return c.op == VmOp::kCommit; };
  REQUIRE(f.space.open(committed - 1, got));  // what is committed already needs no one
  CHECK_FALSE(f.space.open(1, got));
  CHECK_FALSE(f.space.open_at({static_cast<std::uint32_t>(committed)}, 1));
  CHECK_FALSE(f.space.open(64 - committed, got));  // to the very end of the section
  CHECK(f.space.opened_blocks() == committed);
  CHECK(f.map.section_count() == 1);
  f.vm.refuse = nullptr;
  CHECK(f.space.open(1, got));
  CHECK(got.value == committed);
  f.check_invariants();
}

TEST_CASE("a commit ahead that is refused falls back to just what is needed", "[address_space]") {
  Fixture f(space_of(64));
  f.vm.refuse = [](const VmCall& c) { return c.bytes > kPageblockSize; };
  BlockIndex got;
  REQUIRE(f.space.open(1, got));
  CHECK(f.space.committed_blocks() == 1);
  f.check_invariants();
}

std::vector<std::size_t> prepared;  // what prepare_pages was told
std::size_t preparable;             // pages

TEST_CASE("what the layers above need for pages comes before the pages do", "[address_space]") {
  prepared.clear();
  preparable = 40 * kPagesPerBlock;
  AddressSpaceConfig config = space_of(32);
  config.prepare_pages = [](std::size_t pages) {
    prepared.push_back(pages);
    return pages <= preparable;
  };
  Fixture f(config);
  BlockIndex got;
  for (std::uint32_t b = 0; b < 32; ++b) REQUIRE(f.space.open(1, got));
  CHECK(prepared == std::vector<std::size_t>{16 * kPagesPerBlock, 32 * kPagesPerBlock});
  // A second section: 48 blocks altogether are refused, 33 are not.
  for (std::uint32_t b = 32; b < 40; ++b) REQUIRE(f.space.open(1, got));
  CHECK(f.map.section_count() == 2);
  CHECK(prepared[2] == 48 * kPagesPerBlock);
  CHECK(prepared[3] == 33 * kPagesPerBlock);
  CHECK_FALSE(f.space.open(1, got));
  CHECK(f.space.committed_blocks() == 40);
  preparable = 41 * kPagesPerBlock;
  CHECK(f.space.open(1, got));
  f.check_invariants();
}

TEST_CASE("hugepages are wished for beyond the first part, and only there", "[address_space]") {
  for (const std::size_t small_blocks : {0U, 4U, 12U, 100U}) {
    AddressSpaceConfig config = space_of(8);
    config.small_page_bytes = small_blocks << kPageblockShift;
    Fixture f(config);
    // Where they are always on, small pages have to be asked for.
    std::size_t small_bytes = 0;
    for (const VmCall& c : f.vm.calls())
      if (c.op == VmOp::kAdvise && !c.huge) small_bytes += c.bytes;
    CHECK(small_bytes == std::min<std::size_t>(small_blocks, 8) << kPageblockShift);
    BlockIndex got;
    for (int i = 0; i < 3; ++i) REQUIRE(f.space.open(8, got));  // three sections
    for (unsigned i = 0; i < 3; ++i)
      for (std::uint32_t k = 0; k < 8; ++k) {
        const BlockIndex b = f.map.section(i).first + k;
        CAPTURE(small_blocks, b.value);
        REQUIRE(f.space.on_small_pages(b) != f.vm.hugepages_wished(f.map.address(first_pfn(b))));
      }
  }
}

}  // namespace
}  // namespace bm::pages
