// test_topology.cc: the machine's nodes, and fake ones.  layer: tests
#include "os/topology.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

namespace bm::os {
namespace {

TEST_CASE("the machine's nodes: as many as the kernel shows, each nearest to itself", "[topology]") {
  Topology t;
  read_topology(t);
  unsigned shown = 0;
  for (unsigned id = 0; id < 1024; ++id)
    shown += std::filesystem::exists("/sys/devices/system/node/node" + std::to_string(id)) ? 1U : 0U;
  CHECK(t.count >= 1);
  CHECK(t.count <= std::max(shown, 1U));
  CHECK_FALSE(t.fake);
  for (unsigned i = 0; i < t.count; ++i)
    for (unsigned k = 0; k < t.count; ++k) CHECK(t.distance[i][i] <= t.distance[i][k]);
  CHECK(current_node(t) < t.count);
}

TEST_CASE("fake nodes: as many as wished, the farther the farther apart", "[topology]") {
  Topology t;
  fake_topology(4, t);
  CHECK(t.count == 4);
  CHECK(t.fake);
  CHECK(t.distance[2][2] == 10);
  CHECK(t.distance[0][1] < t.distance[0][3]);
  CHECK(t.distance[3][1] == t.distance[1][3]);
  CHECK(current_node(t) < 4);
  fake_topology(0, t);
  CHECK(t.count == 1);
  fake_topology(1000, t);
  CHECK(t.count == kMaxNodes);
}

}  // namespace
}  // namespace bm::os
