// test_migratetype.cc: the fallback table.  layer: tests
#include "pages/migratetype.h"

#include <catch2/catch.hpp>

namespace bm::pages {
namespace {

TEST_CASE("every type falls back to each of the others once, as Linux orders them", "[migratetype]") {
  for (unsigned t = 0; t < kPcpTypes; ++t) {
    unsigned seen = 1U << t;
    for (const Migratetype other : kFallbacks[t]) {
      CHECK((seen >> index(other) & 1) == 0);
      seen |= 1U << index(other);
    }
    CHECK(seen == (1U << kPcpTypes) - 1);
  }
  CHECK(kFallbacks[index(Migratetype::kUnmovable)][0] == Migratetype::kReclaimable);
  CHECK(kFallbacks[index(Migratetype::kMovable)][0] == Migratetype::kReclaimable);
  CHECK(kFallbacks[index(Migratetype::kReclaimable)][0] == Migratetype::kUnmovable);
}

}  // namespace
}  // namespace bm::pages
