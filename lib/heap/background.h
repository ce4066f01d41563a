// background.h: the thread that gives memory back while the program sleeps; kswapd's part.  layer: heap
// Made lazily, in a program that has threads of its own and a heap that may hold slack; a program with one thread never
// gets it. While it is at work frees do not purge: it does, once slack has lain idle for a moment. It also merges
// what was freed into heaps whose thread does not come by. It has no heap, takes no signal, allocates nothing, and ends
// when the program has one thread again.
// [BG-1] at most one at a time; made on allocating slow paths only, with no lock of ours held
// [BG-2] zones defer to it only between its first and its last look at them
#pragma once

#include <atomic>
#include <cstdint>

#include "heap/holes.h"
#include "os/lock.h"
#include "os/thread.h"

namespace bm::heap {

class Background {
 public:
  // The program has a second thread: consider() is worth calling.
  void allow();
  // The heap's only thread has given up much memory, and others, without heaps, may be there: the same.
  void allow_for_sleepers();
  // Makes the thread if there is a use for it.
  void consider();
  bool at_work() const { return state_.load(std::memory_order_relaxed) == State::kAtWork; }
  // There is slack to watch.
  void wake() {
    if (dozing_.load()) doze_no_more();
  }
  // A thread has handed its heap back; `left` have not.
  void thread_ended(std::uint32_t left) {
    if (left <= 1 && at_work()) bell_.ring();
  }
  // True: there is such a thread, and it rests until resume(): it touches no heap meanwhile.
  bool pause();
  void resume() { looking_.unlock(); }
  // In a fork's child: the thread is gone. The zones' locks are usable.
  void after_fork();

 private:
  enum class State : std::uint8_t { kNone, kStarting, kAtWork };
  static void body();
  void work();
  void doze_no_more();
  bool has_company();
  bool look();
  void look_for_holes(std::uint64_t now);

  std::atomic<State> state_{State::kNone};
  std::atomic<bool> dozing_{false};  // it sleeps for long
  os::Lock looking_;                 // held while the thread is at the heaps
  std::uint32_t pid_ = 0;            // whose heap this is: a child of vfork has the same memory
  os::Doorbell bell_;
  bool for_sleepers_ = false;  // made although one thread alone has a heap
  IdleObjects idle_;
  HoleWalk walk_;
  bool walking_ = false;
};

[[gnu::visibility("hidden")]] extern Background background;

}  // namespace bm::heap
