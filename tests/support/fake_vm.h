// fake_vm.h: an os::Vm that records every call, checks the caller's side of the contract in os/vm.h, and refuses what
// the test tells it to.  layer: tests
// The memory is real (linux_vm works below). os::Vm is a table of plain functions, so one FakeVm exists at a time; it
// may be called from any thread. A broken contract fails the test when the FakeVm goes.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "os/vm.h"

namespace bm::test {

enum class VmOp {
  kReserve,
  kReserveLow,
  kRelease,
  kCommit,
  kCommitHuge,
  kPurge,
  kPopulate,
  kPreferNode,
  kAdvise,
  kMap,
  kRemap,
  kCollapse,
  kSplit,
  kMove,
  kRenew
};

struct VmCall {
  VmOp op;
  char* start;  // null while it is not known yet
  std::size_t bytes;
  bool huge = false;  // of kAdvise
  unsigned node = 0;  // of kPreferNode
};

class FakeVm {
 public:
  FakeVm();
  ~FakeVm();
  FakeVm(const FakeVm&) = delete;
  FakeVm& operator=(const FakeVm&) = delete;

  static const os::Vm table;

  // Asked, with no lock held, before every call that may say no; also the place to look at the caller meanwhile.
  std::function<bool(const VmCall&)> refuse;

  std::vector<VmCall> calls() const;            // those that were granted
  std::size_t count(VmOp) const;                // of them
  std::size_t asked() const { return asked_; }  // calls that might have been refused
  bool committed(const void* start, std::size_t bytes) const;
  bool hugepages_wished(const void* at) const;  // what the last advice about this address was; false: none
  std::size_t areas() const;                    // reservations and mappings not released
  std::vector<std::string> take_broken();       // what callers did wrong so far

 private:
  friend struct FakeVmTable;
  using Ranges = std::map<char*, char*>;  // start -> end
  bool ask(const VmCall& call);
  void done(const VmCall& call) { calls_.push_back(call); }
  void demand(bool ok, const char* what, const void* start, std::size_t bytes);
  static bool covers(const Ranges&, const void* start, std::size_t bytes);
  static void add(Ranges&, char* start, std::size_t bytes);
  static void cut(Ranges&, char* start, std::size_t bytes);

  mutable std::mutex mutex_;
  std::vector<VmCall> calls_;
  std::vector<std::string> broken_;
  std::size_t asked_ = 0;
  Ranges areas_;
  Ranges committed_;
};

// Metadata and one section, no second one: the limit of an address space.
struct NoMoreSections : FakeVm {
  NoMoreSections() {
    refuse = [this](const VmCall& c) { return c.op == VmOp::kReserve && count(VmOp::kReserve) == 2; };
  }
};

// Refuses the k-th call that may be refused, counted from 1, or all from it on.
class FaultVm : public FakeVm {
 public:
  enum Kind { kOnce, kFromThenOn };
  FaultVm(std::size_t k, Kind kind) {
    refuse = [this, k, kind](const VmCall&) { return kind == kOnce ? asked() == k : asked() >= k; };
  }
};

}  // namespace bm::test
