// background.cc: see background.h.  layer: heap
#include "heap/background.h"

#include "heap/limit.h"
#include "heap/options.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/process.h"

namespace bm::heap {
namespace {

constexpr std::uint32_t kTick = 100;        // ms between two looks while there is slack
constexpr std::uint32_t kSoon = 500;        // ms while free objects wait to be taken for idle
constexpr std::uint32_t kDoze = 2000;       // ms while there is none: caches of idle threads, and marks that fall
constexpr std::uint32_t kWalkBlocks = 64;   // pageblocks at a look: trim may be waiting for its end
constexpr std::uint32_t kWaitForEnd = 100;  // us between two looks whether it has gone
constexpr std::uint64_t kSoonBack = 2000;   // ms between two teams of threads
constexpr std::uint64_t kLinger = 700;      // ms: what the last team left is back with the OS within a second

// Slack can only exceed the mark where more than that has been opened.
bool may_hold_slack() {
  bool may = false;
  process.nodes.for_each_zone(
      [&may](const pages::Zone& z) { may |= z.present_pages() > pages::kDefaultWatermarks.high; });
  return may;
}

// Frees that wait for a thread that does not come by. Its bins are its own.
void help_idle_heaps() {
  for (std::uint32_t i = 1; i <= process.heap_count(); ++i) {
    ThreadHeap& h = process.heap(i);
    if (h.pending.load() == 0) continue;
    if (h.state.load() == HeapState::kActive) {
      const HelperGuard hold(h, HelperGuard::Try{});
      if (hold && h.state.load() == HeapState::kActive) h.drain_pending();
    }
    h.help_abandoned();
  }
}

}  // namespace

constinit Background background;

void Background::allow() {
  if (pid_ == 0) pid_ = os::process_id();
  upkeep_wanted.fetch_or(kUpkeepThread);
}

void Background::thread_started() {
  allow();
  if (alone_.load(std::memory_order_relaxed) && alone_.exchange(false))
    teams_return_.store(os::coarse_ms() - alone_since_.load() < kSoonBack);
}

void Background::thread_ended(std::uint32_t left) {
  if (left > 1) return;
  alone_since_.store(os::coarse_ms());
  alone_.store(true);
  if (at_work()) bell_.ring();
}

void Background::allow_for_sleepers() {
  if (process.active_heaps() == 1 && state_.load() == State::kNone && os::thread_count() > 1) allow();
}

// Threads without heaps count for whether it is made, and afterwards where there were no others.
bool Background::has_company() {
  if (process.threads_left() > 1) return true;
  const std::uint32_t own = at_work() ? 1 : 0;
  return (own == 0 || for_sleepers_) && os::thread_count() > 1 + own;
}

// Where threads came once and never again, and in what is about to end, nobody would find a use for it.
bool Background::awaits_team() const {
  return alone_.load() && teams_return_.load() && os::coarse_ms() - alone_since_.load() < kLinger &&
         os::main_thread_runs();
}

void Background::consider() {
  if (state_.load() != State::kNone || !may_hold_slack()) return;
  upkeep_wanted.fetch_and(static_cast<std::uint8_t>(~kUpkeepThread));  // refused: the next new thread asks again
  if (!has_company()) return;
  State seen = State::kNone;
  if (!state_.compare_exchange_strong(seen, State::kStarting)) return;
  for_sleepers_ = process.active_heaps() < 2;
  const bool allowed = pid_ == os::process_id() && option("BUDDYMALLOC_BACKGROUND", 1) != 0;
  if (!allowed || !os::start_thread(body, "bm-kswapd")) state_.store(State::kNone);
}

void Background::body() { background.work(); }

void Background::doze_no_more() {
  if (dozing_.exchange(false)) bell_.ring();
}

bool Background::pause() {
  looking_.lock();
  if (at_work()) return true;
  looking_.unlock();
  return false;
}

// True: there is slack above a mark.
bool Background::look() {
  const os::LockGuard hold(looking_);
  help_idle_heaps();
  limit.renew(0);
  const std::uint64_t now = os::coarse_ms();
  process.nodes.for_each_zone([now](pages::Zone& z) { z.age(now); });
  look_for_holes(now);
  return (process.attention() & pages::Zone::kSlack) != 0;
}

void Background::look_for_holes(std::uint64_t now) {
  const std::size_t opened = process.nodes.present_pages() << kPageShift;
  if (idle_.note(now, process.slab_free_bytes(), opened)) {
    walk_ = {};
    walking_ = true;
  }
  if (walking_) walking_ = purge_holes(walk_, kWalkBlocks, kWorthSplitting);
}

void Background::work() {
  tid_.store(os::thread_id());
  state_.store(State::kAtWork);
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(true); });
  while (!leaving_.load()) {
    const bool company = has_company();
    if (!company && !awaits_team()) break;
    const bool slack = look();
    dozing_.store(!slack);
    if (!slack && (process.attention() & pages::Zone::kSlack) != 0) dozing_.store(false);  // just before we told
    const std::uint32_t calm = walking_ ? kTick : idle_.waiting() ? kSoon : kDoze;
    bell_.wait(dozing_.load() && company ? calm : kTick);
    dozing_.store(false);
  }
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(false); });
  look();
  state_.store(State::kNone);
  if (process.active_heaps() > 1) allow();
}

// The thread may be at work for others of whom we know nothing: the next of them to allocate gets another. That may be before we have
// seen the first one gone, and others may be here, who take the wish back with their own: so it is said again and again.
void Background::leave() {
  constexpr unsigned kPatience = 1000;  // its id may be another thread's by then
  if (pid_ != os::process_id()) return;
  while (state_.load() != State::kNone) {
    leaving_.store(true);
    bell_.ring();
    os::nap(kWaitForEnd);
  }
  leaving_.store(false);
  // It has done its work, and for a moment it is still a thread.
  std::uint32_t tid = tid_.load();
  for (unsigned i = 0; i < kPatience && tid != 0 && os::thread_exists(tid); ++i) os::nap(kWaitForEnd);
  tid_.compare_exchange_strong(tid, 0);
}

void Background::after_fork() {
  state_.store(State::kNone);
  leaving_.store(false);
  alone_.store(false);
  teams_return_.store(false);
  dozing_.store(false);
  bell_.reset();
  looking_.reset();
  pid_ = 0;
  idle_ = {};
  walking_ = false;
  upkeep_wanted.fetch_and(static_cast<std::uint8_t>(~kUpkeepThread));
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(false); });
}

}  // namespace bm::heap
