// threads.h: a thread that does one thing after another on request and sleeps in between.  layer: tests
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace bm::test {

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
