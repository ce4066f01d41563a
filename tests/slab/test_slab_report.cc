// test_slab_report.cc: slabinfo's figures and format.  layer: tests
#include <catch2/catch.hpp>

#include <cstdio>
#include <string>

#include "slab/slab_report.h"

using namespace bm;
using namespace bm::slab;

namespace {

void append(void* to, const char* text, std::size_t bytes) { static_cast<std::string*>(to)->append(text, bytes); }

std::string printed(const SlabReport& report) {
  std::string text;
  TextSink out(append, &text);
  print_slabinfo(out, report);
  out.flush();
  return text;
}

}  // namespace

TEST_CASE("objects freed by the owner and by others are not active; descriptors not in use add nothing",
          "[slab][slab_report]") {
  Slab slab{};
  slab.size_class = 3;
  slab.fill();
  SlabReport report;
  report.add(slab);
  CHECK(report.row[3].slabs == 0);
  slab.heap = 1;
  slab.free[0] &= ~std::uint64_t{31};
  REQUIRE(slab.put_remote(2));
  report.add(slab);
  report.add(slab);
  CHECK(report.row[3].slabs == 2);
  CHECK(report.row[3].active_objects == 8);
}

TEST_CASE("slabinfo is in the kernel's format, a line for each class in use", "[slab][slab_report]") {
  SlabReport report;
  const std::string head = printed(report);
  CHECK(head.find("slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> ") == 0);
  report.row[3] = {.active_objects = 8, .slabs = 2};
  const SizeClass& info = kClass[3];
  const std::string name = "bm-" + std::to_string(info.size);
  char line[256];
  std::snprintf(line, sizeof line, "%-17s %6u %6u %6u %4u %4u : tunables %4u %4u %4u : slabdata %6u %6u %6u\n",
                name.c_str(), 8U, 2U * unsigned(info.objects), unsigned(info.size), unsigned(info.objects),
                unsigned(info.pages), 0U, 0U, 0U, 2U, 2U, 0U);
  CHECK(printed(report) == head + line);
}
