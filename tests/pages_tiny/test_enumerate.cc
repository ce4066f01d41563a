// test_enumerate.cc: tiny zones, exhaustively (enumeration.h says what that means).  layer: tests
// Closed: every operation was tried in every state that there is. Otherwise in every state within so many operations of the
// empty zone. The hidden long forms close all of them, and say how many states and operations that were.
#include <catch2/catch.hpp>

#include "pages_tiny/enumeration.h"

namespace bm::test {
namespace {

using Config = Enumeration::Config;

// The names of endings that must have occurred, each by its letter.
void enumerate(const Config& config, const std::string& endings) {
  Enumeration e(config);
  REQUIRE(e.run() == "");
  if (config.deepest == Config{}.deepest) CHECK(e.closed());
  const Enumeration::Endings& n = e.endings();
  for (const auto& [letter, occurred] : {std::pair{'r', n.refused},
                                         {'c', n.claimed},
                                         {'s', n.stolen},
                                         {'x', n.extended},
                                         {'p', n.purged},
                                         {'l', n.lent},
                                         {'t', n.taken},
                                         {'h', n.from_reserve}}) {
    CAPTURE(letter);
    CHECK((occurred != 0) == (endings.find(letter) != std::string::npos));
  }
  if (config.figures) WARN(e.states() << " states, " << e.steps() << " operations, at most " << e.depth() << " deep");
}

TEST_CASE("two pageblocks, isolated or lent as well, the OS refusing or not: closed", "[enumerate]") {
  enumerate({.sections = {2}, .set_apart = true, .refusals = true}, "rcsxlt");
}

TEST_CASE("two sections: closed", "[enumerate]") { enumerate({.sections = {1, 1}}, "rcsx"); }

TEST_CASE("two pageblocks and what is dirty, purged and refused to be", "[enumerate]") {
  enumerate({.sections = {2}, .purges = true, .refusals = true, .deepest = 4}, "rcsxp");
}

TEST_CASE("two pageblocks that a free above the mark gives back", "[enumerate]") {
  enumerate({.sections = {2}, .purges = true, .set_apart = true, .marks_of_0 = true, .deepest = 4}, "rcsxplt");
}

TEST_CASE("three pageblocks, isolated or lent as well", "[enumerate]") {
  enumerate({.sections = {3}, .set_apart = true, .deepest = 3}, "rcsxlt");
}

TEST_CASE("three pageblocks in two sections, isolated or lent as well", "[enumerate]") {
  enumerate({.sections = {1, 2}, .set_apart = true, .deepest = 3}, "rcsxlt");
}

TEST_CASE("three pageblocks of which one is the reserve", "[enumerate]") {
  enumerate({.sections = {3}, .reserve = true, .refusals = true, .deepest = 3}, "rcsxh");
}

TEST_CASE("all of two pageblocks, closed", "[.long][enumerate]") {
  enumerate({.sections = {2}, .purges = true, .set_apart = true, .refusals = true, .figures = true}, "rcsxplt");
}

TEST_CASE("all of two pageblocks that a free above the mark gives back, closed", "[.long][enumerate]") {
  enumerate({.sections = {2}, .purges = true, .set_apart = true, .refusals = true, .marks_of_0 = true, .figures = true},
            "rcsxplt");
}

TEST_CASE("three pageblocks, closed", "[.long][enumerate]") {
  enumerate({.sections = {3}, .refusals = true, .figures = true}, "rcsx");
}

TEST_CASE("three pageblocks in two sections, closed", "[.long][enumerate]") {
  enumerate({.sections = {1, 2}, .refusals = true, .figures = true}, "rcsx");
}

TEST_CASE("three pageblocks of which one is the reserve, closed", "[.long][enumerate]") {
  enumerate({.sections = {3}, .reserve = true, .refusals = true, .figures = true}, "rcsxh");
}

TEST_CASE("three pageblocks, isolated or lent as well, closed", "[.long][enumerate]") {
  enumerate({.sections = {3}, .set_apart = true, .figures = true}, "rcsxlt");
}

}  // namespace
}  // namespace bm::test
