// fake_vm.cc: see fake_vm.h.  layer: tests
#include "support/fake_vm.h"

#include <catch2/catch.hpp>
#include <cstdint>

#include "base/bits.h"
#include "base/config.h"

namespace bm::test {
namespace {

FakeVm* current = nullptr;

bool on_granule(const void* start, std::size_t bytes) {
  return ((reinterpret_cast<std::uintptr_t>(start) | bytes) & (os::granule() - 1)) == 0 && bytes != 0;
}

}  // namespace

struct FakeVmTable {
  using Guard = std::lock_guard<std::mutex>;

  static void* fresh(VmOp op, std::size_t bytes, std::size_t alignment) {
    FakeVm& vm = *current;
    const bool reserve = op != VmOp::kMap;
    vm.demand(on_granule(nullptr, bytes) && on_granule(nullptr, alignment) && is_power_of_two(alignment),
              "sizes of a reservation or mapping", nullptr, bytes);
    if (!vm.ask({op, nullptr, bytes})) return nullptr;
    const auto call = op == VmOp::kReserve      ? os::linux_vm.reserve
                      : op == VmOp::kReserveLow ? os::linux_vm.reserve_low
                                                : os::linux_vm.map;
    auto* p = static_cast<char*>(call(bytes, alignment));
    if (p == nullptr) return nullptr;
    const Guard hold(vm.mutex_);
    vm.done({op, p, bytes});
    vm.areas_[p] = p + bytes;
    if (!reserve) FakeVm::add(vm.committed_, p, bytes);
    return p;
  }
  static void* reserve(std::size_t bytes, std::size_t alignment) { return fresh(VmOp::kReserve, bytes, alignment); }
  static void* reserve_low(std::size_t bytes, std::size_t alignment) {
    return fresh(VmOp::kReserveLow, bytes, alignment);
  }
  static void* map(std::size_t bytes, std::size_t alignment) { return fresh(VmOp::kMap, bytes, alignment); }

  static void release(void* start, std::size_t bytes) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(on_granule(p, bytes), "release off the granule", p, bytes);
    const Guard hold(vm.mutex_);
    if (!FakeVm::covers(vm.areas_, p, bytes)) vm.broken_.push_back("release of what was not reserved");
    FakeVm::cut(vm.areas_, p, bytes);
    FakeVm::cut(vm.committed_, p, bytes);
    vm.done({VmOp::kRelease, p, bytes});
    os::linux_vm.release(start, bytes);
  }

  static bool commit(void* start, std::size_t bytes) { return commit_as(VmOp::kCommit, start, bytes); }
  // Ordinary memory stands for the hugepages, which few machines set aside.
  static bool commit_huge(void* start, std::size_t bytes) { return commit_as(VmOp::kCommitHuge, start, bytes); }
  static bool commit_as(VmOp op, void* start, std::size_t bytes) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(on_granule(p, bytes), "commit off the granule", p, bytes);
    vm.demand(FakeVm::covers(vm.areas_, p, bytes), "commit outside reservations", p, bytes);
    if (!vm.ask({op, p, bytes}) || !os::linux_vm.commit(start, bytes)) return false;
    const Guard hold(vm.mutex_);
    FakeVm::add(vm.committed_, p, bytes);
    vm.done({op, p, bytes});
    return true;
  }

  static bool on_committed(VmOp op, bool (*call)(void*, std::size_t), void* start, std::size_t bytes) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(on_granule(p, bytes), "call off the granule", p, bytes);
    vm.demand(vm.committed(p, bytes), "call about what is not committed", p, bytes);
    if (!vm.ask({op, p, bytes}) || !call(start, bytes)) return false;
    const Guard hold(vm.mutex_);
    vm.done({op, p, bytes});
    return true;
  }
  static bool purge(void* start, std::size_t bytes) {
    return on_committed(VmOp::kPurge, os::linux_vm.purge, start, bytes);
  }
  static bool populate(void* start, std::size_t bytes) {
    return on_committed(VmOp::kPopulate, os::linux_vm.populate, start, bytes);
  }

  static void prefer_node(void* start, std::size_t bytes, unsigned node) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(FakeVm::covers(vm.areas_, p, bytes), "node wished outside reservations", p, bytes);
    const Guard hold(vm.mutex_);
    vm.done({VmOp::kPreferNode, p, bytes, false, node});
  }

  static bool collapse(void* start, std::size_t bytes) {
    current->demand(((reinterpret_cast<std::uintptr_t>(start) | bytes) & (kPageblockSize - 1)) == 0,
                    "collapse of parts of pageblocks", start, bytes);
    return on_committed(VmOp::kCollapse, os::linux_vm.collapse, start, bytes);
  }
  static bool split(void* start) {
    current->demand((reinterpret_cast<std::uintptr_t>(start) & (kPageblockSize - 1)) == 0, "split inside a pageblock",
                    start, kPageblockSize);
    return on_committed(
        VmOp::kSplit, [](void* p, std::size_t) { return os::linux_vm.split(p); }, start, kPageblockSize);
  }
  static bool move(void* from, void* to, std::size_t bytes) {
    FakeVm& vm = *current;
    auto *const a = static_cast<char*>(from), *const b = static_cast<char*>(to);
    vm.demand(((reinterpret_cast<std::uintptr_t>(from) | reinterpret_cast<std::uintptr_t>(to) | bytes) &
               (kPageblockSize - 1)) == 0,
              "move of parts of pageblocks", from, bytes);
    vm.demand(vm.committed(a, bytes) && vm.committed(b, bytes), "move of or to what is not committed", from, bytes);
    vm.demand(a + bytes <= b || b + bytes <= a, "move onto itself", from, bytes);
    if (!vm.ask({VmOp::kMove, b, bytes}) || !os::linux_vm.move(from, to, bytes)) return false;
    const Guard hold(vm.mutex_);
    vm.done({VmOp::kMove, b, bytes});
    return true;
  }
  static bool renew(void* start, std::size_t bytes) {
    return on_committed(VmOp::kRenew, os::linux_vm.renew, start, bytes);
  }
  static std::size_t resident(void* start, std::size_t bytes) {
    auto* p = static_cast<char*>(start);
    current->demand(on_granule(p, bytes) && current->committed(p, bytes), "resident of what is not committed", p,
                    bytes);
    return os::linux_vm.resident(start, bytes);
  }

  static void advise_huge(void* start, std::size_t bytes, bool wanted) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(on_granule(p, bytes), "advice off the granule", p, bytes);
    vm.demand(FakeVm::covers(vm.areas_, p, bytes), "advice outside reservations", p, bytes);
    const Guard hold(vm.mutex_);
    vm.done({VmOp::kAdvise, p, bytes, wanted});
    os::linux_vm.advise_huge(start, bytes, wanted);
  }

  static void* remap(void* start, std::size_t old_bytes, std::size_t new_bytes) {
    FakeVm& vm = *current;
    auto* p = static_cast<char*>(start);
    vm.demand(on_granule(p, old_bytes) && on_granule(nullptr, new_bytes), "remap off the granule", p, old_bytes);
    vm.demand(vm.committed(p, old_bytes), "remap of what is not mapped", p, old_bytes);
    if (!vm.ask({VmOp::kRemap, p, new_bytes})) return nullptr;
    auto* q = static_cast<char*>(os::linux_vm.remap(start, old_bytes, new_bytes));
    if (q == nullptr) return nullptr;
    const Guard hold(vm.mutex_);
    FakeVm::cut(vm.areas_, p, old_bytes);
    FakeVm::cut(vm.committed_, p, old_bytes);
    vm.areas_[q] = q + new_bytes;
    FakeVm::add(vm.committed_, q, new_bytes);
    vm.done({VmOp::kRemap, q, new_bytes});
    return q;
  }
};

const os::Vm FakeVm::table = {
    FakeVmTable::reserve,     FakeVmTable::release,     FakeVmTable::commit,      FakeVmTable::purge,
    FakeVmTable::populate,    FakeVmTable::reserve_low, FakeVmTable::commit_huge, FakeVmTable::prefer_node,
    FakeVmTable::advise_huge, FakeVmTable::map,         FakeVmTable::remap,       FakeVmTable::collapse,
    FakeVmTable::split,       FakeVmTable::move,        FakeVmTable::renew,       FakeVmTable::resident};

FakeVm::FakeVm() {
  REQUIRE(current == nullptr);
  current = this;
}

FakeVm::~FakeVm() {
  current = nullptr;
  for (const auto& [start, end] : areas_) os::linux_vm.release(start, static_cast<std::size_t>(end - start));
  for (const std::string& what : broken_) FAIL_CHECK(what);
}

bool FakeVm::ask(const VmCall& call) {
  {
    const std::lock_guard<std::mutex> hold(mutex_);
    ++asked_;
  }
  return !refuse || !refuse(call);
}

void FakeVm::demand(bool ok, const char* what, const void* start, std::size_t bytes) {
  if (ok) return;
  const std::lock_guard<std::mutex> hold(mutex_);
  broken_.push_back(std::string(what) + ": " + std::to_string(reinterpret_cast<std::uintptr_t>(start)) + " +" +
                    std::to_string(bytes));
}

bool FakeVm::covers(const Ranges& ranges, const void* start, std::size_t bytes) {
  auto* p = const_cast<char*>(static_cast<const char*>(start));
  auto after = ranges.upper_bound(p);
  if (after == ranges.begin()) return false;
  return std::prev(after)->second >= p + bytes;
}

void FakeVm::add(Ranges& ranges, char* start, std::size_t bytes) {
  char* end = start + bytes;
  auto after = ranges.upper_bound(start);
  if (after != ranges.begin() && std::prev(after)->second >= start) {
    --after;
    start = after->first;
    end = std::max(end, after->second);
    after = ranges.erase(after);
  }
  while (after != ranges.end() && after->first <= end) {
    end = std::max(end, after->second);
    after = ranges.erase(after);
  }
  ranges[start] = end;
}

void FakeVm::cut(Ranges& ranges, char* start, std::size_t bytes) {
  char* const end = start + bytes;
  Ranges kept;
  for (const auto& [a, b] : ranges) {
    if (a < start) kept[a] = std::min(b, start);
    if (b > end) kept[std::max(a, end)] = b;
  }
  ranges = kept;
}

std::vector<VmCall> FakeVm::calls() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return calls_;
}

std::size_t FakeVm::count(VmOp op) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  std::size_t n = 0;
  for (const VmCall& c : calls_) n += c.op == op ? 1U : 0U;
  return n;
}

bool FakeVm::committed(const void* start, std::size_t bytes) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return covers(committed_, start, bytes);
}

bool FakeVm::hugepages_wished(const void* at) const {
  const std::lock_guard<std::mutex> hold(mutex_);
  bool wished = false;
  for (const VmCall& c : calls_)
    if (c.op == VmOp::kAdvise && at >= c.start && at < c.start + c.bytes) wished = c.huge;
  return wished;
}

std::size_t FakeVm::areas() const {
  const std::lock_guard<std::mutex> hold(mutex_);
  return areas_.size();
}

std::vector<std::string> FakeVm::take_broken() {
  const std::lock_guard<std::mutex> hold(mutex_);
  return std::exchange(broken_, {});
}

}  // namespace bm::test
