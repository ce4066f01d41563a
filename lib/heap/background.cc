// background.cc: see background.h.  layer: heap
#include "heap/background.h"

#include "heap/limit.h"
#include "heap/options.h"
#include "heap/thread_heap_slow.h"
#include "heap/upkeep.h"
#include "os/process.h"

namespace bm::heap {
namespace {

constexpr std::uint32_t kTick = 100;   // ms between two looks while there is slack
constexpr std::uint32_t kDoze = 2000;  // ms while there is none: caches of idle threads, and marks that fall

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

void Background::consider() {
  if (state_.load() != State::kNone || process.active_heaps() < 2 || !may_hold_slack()) return;
  State seen = State::kNone;
  if (!state_.compare_exchange_strong(seen, State::kStarting)) return;
  upkeep_wanted.fetch_and(static_cast<std::uint8_t>(~kUpkeepThread));  // refused: the next new thread asks again
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
  return (process.attention() & pages::Zone::kSlack) != 0;
}

void Background::work() {
  state_.store(State::kAtWork);
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(true); });
  while (process.threads_left() > 1) {
    const bool slack = look();
    dozing_.store(!slack);
    if (!slack && (process.attention() & pages::Zone::kSlack) != 0) dozing_.store(false);  // just before we told
    bell_.wait(dozing_.load() ? kDoze : kTick);
    dozing_.store(false);
  }
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(false); });
  look();
  state_.store(State::kNone);
  if (process.active_heaps() > 1) allow();
}

void Background::after_fork() {
  state_.store(State::kNone);
  dozing_.store(false);
  bell_.reset();
  looking_.reset();
  pid_ = 0;
  upkeep_wanted.fetch_and(static_cast<std::uint8_t>(~kUpkeepThread));
  process.nodes.for_each_zone([](pages::Zone& z) { z.defer(false); });
}

}  // namespace bm::heap
