// limit.cc: see limit.h.  layer: heap
#include "heap/limit.h"

#include <algorithm>
#include <cstring>

#include "base/number.h"
#include "base/startup_data.h"
#include "heap/process_heap.h"
#include "os/fatal.h"
#include "os/process.h"
#include "os/vm.h"

namespace bm::heap {
namespace {

// Of a limit, so much is for what nobody charges: descriptors and bins; in a group what the kernel has for its tasks, too.
constexpr std::size_t kUncharged = 32;
constexpr int kCalmTenths = 9;  // of a limit; above, no free memory is kept
// How far the heap grows until its group is looked at again: a quarter of what there is, in pages.
constexpr std::size_t kLeastGrowth = (std::size_t{1} << 20) >> kPageShift;
constexpr std::size_t kMostGrowth = (std::size_t{64} << 20) >> kPageShift;
constexpr std::uint64_t kPause = 20;  // ms between two looks, unless the heap has grown or shrunk by kLeastGrowth

bool is(const char* text, const char* word) { return std::strcmp(text, word) == 0; }

// Of signed bytes, whole pages; never 0, which would be "no limit".
std::size_t pages_of(std::ptrdiff_t bytes) {
  return bytes <= 0 ? 1 : std::max<std::size_t>(static_cast<std::size_t>(bytes) >> kPageShift, 1);
}

}  // namespace

BM_STARTUP_DATA constinit Limit limit;

bool parse_limit(const char* text, LimitOption& out) {
  using Kind = LimitOption::Kind;
  if (is(text, "cgroup")) {
    out = {Kind::kCgroup, 0};
    return true;
  }
  std::size_t value = 0;
  if (!read_number(text, value)) return false;
  if (is(text, "%")) {
    out = {Kind::kPercent, value};
    return value >= 1 && value <= 100;
  }
  constexpr const char* kUnits[] = {"", "K", "M", "G", "T"};
  for (unsigned shift = 0; const char* const unit : kUnits) {
    if (is(text, unit)) {
      out = {Kind::kBytes, value << shift};
      return out.value >> shift == value && out.value >= kLeastLimit;
    }
    shift += 10;
  }
  return false;
}

void Limit::configure() {
  const char* const text = os::environment("BUDDYMALLOC_LIMIT");
  if (text == nullptr || text[0] == '\0' || configured_) return;
  configured_ = true;
  LimitOption option;
  if (parse_limit(text, option)) return apply(option);
  constexpr char kBad[] = "buddymalloc: BUDDYMALLOC_LIMIT is none of 2G, 256M, 80%, cgroup, or below 1M; ignored\n";
  os::write_all(2, kBad, sizeof kBad - 1);
}

void Limit::apply(const LimitOption& option, const char* root) {
  using Kind = LimitOption::Kind;
  std::size_t bytes = option.value;
  if (option.kind == Kind::kPercent) {
    os::Cgroup group;
    os::CgroupMemory memory;
    if (group.find(root)) group.read(memory);
    bytes = std::min(memory.most, os::physical_memory()) / 100 * option.value;
  }
  if (option.kind == Kind::kCgroup) {
    if (!group_.find(root)) return;
    process.budget.limit(1, 0);  // now everybody counts
    count();
    renew(0);
    return;
  }
  set_most(bytes);
  const std::size_t most = std::max<std::size_t>((bytes - bytes / kUncharged) >> kPageShift, 1);
  process.budget.limit(most, most / 10 * kCalmTenths);
  count();
}

// What was held before there was a limit, or in the process that this one is a fork of.
void Limit::count() {
  process.budget.restart();
  process.nodes.for_each_zone([](pages::Zone& z) { z.recharge(); });
  process.budget.add(process.direct.total_bytes() >> kPageShift);
}

// What others use is the group's use less ours; of ours, what has been handed out and never touched is not in it, and yet is
// ours to touch.
void Limit::look(std::size_t held) {
  os::CgroupMemory memory;
  group_.read(memory);  // no limit where there is nothing to read any more
  seen_at_ = os::coarse_ms();
  seen_held_ = held;
  seen_most_ = seen_calm_ = SIZE_MAX >> kPageShift;
  set_most(memory.most);
  const auto own = static_cast<std::ptrdiff_t>(std::min(held << kPageShift, os::resident_anonymous()));
  const auto most = static_cast<std::ptrdiff_t>(memory.most);
  if (memory.until_most != PTRDIFF_MAX) {
    seen_most_ = pages_of(own + memory.until_most - most / std::ptrdiff_t{kUncharged});
    seen_calm_ = pages_of(own + memory.until_most - most / 10 * (10 - kCalmTenths));
  }
  if (memory.until_high != PTRDIFF_MAX) seen_calm_ = std::min(seen_calm_, pages_of(own + memory.until_high));
}

bool Limit::renew(std::size_t bytes) {
  pages::Budget& budget = process.budget;
  if (!group_.found()) return false;
  const std::size_t before = budget.most();
  const os::LockGuard hold(lock_);
  const std::size_t held = budget.held();
  const std::size_t moved = std::max(held, seen_held_) - std::min(held, seen_held_);
  if (os::coarse_ms() - seen_at_ >= kPause || moved >= kLeastGrowth) look(held);
  const std::size_t room = seen_most_ - std::min(seen_most_, held);
  const std::size_t growth = std::clamp(room / 4, kLeastGrowth, kMostGrowth) + (bytes >> kPageShift);
  budget.limit(std::min(seen_most_, held + growth), seen_calm_);
  return budget.most() > before;
}

void Limit::expect(std::size_t bytes) {
  const pages::Budget& budget = process.budget;
  if (budget.limited() && budget.held() + (bytes >> kPageShift) > budget.most()) renew(bytes);
}

void Limit::after_fork() {
  lock_.reset();
  if (process.budget.limited()) count();
}

}  // namespace bm::heap
