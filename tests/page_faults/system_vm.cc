// system_vm.cc: what the library under test takes for the operating system.  layer: tests
#include "support/fake_vm.h"

namespace bm::os {

const Vm& system_vm() { return test::FakeVm::table; }

}  // namespace bm::os
