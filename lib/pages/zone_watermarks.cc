// zone_watermarks.cc: how much slack a zone keeps, and when it goes back.  layer: pages
// Slack above the high mark goes back at the end of the free that crosses it, but for what has been earned; or, where a
// thread looks after the zone (defer()), once it has lain idle for a moment. Two ways to earn: memory handed out several
// times over (turnover), and memory that was wanted again as soon as it had gone back (Refaults). Whatever is earned fades.
// Time is read only above the high mark. Where the budget is tight, no slack is kept, whatever has been earned.
#include <algorithm>

#include "os/process.h"
#include "pages/zone.h"

namespace bm::pages {
namespace {

constexpr std::size_t kTurnsToEarn = 2;

}  // namespace

std::size_t Zone::high_mark() const {
  const std::size_t floor = std::min(watermarks.high, kLeastHigh);
  return std::max(watermarks.high - std::min(lowered_, watermarks.high), floor) + boost_;
}

Watermarks Zone::marks() const {
  const std::size_t high = high_mark();
  const std::size_t low = lowered_ == 0 ? watermarks.low : std::min(watermarks.low, (high - boost_) / 2);
  return {.low = low + boost_, .high = high, .min = std::min(reserve_backed_, kReserveLeast), .boost = boost_};
}

void Zone::note_slack() {
  recent_slack_.note(dirty_whole_);
  demand_.note(dirty_whole_);
  if (slack() <= high_mark()) fell_ = true;
}

void Zone::note_refault(std::size_t clean_pages) {
  if (refaults_.note(clean_pages)) refaults_.dated(os::coarse_ms());
}

// A type had to live in another's pageblock: for a while more whole blocks are kept, and the layer above is asked to give
// up caches. As Linux, by a pageblock each time and up to one and a half times the high mark.
void Zone::note_pollution() {
  boost_ = std::min(boost_ + kPagesPerBlock, watermarks.high + watermarks.high / 2);
  just_polluted_ = true;
  attention_.fetch_or(kPolluted);
}

void Zone::note_turnover(std::size_t pages) {
  os::LockGuard hold(lock_);
  turnover_ += pages;
}

// Returns the half-lives that have passed.
std::uint64_t Zone::advance(std::uint64_t now) {
  const std::uint64_t n = fade_.passed(now);
  if (n != 0) {
    kept_ = halved(kept_, n);
    if (!just_polluted_) boost_ = halved(boost_, n);
    just_polluted_ = false;
  }
  refaults_.advance(now);
  recent_slack_.advance(now, dirty_whole_);
  if (demand_.advance(now, dirty_whole_)) {
    const std::size_t floor = std::min(watermarks.high, kLeastHigh);
    lowered_ = watermarks.high - std::clamp(demand_.span() << kPageblockOrder, floor, watermarks.high);
  }
  return n;
}

// The first free that finds slack above the high mark, after it had been below.
void Zone::cross_high(std::uint64_t now) {
  fell_ = false;
  advance(now);
  refaults_.crossed(now);
  refaults_.used(now);
}

// A program that has handed the same memory out several times over since its peak or the last purge is likely to want it
// again at once: it earns the right to keep up to its peak, and spends it by freeing above the mark without taking anew.
bool Zone::keeps_by_turnover(std::size_t freed_pages, std::size_t high) {
  if (turnover_ >= kTurnsToEarn * peak_used_) {
    turnover_ -= std::min(turnover_, kTurnsToEarn * freed_pages);
    kept_ = slack() - high;
    return true;
  }
  turnover_ = kept_ = 0;
  peak_used_ = phase_used_ = used_;
  return false;
}

// At the end of a free.
void Zone::balance(std::size_t freed_pages) {
  const bool keeps_none = tight();
  const std::size_t high = keeps_none ? 0 : high_mark();
  if (keeps_backing_ || slack() <= high) return;
  if ((attention() & kSlack) == 0) attention_.fetch_or(kSlack);
  if (defers_) return;
  if (keeps_none) return purge_slack_to(0);
  if (fell_) cross_high(os::coarse_ms());
  if (slack() <= high + refaults_.earned() || keeps_by_turnover(freed_pages, high)) return;
  purge_slack_to(marks().low + refaults_.earned());
}

void Zone::purge_slack_to(std::size_t pages) {
  const std::size_t blocks = pages >> kPageblockOrder;
  std::size_t purged = 0;
  while (dirty_whole_ > blocks && purge_one_run(dirty_whole_ - blocks, purged)) {
  }
  if (purged != 0) purge_holes(kWorthPurging);
}

void Zone::age(std::uint64_t now) {
  if (keeps_backing_) return;
  const Hold hold(*this);
  // Here alone: turnover has no date, and what came about before slack crossed the mark is taken for recent.
  turnover_ = halved(turnover_, advance(now));
  const Watermarks m = marks();
  const std::size_t earned = std::max(kept_, refaults_.earned());
  if (tight()) {
    purge_slack_to(0);
  } else if (defers_) {
    // What was in use a moment ago may be wanted again: of slack above the mark only what has lain idle goes.
    const std::size_t idle = recent_slack_.low() << kPageblockOrder;
    if (slack() > m.high) purge_slack_to(std::max(m.low, slack() - std::min(idle, slack())));
  } else if (slack() > m.high + earned) {
    purge_slack_to(m.low + earned);
  }
  if (slack() <= m.high) attended(kSlack);
}

void Zone::defer(bool to_a_thread) {
  const Hold hold(*this);
  defers_ = to_a_thread;
}

}  // namespace bm::pages
