// upkeep.cc: see upkeep.h.  layer: heap
#include "heap/upkeep.h"

#include "base/startup_data.h"
#include "heap/background.h"
#include "heap/heap.h"
#include "heap/limit.h"
#include "heap/options.h"
#include "heap/reclaim.h"
#include "heap/thread_heap.h"
#include "os/fatal.h"
#include "os/process.h"

namespace bm::heap {
namespace {

constexpr std::uint64_t kAgeStep = 100;     // ms between two looks at slack
constexpr std::uint8_t kFreesPerLook = 16;  // of a thread, between two looks at the clock
constexpr std::uint64_t kBoostStep = 100;   // ms between two boosts that give up caches

BM_STARTUP_DATA std::size_t validate_interval = 0;  // slow paths
BM_STARTUP_DATA constinit std::atomic<std::size_t> slow_paths{0};
BM_STARTUP_DATA constinit std::atomic<std::uint64_t> last_age{0};
BM_STARTUP_DATA constinit std::atomic<std::uint64_t> last_boost{0};

// True at most once a step, and to one of those who ask.
bool due(std::atomic<std::uint64_t>& last, std::uint64_t step, std::uint64_t now) {
  std::uint64_t seen = last.load(std::memory_order_relaxed);
  return now - seen >= step && last.compare_exchange_strong(seen, now, std::memory_order_relaxed);
}

void validate_now_and_then() {
  if (slow_paths.fetch_add(1, std::memory_order_relaxed) % validate_interval != validate_interval - 1) return;
  if (validate() != 0) os::fatal("BUDDYMALLOC_VALIDATE found broken invariants", nullptr);
}

void after_pollution() {
  process.nodes.for_each_zone([](pages::Zone& z) { z.attended(pages::Zone::kPolluted); });
  if (due(last_boost, kBoostStep, os::coarse_ms())) give_up_caches();
}

}  // namespace

BM_STARTUP_DATA constinit std::atomic<std::uint8_t> upkeep_wanted{0};

void configure_upkeep() {
  validate_interval = option("BUDDYMALLOC_VALIDATE", 0);
  if (validate_interval != 0) upkeep_wanted.fetch_or(kUpkeepValidate);
}

void upkeep_slow(SlowPath from) {
  const std::uint8_t wanted = upkeep_wanted.load(std::memory_order_relaxed);
  const std::uint8_t attention = process.attention();
  if ((wanted & kUpkeepValidate) != 0) validate_now_and_then();
  if ((wanted & kUpkeepSamples) != 0) {
    upkeep_wanted.fetch_and(static_cast<std::uint8_t>(~kUpkeepSamples));
    process.ensure_samples();
  }
  if ((attention & pages::Zone::kPolluted) != 0) after_pollution();
  if ((wanted & kUpkeepThread) != 0 && from == SlowPath::kAlloc) background.consider();
  if ((attention & pages::Zone::kSlack) == 0) return;
  if (background.at_work()) return background.wake();
  // Frees that go to their slabs one by one come here millions of times in a row.
  if (from == SlowPath::kFree && ++t_state.frees % kFreesPerLook != 0) return;
  if (const std::uint64_t now = os::coarse_ms(); due(last_age, kAgeStep, now)) {
    limit.renew(0);
    process.nodes.for_each_zone([now](pages::Zone& z) { z.age(now); });
  }
}

}  // namespace bm::heap
