// test_proc_text.cc: the kernel's texts, read and written back.  layer: tests
#include <catch2/catch.hpp>
#include <string>

#include "pages/page_report.h"
#include "tests/pages/proc_texts.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/proc_text.h"

namespace bm::inspect {
namespace {

constexpr std::string_view kBuddyinfo = test::kProcBuddyinfo;
constexpr std::string_view kPagetypeinfo = test::kProcPagetypeinfo;

template <class F>
std::string sink_text(F print) {
  std::string text;
  TextSink out([](void* to, const char* s, std::size_t n) { static_cast<std::string*>(to)->append(s, n); }, &text);
  print(out);
  out.flush();
  return text;
}

std::string buddyinfo(const ProcText& t) {
  return sink_text([&](TextSink& out) { pages::print_buddyinfo(out, t.zones.data(), t.zones.size()); });
}
std::string pagetypeinfo(const ProcText& t, const pages::TypeOrder& order) {
  return sink_text([&](TextSink& out) { pages::print_pagetypeinfo(out, t.zones.data(), t.zones.size(), order); });
}

// The kernel's text from the pasted one: a blank at the end of each row of a table.
std::string as_kernel(std::string_view pasted) {
  std::string out;
  while (!pasted.empty()) {
    const std::string line(pasted.substr(0, pasted.find('\n')));
    const bool row = line.starts_with("Node") || line.starts_with("Free") || line.starts_with("Number");
    out += line + (row ? " \n" : "\n");
    pasted.remove_prefix(line.size() + 1);
  }
  return out;
}

std::string as_pasted(std::string text) {
  for (std::size_t at; (at = text.find(" \n")) != std::string::npos;) text.erase(at, 1);
  return text;
}

TEST_CASE("golden: the seed's buddyinfo, byte for byte", "[proc_text]") {
  CHECK(as_pasted(buddyinfo(parse_buddyinfo(kBuddyinfo))) == kBuddyinfo);
  CHECK(buddyinfo(parse_buddyinfo(as_kernel(kBuddyinfo))) == as_kernel(kBuddyinfo));
}

TEST_CASE("golden: the seed's pagetypeinfo, byte for byte, CMA before HighAtomic", "[proc_text]") {
  const ProcText t = parse_pagetypeinfo(kPagetypeinfo);
  CHECK(t.order == pages::TypeOrder{0, 1, 2, 4, 3, 5});
  CHECK(as_pasted(pagetypeinfo(t, t.order)) == kPagetypeinfo);
  CHECK(pagetypeinfo(parse_pagetypeinfo(as_kernel(kPagetypeinfo)), t.order) == as_kernel(kPagetypeinfo));
}

TEST_CASE("golden: the same with HighAtomic before CMA, read by name", "[proc_text]") {
  const std::string_view other = test::kProcPagetypeinfoHighAtomicFirst;
  const ProcText t = parse_pagetypeinfo(other);
  CHECK(t.order == pages::kTypeOrder);
  CHECK(as_pasted(pagetypeinfo(t, t.order)) == other);
  CHECK(as_pasted(pagetypeinfo(t, parse_pagetypeinfo(kPagetypeinfo).order)) == kPagetypeinfo);
  CHECK(as_pasted(pagetypeinfo(parse_pagetypeinfo(kPagetypeinfo), pages::kTypeOrder)) == other);
}

TEST_CASE("the seed's two texts agree where the machine was at rest between them", "[proc_text]") {
  const ProcText sums = parse_buddyinfo(kBuddyinfo), types = parse_pagetypeinfo(kPagetypeinfo);
  REQUIRE(types.zones.size() == 2);
  const auto movable = index(pages::Migratetype::kMovable), cma = index(pages::Migratetype::kCma);
  CHECK(std::string(types.zones[0].name) == "DMA");
  CHECK(types.zones[0].free_blocks[movable][10] == 268);
  CHECK(types.zones[0].free_blocks[cma][10] == 64);
  CHECK(types.zones[0].blocks_of_order(10) == 332);
  CHECK(types.zones[1].free_blocks[movable][10] == 1809);
  CHECK(types.zones[1].free_blocks[cma][10] == 4462);
  CHECK(types.zones[1].blocks_of_order(10) == 6271);
  CHECK(types.zones[1].pageblocks[cma] == 8944);
  for (unsigned o = 0; o < kReportOrders; ++o)
    CHECK(sums.zones[0].blocks_of_order(o) == types.zones[0].blocks_of_order(o));
  CHECK(sums.zones[1].blocks_of_order(10) == types.zones[1].blocks_of_order(10));
}

TEST_CASE("texts are told apart by their first line", "[proc_text]") {
  CHECK(is_proc_text(kBuddyinfo));
  CHECK(is_proc_text(kPagetypeinfo));
  CHECK_FALSE(is_proc_text("root:x:0:0"));
  CHECK_FALSE(is_proc_text(""));
  CHECK(parse_proc_text(kBuddyinfo).zones[1].blocks_of_order(10) == 6271);
  CHECK(parse_proc_text(kPagetypeinfo).zones[1].blocks_of_order(10) == 6271);
}

TEST_CASE("what is not understood is refused with the line", "[proc_text]") {
  for (const std::string bad : {
           "Node 0, zone DMA 1 2 3",                                              // other orders
           "Node 0, zone DMA 0 0 0 0 0 0 0 0 0 0 x",                              // no number
           "Node x, zone DMA 0 0 0 0 0 0 0 0 0 0 0",                              // no node
           "Node 0, zone AVeryLongNameOfAZone 0 0 0 0 0 0 0 0 0 0 0",             //
           "Node 0, zone DMA 0 0 0 0 0 0 0 0 0 0 99999999999999999999999999999",  //
       }) {
    CHECK_THROWS_WITH(parse_buddyinfo(bad), "line not understood: " + bad);
  }
  for (const std::string bad : {
           "Page block order: 10",
           "Pages per block:  1024",
           "Number of blocks type Unmovable Movable",
           "Number of blocks type Unmovable Movable Reclaimable HighAtomic CMA Other",
           "Node    0, zone      DMA, type        Other      0      0      0      0      0      0      0      0      0 "
           "     0      0",
           "Node    0, zone      DMA, type      Movable >100000      0      0      0      0      0      0      0      "
           "0      0      0",
       })
    CHECK_THROWS_WITH(parse_pagetypeinfo(bad), "line not understood: " + bad);
}

}  // namespace
}  // namespace bm::inspect
