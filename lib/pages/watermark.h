// watermark.h: how much free memory a zone may keep, and how that follows what is asked of it.  layer: pages
// Small values with pure transitions: no lock, no clock, no OS; the zone applies them (zone_watermarks.cc). Pages and
// milliseconds throughout. "Slack" is the backed memory of whole-free pageblocks: what the OS could have back at once.
// All zeros are a fresh state.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/config.h"

namespace bm::pages {

// Above `high` slack goes back to the OS until `low` is reached. `min` pages are for critical requests alone. `boost`
// is contained in low and high: it is what pollution adds to both.
struct Watermarks {
  std::size_t low;
  std::size_t high;
  std::size_t min = 0;
  std::size_t boost = 0;
};
inline constexpr Watermarks kDefaultWatermarks = {(std::size_t{2} << 20) >> kPageShift,
                                                  (std::size_t{6} << 20) >> kPageShift};
inline constexpr std::size_t kLeastHigh = kPagesPerBlock;  // to this at most does lack of demand lower `high`
inline constexpr std::size_t kReserveLeast =
    std::max<std::size_t>(kPagesPerBlock / 32, 1);  // pages for critical requests alone: 16
inline constexpr std::size_t kWorthPurging =
    std::max<std::size_t>(kPagesPerBlock / 8, 1);  // pages on small ones: free here and there in a block, or outgrown
inline constexpr std::uint64_t kHalfLife = 3000;   // of everything that was earned, and of boost
inline constexpr std::uint64_t kIdlePeriod = 300;  // slack unused for one to two of these goes, with a thread
inline constexpr std::uint64_t kDemandPeriod = 60'000;  // `high` follows the demand of one to two of these

// Divides by two for every half-life.
constexpr std::size_t halved(std::size_t value, std::uint64_t times) { return times < 64 ? value >> times : 0; }

// Half-lives as they pass.
class HalfLives {
 public:
  std::uint64_t passed(std::uint64_t now) {
    const std::uint64_t n = now > since_ ? (now - since_) / kHalfLife : 0;
    since_ += n * kHalfLife;
    return n;
  }
  void restart(std::uint64_t now) { since_ = now; }

 private:
  std::uint64_t since_ = 0;
};

// The range of the slack in the last one to two periods. Its low was not wanted by anybody in all that time, its span is
// what the peaks of demand took. Time that nobody looked at counts as one period at most: a value without a date is taken
// for a recent one.
template <std::uint64_t Period>
class RecentRange {
 public:
  void note(std::size_t slack) {
    current_.low = std::min(current_.low, slack);
    current_.high = std::max(current_.high, slack);
  }
  // True: a period has ended.
  bool advance(std::uint64_t now, std::size_t slack) {
    if (now - since_ < Period) return false;
    const bool first = since_ == 0;
    since_ = now;
    before_ = current_;
    current_ = {slack, slack};
    return !first;
  }
  std::size_t low() const { return std::min(before_.low, current_.low); }
  std::size_t span() const { return std::max(before_.high, current_.high) - low(); }

 private:
  struct Range {
    std::size_t low, high;
  };
  std::uint64_t since_ = 0;
  Range before_ = {};
  Range current_ = {};
};

// Refault feedback: memory that is wanted again as soon as it has been given back should have been kept. Two such
// cycles, close to each other, earn what both of them brought back.
class Refaults {
 public:
  static constexpr std::uint64_t kSoon = 100;         // between giving back and wanting again
  static constexpr std::uint64_t kTogether = 10'000;  // between two cycles

  // So many pages that had been given back are wanted again. True: enough to ask what time it is, and tell dated().
  bool note(std::size_t pages) {
    const bool was_less = pages_ < kPagesPerBlock;
    pages_ += pages;
    return was_less && pages_ >= kPagesPerBlock;
  }
  void dated(std::uint64_t now) { soon_ = now - purged_at_ <= kSoon; }
  // Slack is above the mark again: a cycle ends.
  void crossed(std::uint64_t now) {
    if (pages_ >= kPagesPerBlock && soon_) {
      if (now - cycle_at_ <= kTogether) earned_ = std::max(earned_, std::min(pages_, cycle_pages_));
      cycle_at_ = now;
      cycle_pages_ = pages_;
      fade_.restart(now);
    }
    pages_ = 0;
    soon_ = false;
  }
  void purged(std::uint64_t now) { purged_at_ = now; }
  // What was kept has been of use.
  void used(std::uint64_t now) { fade_.restart(now); }
  void advance(std::uint64_t now) {
    if (earned_ != 0) earned_ = halved(earned_, fade_.passed(now));
  }
  std::size_t earned() const { return earned_; }

 private:
  std::size_t pages_ = 0;  // since the last crossing
  bool soon_ = false;
  std::uint64_t purged_at_ = 0;
  std::uint64_t cycle_at_ = 0;
  std::size_t cycle_pages_ = 0;
  std::size_t earned_ = 0;
  HalfLives fade_;
};

// What grown runs left behind and was given back at once. A program that grows runs again and again wants it each time.
class Outgrown {
 public:
  void purged(std::size_t pages) { purged_ += pages; }
  void taken(std::size_t pages) { taken_ += pages; }
  // More than half of it has been wanted again.
  bool wanted(std::uint64_t now) {
    const std::uint64_t n = fade_.passed(now);
    purged_ = halved(purged_, n);
    taken_ = halved(taken_, n);
    return taken_ > purged_ / 2;
  }

 private:
  std::size_t purged_ = 0;
  std::size_t taken_ = 0;
  HalfLives fade_;
};

}  // namespace bm::pages
