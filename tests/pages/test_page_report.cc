// test_page_report.cc: the kernel's texts, parsed and printed again; the indices against values by hand.  layer: tests
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

#include "pages/page_report.h"
#include "pages/proc_texts.h"

namespace bm::pages {
namespace {

using namespace test;

constexpr TypeOrder kCmaFirst = {0, 1, 2, 4, 3, 5};
constexpr unsigned kMovableRow = index(Migratetype::kMovable);
constexpr unsigned kCmaRow = index(Migratetype::kCma);

void append(void* to, const char* text, std::size_t bytes) { static_cast<std::string*>(to)->append(text, bytes); }

template <class Print>
std::string printed(Print print) {
  std::string text;
  TextSink out(append, &text);
  print(out);
  out.flush();
  return text;
}

std::string without_end_blanks(const std::string& text) {
  std::istringstream in(text);
  std::string result;
  for (std::string line; std::getline(in, line); result += line + "\n") line.erase(line.find_last_not_of(' ') + 1);
  return result;
}

ZoneReport& zone_named(std::vector<ZoneReport>& zones, unsigned node, const std::string& name) {
  for (ZoneReport& z : zones)
    if (z.node == node && name == z.name) return z;
  ZoneReport& z = zones.emplace_back();
  z.node = node;
  std::strncpy(z.name, name.c_str(), sizeof z.name - 1);
  return z;
}

unsigned row_named(const std::string& name) {
  const auto* const at =
      std::find_if(kMigratetypeNames.begin(), kMigratetypeNames.end(), [&](const char* n) { return name == n; });
  REQUIRE(at != kMigratetypeNames.end());
  return static_cast<unsigned>(at - kMigratetypeNames.begin());
}

// The rows of either file: "Node n, zone name[, type name] numbers". Counts of buddyinfo go to the first type.
std::vector<ZoneReport> parse(std::string text, TypeOrder& order) {
  std::vector<ZoneReport> zones;
  std::replace(text.begin(), text.end(), ',', ' ');
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream in(line);
    std::string word;
    std::string name;
    unsigned node = 0;
    in >> word;
    if (word == "Number") {
      in >> word >> word >> word;
      for (unsigned& row : order) {
        in >> name;
        row = row_named(name);
      }
    }
    if (word != "Node") continue;
    in >> node >> word >> name;
    ZoneReport& z = zone_named(zones, node, name);
    std::vector<std::size_t> numbers;
    unsigned row = 0;
    bool typed = false;
    for (std::string w; in >> w;) {
      if (w != "type") {
        numbers.push_back(std::stoul(w));
        continue;
      }
      in >> name;
      row = row_named(name);
      typed = true;
    }
    if (numbers.size() == kMigratetypes && !typed) {
      for (unsigned k = 0; k < kMigratetypes; ++k) z.pageblocks[order[k]] = numbers[k];
    } else {
      REQUIRE(numbers.size() == kReportOrders);
      std::copy(numbers.begin(), numbers.end(), z.free_blocks[row]);
    }
  }
  return zones;
}

ZoneReport scattered() {  // 4 + 2 * 2 + 8 pages in 7 blocks
  ZoneReport z;
  z.free_blocks[0][0] = 4;
  z.free_blocks[kMovableRow][1] = 2;
  z.free_blocks[kCmaRow][3] = 1;
  return z;
}

TEST_CASE("a kernel's buddyinfo, parsed and printed again, is the same", "[page_report]") {
  TypeOrder order{};
  const auto zones = parse(kProcBuddyinfo, order);
  REQUIRE(zones.size() == 2);
  const std::string text = printed([&](TextSink& out) { print_buddyinfo(out, zones.data(), zones.size()); });
  CHECK(without_end_blanks(text) == kProcBuddyinfo);
  CHECK(text.find("332 \n") != std::string::npos);  // the kernel's blank
}

TEST_CASE("a kernel's pagetypeinfo, parsed and printed again, is the same in either order of columns",
          "[page_report]") {
  for (const auto& [proc, expected] :
       {std::pair{kProcPagetypeinfo, kCmaFirst}, std::pair{kProcPagetypeinfoHighAtomicFirst, kTypeOrder}}) {
    TypeOrder order{};
    const auto zones = parse(proc, order);
    REQUIRE(zones.size() == 2);
    CHECK(order == expected);
    const std::string text =
        printed([&](TextSink& out) { print_pagetypeinfo(out, zones.data(), zones.size(), order); });
    CHECK(without_end_blanks(text) == proc);
    CHECK(text.find("    10 \nNode    0, zone ") != std::string::npos);
    CHECK(zones[1].pageblocks[kCmaRow] == 8944);
  }
}

TEST_CASE("the largest blocks of the two files agree: 332 = 268 + 64, 6271 = 1809 + 4462", "[page_report]") {
  TypeOrder order{};
  const auto sums = parse(kProcBuddyinfo, order);
  const auto types = parse(kProcPagetypeinfo, order);
  CHECK(types[0].free_blocks[kMovableRow][10] == 268);
  CHECK(types[0].free_blocks[kCmaRow][10] == 64);
  CHECK(types[0].blocks_of_order(10) == sums[0].blocks_of_order(10));
  CHECK(sums[0].blocks_of_order(10) == 332);
  CHECK(types[1].free_blocks[kMovableRow][10] == 1809);
  CHECK(types[1].free_blocks[kCmaRow][10] == 4462);
  CHECK(types[1].blocks_of_order(10) == sums[1].blocks_of_order(10));
  CHECK(sums[1].blocks_of_order(10) == 6271);
}

TEST_CASE("zoneinfo is in the kernel's format", "[page_report]") {
  ZoneReport z;
  z.free_pages = 100, z.backed_free_pages = 60, z.low = 7, z.high = 9;
  z.spanned_pages = 4096, z.present_pages = 2048, z.managed_pages = 2048, z.reserved_highatomic = 16;
  z.pageblocks[kCmaRow] = 2;
  CHECK(printed([&](TextSink& out) { print_zoneinfo(out, &z, 1); }) ==
        "Node 0, zone   Normal\n"
        "  pages free     100\n"
        "        boost    0\n"
        "        min      0\n"
        "        low      7\n"
        "        high     9\n"
        "        spanned  4096\n"
        "        present  2048\n"
        "        managed  2048\n"
        "        cma      1024\n"
        "        protection: (0)\n"
        "      nr_free_pages 100\n"
        "      nr_backed_free 60\n"
        "      nr_reserved_highatomic 16\n"
        "  pagesets\n"
        "  node_unreclaimable:  0\n"
        "  start_pfn:           0\n");
}

TEST_CASE("fragmentation index, by hand", "[page_report]") {
  const ZoneReport z = scattered();
  for (unsigned o = 0; o <= 3; ++o) CHECK(fragmentation_index(z, o) == -1000);
  CHECK(fragmentation_index(z, 4) == 715);   // 1000 - (1000 + 16000 / 16) / 7
  CHECK(fragmentation_index(z, 5) == 786);   // 1000 - (1000 + 16000 / 32) / 7
  CHECK(fragmentation_index(z, 10) == 855);  // 1000 - (1000 + 16000 / 1024) / 7
  CHECK(fragmentation_index(ZoneReport{}, 0) == 0);
}

TEST_CASE("unusable index, by hand", "[page_report]") {
  const ZoneReport z = scattered();
  CHECK(unusable_index(z, 0) == 0);
  CHECK(unusable_index(z, 1) == 250);  // 4 of 16 pages
  CHECK(unusable_index(z, 2) == 500);
  CHECK(unusable_index(z, 3) == 500);
  CHECK(unusable_index(z, 4) == 1000);
  CHECK(unusable_index(ZoneReport{}, 0) == 1000);
}

TEST_CASE("protection: each zone keeps a 256th of those above it in its node from requests that may use them",
          "[page_report]") {
  ZoneReport zones[5];
  const std::size_t managed[5] = {1000, 256 * 50, 256 * 7, 256 * 3, 256 * 2};
  for (unsigned i = 0; i < 5; ++i) {
    zones[i].node = i < 3 ? 0 : 1;
    zones[i].managed_pages = managed[i];
  }
  set_protection(zones, 5);
  const auto protection = [&](unsigned i) {
    return std::vector<std::size_t>(zones[i].protection, zones[i].protection + zones[i].protections);
  };
  CHECK(protection(0) == std::vector<std::size_t>{0, 50, 57});
  CHECK(protection(1) == std::vector<std::size_t>{0, 0, 7});
  CHECK(protection(2) == std::vector<std::size_t>{0, 0, 0});
  CHECK(protection(3) == std::vector<std::size_t>{0, 2});
  CHECK(protection(4) == std::vector<std::size_t>{0, 0});
}

TEST_CASE("the indices are printed as the kernel does, the sign of a fraction in the middle", "[page_report]") {
  ZoneReport z;
  z.free_blocks[0][8] = 1;
  std::string index = "Node 0, zone   Normal ";
  std::string unusable = index;
  for (int o = 0; o <= 8; ++o) index += "-1.000 ", unusable += "0.000 ";
  CHECK(printed([&](TextSink& out) { print_extfrag_index(out, &z, 1); }) == index + " 0.-500  0.-250 \n");
  CHECK(printed([&](TextSink& out) { print_unusable_index(out, &z, 1); }) == unusable + "1.000 1.000 \n");
  ZoneReport hundred;  // 99 pages, in blocks for fractions of each number of digits
  hundred.free_blocks[1][0] = 1;
  hundred.free_blocks[1][1] = 1;
  hundred.free_blocks[1][2] = 2;
  hundred.free_blocks[1][3] = 1;
  hundred.free_blocks[1][4] = 1;
  hundred.free_blocks[1][6] = 1;
  const std::string text = printed([&](TextSink& out) { print_unusable_index(out, &hundred, 1); });
  CHECK(text.substr(22, 42) == "0.000 0.010 0.030 0.111 0.191 0.353 0.353 ");
  ZoneReport tenth;
  tenth.free_blocks[1][0] = 2;
  tenth.free_blocks[1][1] = 1;
  tenth.free_blocks[1][4] = 1;  // 2 of 20 pages, then 4
  CHECK(printed([&](TextSink& out) { print_unusable_index(out, &tenth, 1); }).substr(22, 18) == "0.000 0.100 0.200 ");
}

}  // namespace
}  // namespace bm::pages
