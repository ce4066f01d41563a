// test_fake_vm.cc: the fake notices what it is there to notice.  layer: tests
#include <catch2/catch.hpp>

#include "support/fake_vm.h"

namespace bm::test {
namespace {

const os::Vm& vm_table = FakeVm::table;

TEST_CASE("proper use breaks nothing, and is recorded", "[fake_vm]") {
  FakeVm vm;
  auto* p = static_cast<char*>(vm_table.reserve(1 << 20, 4096));
  CHECK(vm_table.commit(p + 4096, 8192));
  CHECK(vm.committed(p + 4096, 8192));
  CHECK_FALSE(vm.committed(p, 8192));
  CHECK(vm_table.commit(p + 12288, 4096));
  CHECK(vm_table.purge(p + 4096, 12288));  // over two commits
  auto* q = static_cast<char*>(vm_table.map(1 << 20, 4096));
  q = static_cast<char*>(vm_table.remap(q, 1 << 20, 2 << 20));
  vm_table.release(q, 2 << 20);
  vm_table.release(p + (1 << 19), 1 << 19);
  CHECK(vm.areas() == 1);
  CHECK(vm.count(VmOp::kCommit) == 2);
  CHECK(vm.asked() == 6);
  CHECK(vm.take_broken().empty());
}

TEST_CASE("every misuse is noticed", "[fake_vm]") {
  FakeVm vm;
  auto* p = static_cast<char*>(vm_table.reserve(1 << 20, 4096));
  const auto noticed = [&](auto misuse) {
    misuse();
    return vm.take_broken().size() == 1;
  };
  CHECK(noticed([&] { vm_table.reserve(100, 4096); }));
  CHECK(noticed([&] { vm_table.reserve(4096, 4096 * 3); }));
  CHECK(noticed([&] { vm_table.commit(p + (1 << 20) - 4096, 8192); }));
  CHECK(noticed([&] { vm_table.commit(p + 1, 4096); }));
  CHECK(noticed([&] { vm_table.purge(p + (1 << 19), 4096); }));
  CHECK(noticed([&] { vm_table.advise_huge(p + (1 << 20), 4096, true); }));
  vm_table.release(p + (1 << 19), 1 << 19);
  CHECK(noticed([&] { vm_table.commit(p + (1 << 19), 4096); }));
  CHECK(noticed([&] { vm_table.release(p + (1 << 19), 4096); }));
}

TEST_CASE("FaultVm refuses the k-th call once, or all from it on", "[fake_vm]") {
  for (const auto kind : {FaultVm::kOnce, FaultVm::kFromThenOn}) {
    FaultVm vm(3, kind);
    auto* p = static_cast<char*>(vm_table.reserve(1 << 20, 4096));
    CHECK(vm_table.commit(p, 4096));
    CHECK_FALSE(vm_table.purge(p, 4096));
    CHECK((vm_table.map(4096, 4096) != nullptr) == (kind == FaultVm::kOnce));
  }
}

}  // namespace
}  // namespace bm::test
