// faulty_vm.cc: the heap's OS in builds with -Dfault_injection=true.  layer: os
// BUDDYMALLOC_FAIL_AT=k refuses the k-th request for memory or address space (k = 1, 2, ...) and lets all others pass;
// BUDDYMALLOC_FAIL_FROM=k refuses that one and all after it. Any program can so be run against each refusal in turn.
#include <atomic>
#include <cstdlib>

#include "os/process.h"
#include "os/vm.h"

namespace bm::os {
namespace {

std::atomic<unsigned long> requests{0};

unsigned long number(const char* name) {
  const char* const text = environment(name);
  return text == nullptr ? 0 : std::strtoul(text, nullptr, 10);
}

bool refused() {
  const unsigned long now = requests.fetch_add(1) + 1;
  const unsigned long from = number("BUDDYMALLOC_FAIL_FROM");
  return now == number("BUDDYMALLOC_FAIL_AT") || (from != 0 && now >= from);
}

void* reserve(std::size_t bytes, std::size_t alignment) {
  return refused() ? nullptr : linux_vm.reserve(bytes, alignment);
}
bool commit(void* start, std::size_t bytes) { return !refused() && linux_vm.commit(start, bytes); }
bool purge(void* start, std::size_t bytes) { return !refused() && linux_vm.purge(start, bytes); }
bool populate(void* start, std::size_t bytes) { return !refused() && linux_vm.populate(start, bytes); }
void* map(std::size_t bytes, std::size_t alignment) { return refused() ? nullptr : linux_vm.map(bytes, alignment); }
void* remap(void* start, std::size_t old_bytes, std::size_t new_bytes) {
  return refused() ? nullptr : linux_vm.remap(start, old_bytes, new_bytes);
}
void* reserve_low(std::size_t bytes, std::size_t alignment) {
  return refused() ? nullptr : linux_vm.reserve_low(bytes, alignment);
}
bool commit_huge(void* start, std::size_t bytes) { return !refused() && linux_vm.commit_huge(start, bytes); }
void prefer_node(void* start, std::size_t bytes, unsigned node) { linux_vm.prefer_node(start, bytes, node); }
bool collapse(void* start, std::size_t bytes) { return !refused() && linux_vm.collapse(start, bytes); }
bool split(void* start) { return !refused() && linux_vm.split(start); }
bool move(void* from, void* to, std::size_t bytes) { return !refused() && linux_vm.move(from, to, bytes); }
bool renew(void* start, std::size_t bytes) { return !refused() && linux_vm.renew(start, bytes); }
std::size_t resident(void* start, std::size_t bytes) { return linux_vm.resident(start, bytes); }
void release(void* start, std::size_t bytes) { linux_vm.release(start, bytes); }
void advise_huge(void* start, std::size_t bytes, bool wanted) { linux_vm.advise_huge(start, bytes, wanted); }

constinit const Vm faulty_vm = {reserve,     release, commit, purge,    populate, reserve_low, commit_huge, prefer_node,
                                advise_huge, map,     remap,  collapse, split,    move,        renew,       resident};

}  // namespace

const Vm& system_vm() { return faulty_vm; }

}  // namespace bm::os
