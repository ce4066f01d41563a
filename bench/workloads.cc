// workloads.cc: the program: lists the workloads, or runs the one named.  layer: bench
//
//   workloads --list             names, one a line
//   workloads NAME [SCALE]       that one; SCALE multiplies the work (default 1); 0: a smoke test
#include "workloads.h"

#include <cstdio>
#include <cstring>

namespace bm::bench {
namespace {

constexpr std::span<const Workload> (*kGroups[])() = {
    server_workloads, thread_workloads,    lifetime_workloads, cache_workloads,
    large_workloads,  container_workloads, document_workloads, interpreter_workloads,
    bignum_workloads, cover_workloads,     octree_workloads,
};
const char* running = "";

int usage(const char* program) {
  std::fprintf(stderr, "usage: %s --list | NAME [SCALE]\n", program);
  return 2;
}

int list() {
  for (const auto group : kGroups)
    for (const Workload& workload : group()) std::puts(workload.name);
  return 0;
}

const Workload* named(const char* name) {
  for (const auto group : kGroups)
    for (const Workload& workload : group())
      if (std::strcmp(workload.name, name) == 0) return &workload;
  return nullptr;
}

}  // namespace

// Without running destructors: other threads may still be at work.
void fail(const char* what) {
  std::fprintf(stderr, "%s: %s\n", running, what);
  std::_Exit(1);
}

}  // namespace bm::bench

int main(int argc, char** argv) {
  using namespace bm::bench;
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) return list();
  const Workload* const workload = argc == 2 || argc == 3 ? named(argv[1]) : nullptr;
  if (workload == nullptr) return usage(argv[0]);
  char* end = nullptr;
  const std::size_t factor = argc == 3 ? std::strtoul(argv[2], &end, 10) : 1;
  if (argc == 3 && (end == argv[2] || *end != '\0')) return usage(argv[0]);
  running = workload->name;
  workload->run({factor});
  return 0;
}
