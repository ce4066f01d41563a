// vm.h: the contract with the OS about address space and memory.  layer: os
// A table of functions so that any layer above runs on a fake, or on one that fails its k-th call (tests/support).
// "No" is an answer for every one of them: the caller must cope; no function aborts, none sets errno.
#pragma once

#include <cstddef>

namespace bm::os {

struct Vm {
  // Address space without memory: unreadable until committed. `bytes` and `alignment` are multiples of the granule,
  // alignment a power of two. Null when the OS refuses.
  void* (*reserve)(std::size_t bytes, std::size_t alignment);
  // Gives a whole reservation or direct mapping, or any part of it, back for good.
  void (*release)(void* start, std::size_t bytes);
  // Makes reserved memory readable and writable; it reads as zero until written. False: nothing changed.
  bool (*commit)(void* start, std::size_t bytes);
  // Drops the contents: the range reads as zero and costs nothing until touched again. False (for example locked
  // memory): contents must be taken as unchanged.
  bool (*purge)(void* start, std::size_t bytes);
  // Puts memory behind a committed range that reads as zero and leaves it zero. False: not all of it has memory.
  bool (*populate)(void* start, std::size_t bytes);
  // As reserve(), below 4 GiB.
  void* (*reserve_low)(std::size_t bytes, std::size_t alignment);
  // As commit(), with explicit hugepages: 1 GiB ones where range and machine allow it, else 2 MiB ones. They are set aside
  // now, so that touching them cannot fail; purge() cannot take them back. False: the machine has none to give.
  bool (*commit_huge)(void* start, std::size_t bytes);
  // Wishes: the memory of this range from a NUMA node, by the kernel's number. No effect on contents; may be ignored.
  void (*prefer_node)(void* start, std::size_t bytes, unsigned node);
  // Wishes: hugepages for this range, or none. No effect on contents; may be ignored.
  void (*advise_huge)(void* start, std::size_t bytes, bool wanted);
  // A zeroed readable and writable mapping of its own, hugepages wished for. Null when refused.
  void* (*map)(std::size_t bytes, std::size_t alignment);
  // Grows or shrinks such a mapping, moving it when needed. Null: unchanged.
  void* (*remap)(void* start, std::size_t old_bytes, std::size_t new_bytes);
  // Puts hugepages behind committed memory that is on small ones; contents stay, holes get memory that reads as zero.
  // start and bytes are multiples of the pageblock size. False: not behind all of it.
  bool (*collapse)(void* start, std::size_t bytes);
  // Small pages instead of the hugepage behind this pageblock-aligned address, when there is one; contents stay. Without it
  // a part of a hugepage that is purged stays with the process, though nothing shows it: a cgroup is charged until the kernel is
  // short of memory. False: refused.
  bool (*split)(void* start);
  // Gives the memory behind a committed range, and with it the contents, to another, whose own is dropped; the first reads as
  // zero then. Whole pageblocks for which hugepages are wished, without overlap. The kernel keeps the second apart from its
  // neighbours from then on, as a mapping more, until renew(). False: the first is unchanged, the second may read as zero.
  bool (*move)(void* from, void* to, std::size_t bytes);
  // purge() for what has been moved to.
  bool (*renew)(void* start, std::size_t bytes);
  // Bytes of a range of committed memory, a pageblock at most, that have memory behind them; 0 when that cannot be told.
  std::size_t (*resident)(void* start, std::size_t bytes);
};

extern const Vm linux_vm;

// What the heap runs on: linux_vm, or in builds with -Dfault_injection=true the same with chosen calls refused
// (faulty_vm.cc). Which of the two is linked is the build's choice.
const Vm& system_vm();

// Bytes; the unit in which the OS takes memory back.
std::size_t granule();

// Bytes of RAM in the machine.
std::size_t physical_memory();

// What the process may still map, in bytes: the smaller of RLIMIT_AS less what is mapped and RLIMIT_DATA less the
// writable private part. SIZE_MAX when unlimited.
std::size_t address_space_left();

}  // namespace bm::os
