// storm.h: threads that churn in a shared table while the test does something else.  layer: tests
#pragma once

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

#include "support/random.h"

namespace bm::test {

// Table: churn(Random&) replaces an entry, clear() empties it; both false when something was damaged.
template <class Table>
class Storm {
 public:
  explicit Storm(unsigned threads) {
    for (unsigned i = 0; i < threads; ++i)
      threads_.emplace_back([this, i] {
        setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);  // children come first
        Random random(i + 1);
        if (!table.churn(random)) damaged = true;
        for (++running_; !stop_;)
          if (!table.churn(random)) damaged = true;
      });
    while (running_ != threads) std::this_thread::yield();  // each has its heap
  }
  ~Storm() {
    stop_ = true;
    for (auto& t : threads_) t.join();
    CHECK_FALSE(damaged);
    CHECK(table.clear());
  }
  Table table;
  std::atomic<bool> damaged{false};

 private:
  std::atomic<bool> stop_{false};
  std::atomic<unsigned> running_{0};
  std::vector<std::thread> threads_;
};

}  // namespace bm::test
