// enumeration.h: every operation in every state of a tiny zone, each answer against the naive zone's.  layer: tests
// A zone's truth is what its maps say: two bits a page, a type and an opened flag a pageblock. That fits one word, and is the
// state. Everything else the zone holds is a function of it, which validate() checks after each operation; so a state is
// entered by writing the maps and calling recover(), and to have tried every operation once in every reachable state is
// to have tried every sequence. What the pages hold is with the ArenaVm, and what the balance of purges remembers is
// at its start in every state: with marks it is not at, it has no say, and with marks of 0 it gives back at once.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "pages/zone.h"
#include "support/fake_clock.h"
#include "support/naive_zone.h"

namespace bm::test {

class Enumeration {
 public:
  struct Config {
    std::vector<std::size_t> sections = {2};  // pageblocks of each
    bool purges = false;                      // dirt is part of the state; else what is free is always dirty
    bool set_apart = false;                   // isolation and contiguous ranges
    bool reserve = false;                   // is kept; and there are states with one of two pages, of three pageblocks
    bool refusals = false;                  // each request also while the OS refuses
    bool marks_of_0 = false;                // every free gives back all whole pageblocks
    std::size_t deepest = ~std::size_t{0};  // operations from the empty zone
    bool figures = false;                   // are of interest
  };
  using State = std::uint64_t;

  explicit Enumeration(const Config&);

  // Breadth first from the empty zone. The first disagreement ends it: its description, else "".
  std::string run();

  std::size_t states() const { return seen_.size(); }
  std::size_t steps() const { return steps_; }
  std::size_t depth() const { return depth_; }  // of the last level that had a new state
  bool closed() const { return closed_; }       // no state is left whose operations were not tried
  // How often each ending occurred, so that a test can demand that all do.
  struct Endings {
    std::size_t refused = 0, claimed = 0, stolen = 0, from_reserve = 0, lent = 0, purged = 0, extended = 0, taken = 0;
  };
  const Endings& endings() const { return endings_; }

 private:
  using Type = pages::Migratetype;
  State zone_state();
  State naive_state() const;
  State as_kept(State) const;
  State with_reserve();
  void enter(State);
  template <class F>
  void attempt(const char* what, std::initializer_list<std::size_t> arguments, F both);
  void try_everything();
  void try_allocations();
  void try_frees();
  void try_extensions();
  void try_setting_apart();
  void try_purges();
  void refuse(bool opens, bool populates, bool purges);
  bool same(const char* what, std::size_t zone, std::size_t naive);
  bool same_run(bool got, const pages::Run& run, std::size_t pages, const std::optional<NaiveZone::Run>& naive);
  bool same_counters(const pages::Zone::Counters& before);
  bool used(std::size_t page) const { return naive_.blocks[page / kPagesPerBlock].opened && !naive_.is_free(page); }
  void* address(std::size_t page) const { return map_.address({static_cast<std::uint32_t>(page)}); }
  std::string text(State) const;

  Config config_;
  pages::MemMap map_;
  pages::FreeArea area_;
  pages::AddressSpace space_;
  pages::Zone zone_;
  char* extra_ = nullptr;
  NaiveZone naive_;
  std::vector<std::size_t> slots_;  // pageblocks that exist, in order
  std::unordered_set<State> seen_;
  std::vector<State> next_;
  State state_ = 0;
  FakeClock clock_;
  bool entered_ = false;
  std::size_t steps_ = 0, depth_ = 0;
  bool closed_ = false;
  Endings endings_;
  std::string failure_;
};

}  // namespace bm::test
