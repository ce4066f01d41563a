// enumeration_steps.cc: the operations, and what both zones must agree on, see enumeration.h.  layer: tests
#include <cstring>

#include "pages_tiny/enumeration.h"
#include "support/arena_vm.h"

namespace bm::test {
namespace {

using pages::Placement;
using pages::Request;
using pages::Run;

constexpr std::size_t kBlock = kPagesPerBlock;

}  // namespace

bool Enumeration::same(const char* what, std::size_t zone, std::size_t naive) {
  if (zone != naive)
    failure_ += std::string(what) + ": " + std::to_string(zone) + ", not " + std::to_string(naive) + "; ";
  return zone == naive;
}

// The same run, which reads as zero if it is said to; from now on it holds something.
bool Enumeration::same_run(bool got, const Run& run, std::size_t pages, const std::optional<NaiveZone::Run>& naive) {
  if (!same("granted", got, naive.has_value())) return false;
  if (!got) return true;
  if (!same("first page", run.first.value, naive->first) || !same("pages", run.pages, pages)) return false;
  void* const at = address(run.first.value);
  if (run.zeroed && !same("reads as zero", ArenaVm::reads_zero(at, pages), true)) return false;
  const bool reserve = naive_.blocks[naive->first / kBlock].type == Type::kHighAtomic;
  if (reserve && !same("has memory", ArenaVm::has_memory(at, pages), true)) return false;
  endings_.from_reserve += reserve;
  endings_.lent += naive_.blocks[naive->first / kBlock].type == Type::kCma;
  ArenaVm::write(at, pages);
  return same("zeroed", run.zeroed, naive->zeroed);
}

bool Enumeration::same_counters(const pages::Zone::Counters& before) {
  const pages::Zone::Counters c = zone_.counters();
  const bool mixed = std::memcmp(&c.mixing, &naive_.mixing, sizeof c.mixing) == 0;
  endings_.claimed += pages::Mixing::sum(c.mixing.claimed) - pages::Mixing::sum(before.mixing.claimed);
  endings_.stolen += pages::Mixing::sum(c.mixing.stolen) - pages::Mixing::sum(before.mixing.stolen);
  endings_.purged += c.purged_pages - before.purged_pages;
  return same("mixing", mixed, true) && same("opened", c.opened_pages, naive_.opened() * kBlock) &&
         same("free", c.free_pages, naive_.free_pages()) && same("backed", c.backed_free_pages, naive_.backed_free()) &&
         same("reserved", c.reserved_highatomic, naive_.reserved());
}

// Lets both do it in the present state, and notes the one it leads to.
template <class F>
void Enumeration::attempt(const char* what, std::initializer_list<std::size_t> arguments, F both) {
  if (!failure_.empty()) return;
  if (!entered_) enter(state_);
  ++steps_;
  const pages::Zone::Counters before = zone_.counters();
  const bool agree = both() && same_counters(before);
  const State now = zone_state();
  if (!agree || now != naive_state() || zone_.validate(2) != 0) {
    failure_ += std::string(what) + "(";
    for (const std::size_t a : arguments) failure_ += std::to_string(a) + " ";
    failure_ += ") in " + text(state_) + " led to " + text(now) + ", not " + text(naive_state());
    return;
  }
  if (now == state_) return;
  entered_ = false;
  if (const State kept = as_kept(now); seen_.insert(kept).second) next_.push_back(kept);
}

void Enumeration::refuse(bool opens, bool populates, bool purges) {
  ArenaVm::refuse(ArenaVm::kCommit, opens);
  ArenaVm::refuse(ArenaVm::kPopulate, populates);
  ArenaVm::refuse(ArenaVm::kPurge, purges);
  naive_.os_opens = !opens, naive_.os_populates = !populates, naive_.os_purges = !purges;
}

void Enumeration::try_allocations() {
  const std::size_t all = slots_.size() * kBlock + 1;
  const auto alloc = [this](std::size_t n, std::size_t type, unsigned align, Placement placement, Request request) {
    attempt("alloc", {n, type, align, static_cast<std::size_t>(placement), static_cast<std::size_t>(request)}, [&] {
      Run run;
      const bool got = zone_.alloc(n, static_cast<Type>(type), run, align, placement, request);
      endings_.refused += !got;
      return same_run(got, run, n, naive_.alloc(n, static_cast<Type>(type), align, placement, request));
    });
  };
  for (std::size_t type = 0; type < pages::kPcpTypes; ++type) {
    for (std::size_t n = 1; n <= all; ++n)
      for (const Placement placement : {Placement::kPacked, Placement::kSnug})
        alloc(n, type, 0, placement, Request::kNormal);
    for (const std::size_t n : {1U, 3U, 5U})
      for (unsigned align = 1; align <= kPageblockOrder + 1; ++align)
        alloc(n, type, align, Placement::kPacked, Request::kNormal);
    alloc(3, type, 1, Placement::kSnug, Request::kNormal);
    for (const std::size_t n : {1U, 4U, 6U}) alloc(n, type, 0, Placement::kGrowing, Request::kNormal);
    for (std::size_t n = 1; n <= kBlock; ++n) {
      if (config_.set_apart)
        for (const Placement placement : {Placement::kPacked, Placement::kSnug})
          alloc(n, type, 0, placement, Request::kRelocatable);
      if (config_.reserve) alloc(n, type, 0, Placement::kPacked, Request::kCritical);
    }
    if (config_.reserve) {
      alloc(1, type, 2, Placement::kPacked, Request::kCritical);
      alloc(5, type, 0, Placement::kPacked, Request::kCritical);
    }
    for (std::size_t n = 1; n <= kBlock; ++n)
      for (const std::size_t count : {2U, 5U})
        attempt("alloc_batch", {n, type, count}, [&] {
          Run runs[5];
          const std::size_t got = zone_.alloc_batch(n, static_cast<Type>(type), count, runs);
          const auto expected = naive_.alloc_batch(n, static_cast<Type>(type), count);
          bool ok = same("granted", got, expected.size());
          for (std::size_t i = 0; ok && i < got; ++i) ok = same_run(true, runs[i], n, expected[i]);
          return ok;
        });
  }
}

// Every range in use, and so every run that may be alive and every part of one.
void Enumeration::try_frees() {
  const auto freed = [this](std::size_t first, std::size_t n) {
    naive_.free(first, n);
    return true;
  };
  const auto after = [this] {
    if (config_.marks_of_0) naive_.purge_slack();
    return true;
  };
  for (std::size_t first = 0; first < naive_.pages.size(); ++first) {
    if (!entered_) enter(state_);
    for (std::size_t n = 1; first + n <= naive_.pages.size() && used(first + n - 1); ++n) {
      const Pfn p{static_cast<std::uint32_t>(first)};
      attempt("free", {first, n}, [&] {
        zone_.free(p, n);
        return freed(first, n) && after();
      });
      if (!entered_) enter(state_);
      if (n > 2 || first + 2 * n > naive_.pages.size() || !used(first + n) || !used(first + 2 * n - 1)) continue;
      attempt("free_batch", {first, n}, [&] {
        const Pfn both[] = {p + n, p};
        zone_.free_batch(n, both, 2);
        return freed(first, 2 * n) && after();
      });
      if (!entered_) enter(state_);
    }
  }
}

void Enumeration::try_extensions() {
  for (std::size_t first = 0; first < naive_.pages.size(); ++first)
    for (const std::size_t old : {1U, 2U}) {
      if (!entered_) enter(state_);
      if (!used(first) || first + old > naive_.pages.size() || !used(first + old - 1)) continue;
      for (std::size_t more = 1; first + old + more <= naive_.pages.size() + 1; ++more)
        attempt("extend", {first, old, old + more}, [&] {
          const bool got = zone_.extend({static_cast<std::uint32_t>(first)}, old, old + more);
          if (!same("granted", got, naive_.extend(first, old, old + more))) return false;
          endings_.extended += got;
          if (got) ArenaVm::write(address(first + old), more);
          return true;
        });
    }
}

void Enumeration::try_setting_apart() {
  for (std::size_t first = 0; first < naive_.blocks.size() + 1; ++first)
    for (std::size_t count = 1; count <= naive_.blocks.size(); ++count) {
      const BlockIndex b{static_cast<std::uint32_t>(first)};
      attempt("isolate", {first, count},
              [&] { return same("isolated", zone_.isolate(b, count), naive_.isolate(first, count)); });
      if (first + count > naive_.blocks.size()) continue;
      attempt("unisolate", {first, count}, [&] {
        zone_.unisolate(b, count);
        naive_.unisolate(first, count);
        return true;
      });
      attempt("release_cma", {first, count},
              [&] { return same("released", zone_.release_cma(b, count), naive_.release_cma(first, count)); });
    }
  for (std::size_t count = 0; count <= naive_.blocks.size(); ++count)
    attempt("make_cma", {count}, [&] {
      BlockIndex first;
      const bool got = zone_.make_cma(count, first);
      const auto expected = naive_.make_cma(count);
      return same("made", got, expected.has_value()) && (!got || same("first", first.value, *expected));
    });
  for (std::size_t first = 0; first < naive_.pages.size(); ++first)
    for (std::size_t n = 1; first + n <= naive_.pages.size(); ++n)
      attempt("take", {first, n}, [&] {
        Run run;
        const bool got = zone_.take({static_cast<std::uint32_t>(first)}, n, run);
        endings_.taken += got;
        return same_run(got, run, n, naive_.take(first, n));
      });
}

void Enumeration::try_purges() {
  for (std::size_t keep = 0; keep <= slots_.size() * kBlock; ++keep)
    for (const bool holes : {false, true})
      attempt("purge", {keep, holes},
              [&] { return same("purged", zone_.purge(keep, holes), naive_.purge(keep, holes)); });
}

void Enumeration::try_everything() {
  try_allocations();
  try_frees();
  try_extensions();
  if (config_.set_apart) try_setting_apart();
  if (config_.purges) try_purges();
}

std::string Enumeration::run() {
  next_ = {0};
  if (config_.reserve) next_.push_back(with_reserve());
  seen_ = {next_.begin(), next_.end()};
  for (depth_ = 0; !next_.empty() && depth_ < config_.deepest; ++depth_) {
    const std::vector<State> level = std::exchange(next_, {});
    for (const State s : level) {
      state_ = s;
      entered_ = false;
      try_everything();
      if (config_.refusals) {
        refuse(true, true, true);
        try_allocations();
        try_extensions();
        try_purges();
        refuse(false, true, false);
        try_allocations();
        refuse(false, false, false);
      }
      if (!failure_.empty()) return failure_;
    }
  }
  closed_ = next_.empty();
  return "";
}

}  // namespace bm::test
