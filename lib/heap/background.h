// background.h: the thread that gives memory back while the program sleeps; kswapd's part.  layer: heap
// Made lazily, in a program that has threads of its own and a heap that may hold slack; a program with one thread never
// gets it. While it is at work frees do not purge: it does, once slack has lain idle for a moment. It also merges
// what was freed into heaps whose thread does not come by. It has no heap, takes no signal, allocates nothing, and ends
// when the program has one thread again: at once, but for a program whose teams of threads have been seen to come back. There
// it waits for the next team for a moment, which then finds the memory of the last one.
// [BG-1] at most one at a time; made on allocating slow paths only, with no lock of ours held
// [BG-2] zones defer to it only between its first and its last look at them
// [BG-3] it does not outlive the program's first thread by more than a tick, nor the start of a call that needs one thread
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
  // A thread with a heap has started beside another.
  void thread_started();
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
  void thread_ended(std::uint32_t left);
  // Before what the kernel refuses to a process with two threads: it is gone when this returns.
  void leave();
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
  bool awaits_team() const;
  bool look();
  void look_for_holes(std::uint64_t now);

  std::atomic<State> state_{State::kNone};
  std::atomic<bool> dozing_{false};    // it sleeps for long
  os::Lock looking_;                   // held while the thread is at the heaps
  std::uint32_t pid_ = 0;              // whose heap this is: a child of vfork has the same memory
  std::atomic<std::uint32_t> tid_{0};  // of the last one; 0: it has been seen to be gone
  std::atomic<bool> leaving_{false};
  std::atomic<bool> alone_{false};             // the last other thread has ended,
  std::atomic<std::uint64_t> alone_since_{0};  // then
  std::atomic<bool> teams_return_{false};      // the last team came soon after the one before
  os::Doorbell bell_;
  bool for_sleepers_ = false;  // made although one thread alone has a heap
  IdleObjects idle_;
  HoleWalk walk_;
  bool walking_ = false;
};

[[gnu::visibility("hidden")]] extern Background background;

}  // namespace bm::heap
