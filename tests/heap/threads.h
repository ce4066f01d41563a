// threads.h: a thread that does one thing after another on request and sleeps in between; waiting for others.  layer: tests
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace bm::test {

inline void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Up to ten seconds for what is to come.
template <class Condition>
bool within(Condition condition, int ms = 10'000) {
  for (int t = 0; t < ms; t += 20) {
    if (condition()) return true;
    sleep_ms(20);
  }
  return condition();
}

class Worker {
 public:
  Worker() : thread_([this] { work(); }) {}
  ~Worker() {
    hand_over({});
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Returns when the thread has done it.
  void run(std::function<void()> task) {
    hand_over(std::move(task));
    std::unique_lock hold(mutex_);
    changed_.wait(hold, [this] { return !busy_; });
  }

 private:
  void hand_over(std::function<void()> task) {
    std::lock_guard hold(mutex_);
    task_ = std::move(task);
    busy_ = true;
    changed_.notify_all();
  }
  void work() {
    for (;;) {
      std::unique_lock hold(mutex_);
      changed_.wait(hold, [this] { return busy_; });
      if (!task_) return;
      task_();
      busy_ = false;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> task_;
  bool busy_ = false;
  std::thread thread_;
};

}  // namespace bm::test
