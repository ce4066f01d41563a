// system_vm.cc: the heap's OS in ordinary builds.  layer: os
#include "os/vm.h"

namespace bm::os {

const Vm& system_vm() { return linux_vm; }

}  // namespace bm::os
