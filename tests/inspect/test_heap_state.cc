// test_heap_state.cc: this program's own heap, found by its symbol and read as that of another.  layer: tests
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include <unistd.h>

#include "buddymalloc/buddymalloc.h"
#include "heap/reports.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/heap_state.h"
#include "tools/inspect/live_process.h"

namespace bm::inspect {
namespace {

TEST_CASE("the heap is found and read: zones and slabs", "[heap_state]") {
  std::vector<void*> blocks;
  for (int i = 0; i < 1000; ++i) blocks.push_back(bm_malloc(500));
  const LiveProcess self(getpid());
  const HeapState state(self);
  pages::ZoneReport inside[pages::kZoneTypes];
  REQUIRE(heap::report_nodes() == 1);
  REQUIRE(heap::report_zones(0, inside) == 1);
  const HeapState::Zones outside = state.zones();
  REQUIRE(outside.reports.size() == 1);
  CHECK(outside.consistent);
  CHECK(std::string(outside.reports[0].name) == "Normal");
  CHECK(outside.reports[0].free_pages == inside[0].free_pages);
  CHECK(outside.reports[0].present_pages == inside[0].present_pages);
  CHECK(outside.reports[0].reserved_highatomic == inside[0].reserved_highatomic);
  const slab::SlabReport slabs = state.slabs();
  const auto& row = slabs.row[slab::class_of(500)];
  CHECK(row.active_objects >= 1000);
  CHECK(row.slabs * slab::kClass[slab::class_of(500)].objects >= row.active_objects);
  for (void* const p : blocks) bm_free(p);
}

// This process with another root: what the symbol leads to is read from `root`.
class Changed : public LiveProcess {
 public:
  Changed() : LiveProcess(getpid()) {}
  heap::StateRoot root = bm_state_root;
  bool readable = true;
  using LiveProcess::read;
  bool read(std::span<const Piece> pieces) const override {
    if (pieces[0].address != reinterpret_cast<std::uint64_t>(&bm_state_root)) return LiveProcess::read(pieces);
    std::memcpy(pieces[0].to, &root, sizeof root);
    return readable;
  }
};

TEST_CASE("another layout is named", "[heap_state]") {
  bm_free(bm_malloc(1));
  Changed other;
  CHECK_NOTHROW(HeapState(other));
  ++other.root.layout;
  std::memcpy(other.root.library, "9.8.7", 6);
  CHECK_THROWS_WITH(HeapState(other), Catch::Contains("has buddymalloc 9.8.7 with state layout 4") &&
                                          Catch::Contains("use the command of that build"));
  other.root = bm_state_root;
  other.root.sizes.zone += 8;
  CHECK_THROWS_WITH(HeapState(other), Catch::Contains("reads layout 3"));
  other.root = bm_state_root;
  other.root.root_bytes -= 8;
  CHECK_THROWS_AS(HeapState(other), Failure);
}

TEST_CASE("a root that is none, that cannot be read, and a heap that has not started", "[heap_state]") {
  Changed other;
  other.root.magic[0] = 'x';
  CHECK_THROWS_WITH(HeapState(other), Catch::Contains("not what it should be"));
  other.root = bm_state_root;
  other.readable = false;
  CHECK_THROWS_WITH(HeapState(other), Catch::Contains("cannot be read"));
  other.readable = true;
  static const pages::Nodes none{};
  other.root.nodes = &none;
  CHECK_THROWS_WITH(HeapState(other), Catch::Contains("not initialised yet"));
}

}  // namespace
}  // namespace bm::inspect
