// budget.h: how many pages with memory behind them a process may hold, all zones and direct mappings together.  layer: pages
// Thread-safe, without a lock. Who is about to make pages backed charges for them first; a zone settles what they came to
// when it releases its lock. Why there is a limit, and what it is today, the layer above knows.
// [BU-1] held is the sum of Zone::charged_ and direct mappings, but for what is charged and not settled at the moment
// All zeros: no limit, and nobody counts.
#pragma once

#include <atomic>
#include <cstddef>

namespace bm::pages {

class Budget {
 public:
  bool limited() const { return most_.load(std::memory_order_relaxed) != 0; }
  std::size_t most() const { return most_.load(std::memory_order_relaxed); }
  std::size_t held() const { return held_.load(std::memory_order_relaxed); }
  // So close to the limit that free memory is no longer kept for later.
  bool tight() const { return limited() && held() > calm_.load(std::memory_order_relaxed); }

  // False: that would be too much. Zero pages are never too much.
  bool charge(std::size_t pages) {
    std::size_t seen = held();
    do {
      const std::size_t most = most_.load(std::memory_order_relaxed);
      if (pages != 0 && (seen > most || pages > most - seen)) return false;
    } while (!held_.compare_exchange_weak(seen, seen + pages, std::memory_order_relaxed));
    return true;
  }
  // What is there already, or there no more.
  void add(std::size_t pages) { held_.fetch_add(pages, std::memory_order_relaxed); }
  void discharge(std::size_t pages) {
    // Never below zero: in a fork's child an interrupted call may give back what restart() has forgotten.
    std::size_t seen = held();
    while (!held_.compare_exchange_weak(seen, seen - (pages < seen ? pages : seen), std::memory_order_relaxed)) {
    }
  }

  // `most` > 0 pages may be held; above `calm` it is tight. What is held already stays.
  void limit(std::size_t most, std::size_t calm) {
    calm_.store(calm, std::memory_order_relaxed);
    most_.store(most, std::memory_order_relaxed);
  }
  // Nothing is held: everybody is about to tell anew.
  void restart() { held_.store(0, std::memory_order_relaxed); }

 private:
  std::atomic<std::size_t> most_{0};
  std::atomic<std::size_t> calm_{0};
  std::atomic<std::size_t> held_{0};
};

}  // namespace bm::pages
