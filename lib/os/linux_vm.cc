// linux_vm.cc: the Linux implementation of vm.h.  layer: os
#include <atomic>
#include <cerrno>
#include <cstdint>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#if !defined(__x86_64__)
#include <unistd.h>
#endif

#include "base/bits.h"
#include "base/config.h"
#include "base/number.h"
#include "os/fatal.h"
#include "os/file.h"
#include "os/syscall.h"
#include "os/vm.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace bm::os {
namespace {

void name_range(void* start, std::size_t bytes, const char* name) {
  // optional in kernels: no matter if it fails
  system_call(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, start, bytes, name);
}

// 0: refused
std::uintptr_t map_anywhere(std::size_t bytes, int protection, int flags) {
  const long p = system_call(SYS_mmap, nullptr, bytes, protection, flags, -1, 0);
  return is_error(p) ? 0 : static_cast<std::uintptr_t>(p);
}

void unmap(std::uintptr_t start, std::size_t bytes) { system_call(SYS_munmap, start, bytes); }

bool advise(void* start, std::size_t bytes, int advice) { return system_call(SYS_madvise, start, bytes, advice) == 0; }

// An aligned mapping: as the kernel places it if that happens to fit, else a larger one with its ends cut off.
void* map_aligned(std::size_t bytes, std::size_t alignment, int protection, int flags) {
  std::uintptr_t at = map_anywhere(bytes, protection, flags);
  if ((at & (alignment - 1)) == 0) return reinterpret_cast<void*>(at);
  unmap(at, bytes);
  const std::size_t larger = bytes + alignment;
  if (larger < bytes) return nullptr;
  at = map_anywhere(larger, protection, flags);
  if (at == 0) return nullptr;
  const std::uintptr_t start = align_up(at, alignment);
  if (start != at) unmap(at, start - at);
  if (start - at != alignment) unmap(start + bytes, alignment - (start - at));
  return reinterpret_cast<void*>(start);
}

void* reserve(std::size_t bytes, std::size_t alignment) {
  void* p = map_aligned(bytes, alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (p != nullptr) name_range(p, bytes, "buddymalloc");
  return p;
}

void release(void* start, std::size_t bytes) { unmap(reinterpret_cast<std::uintptr_t>(start), bytes); }

bool commit(void* start, std::size_t bytes) {
  return system_call(SYS_mprotect, start, bytes, PROT_READ | PROT_WRITE) == 0;
}

// The kernel takes an address as a hint only; below 4 GiB it is asked at one place after another.
void* reserve_low(std::size_t bytes, std::size_t alignment) {
  constexpr std::uint64_t kEnd = std::uint64_t{1} << 32;
  constexpr std::uint64_t kFirst = std::uint64_t{64} << 20;  // the lowest addresses are for programs that ask for them
  const std::uint64_t step = alignment > (std::uint64_t{16} << 20) ? alignment : std::uint64_t{16} << 20;
  for (std::uint64_t at = align_up(kFirst, step); at + bytes <= kEnd; at += step) {
    const long p = system_call(SYS_mmap, at, bytes, PROT_NONE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (is_error(p)) {
      if (p == -ENOMEM) return nullptr;
      continue;
    }
    // Kernels before 4.17 take the flag for a hint.
    if (static_cast<std::uint64_t>(p) == at) {
      name_range(reinterpret_cast<void*>(p), bytes, "buddymalloc");
      return reinterpret_cast<void*>(p);
    }
    unmap(static_cast<std::uintptr_t>(p), bytes);
  }
  return nullptr;
}

// Not MAP_NORESERVE: the kernel sets the pages aside, or says no.
bool commit_huge(void* start, std::size_t bytes) {
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_HUGETLB;
  const auto map_pages = [&](unsigned shift) {
    return !is_error(system_call(SYS_mmap, start, bytes, PROT_READ | PROT_WRITE,
                                 kFlags | static_cast<int>(shift << MAP_HUGE_SHIFT), -1, 0));
  };
  const bool whole_gib = ((reinterpret_cast<std::uintptr_t>(start) | bytes) & (kGiB - 1)) == 0;
  if (whole_gib && map_pages(30)) return true;
  if (map_pages(21)) return true;
  // What was reserved there may be gone now.
  system_call(SYS_mmap, start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return false;
}

void prefer_node(void* start, std::size_t bytes, unsigned node) {
  constexpr unsigned kBits = 1024;
  constexpr unsigned kWord = 8 * sizeof(unsigned long);
  unsigned long mask[kBits / kWord] = {};
  if (node >= kBits) return;
  mask[node / kWord] = 1UL << (node % kWord);
  constexpr int kPreferred = 1;  // MPOL_PREFERRED: where that node has none, memory of others will do
  system_call(SYS_mbind, start, bytes, kPreferred, mask, kBits, 0);
}

bool purge(void* start, std::size_t bytes) { return advise(start, bytes, MADV_DONTNEED); }

bool populate(void* start, std::size_t bytes) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14
  const long result = system_call(SYS_madvise, start, bytes, kPopulateWrite);
  if (result != -EINVAL) return result == 0;
  for (std::size_t at = 0; at < bytes; at += kPageSize) static_cast<volatile char*>(start)[at] = 0;
  return true;
}

void advise_huge(void* start, std::size_t bytes, bool wanted) {
  advise(start, bytes, wanted ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void* map(std::size_t bytes, std::size_t alignment) {
  void* p = map_aligned(bytes, alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  if (p != nullptr) advise(p, bytes, MADV_HUGEPAGE);
  return p;
}

void* remap(void* start, std::size_t old_bytes, std::size_t new_bytes) {
  const long p = system_call(SYS_mremap, start, old_bytes, new_bytes, MREMAP_MAYMOVE, 0);
  return is_error(p) ? nullptr : reinterpret_cast<void*>(p);
}

bool collapse(void* start, std::size_t bytes) {
  constexpr int kCollapse = 25;  // MADV_COLLAPSE, Linux 6.1
  return advise(start, bytes, kCollapse);
}

// A hugepage that is cold in part only is split at once: Linux 5.4.
bool split(void* start) { return advise(start, granule(), MADV_COLD); }

bool map_again(void* start, std::size_t bytes, int flag) {
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const long p = system_call(SYS_mmap, start, bytes, PROT_READ | PROT_WRITE, kFlags | flag, -1, 0);
  if (p != static_cast<long>(reinterpret_cast<std::uintptr_t>(start))) return false;
  name_range(start, bytes, "buddymalloc");  // with other names, or advice, neighbours are not merged
  advise_huge(start, bytes, true);
  return true;
}

// Linux 5.7. Memory that is locked refuses to be purged, and stays where it is.
bool move(void* from, void* to, std::size_t bytes) {
  constexpr int kDontUnmap = 4;  // MREMAP_DONTUNMAP
  if (!purge(to, bytes)) return false;
  const long p = system_call(SYS_mremap, from, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED | kDontUnmap, to);
  if (!is_error(p)) return true;
  // Some reasons to refuse a kernel may find after it has made room: then there is nothing any more, unless another thread has
  // mapped something there meanwhile.
  static constinit std::atomic<bool> makes_room_first{false};
  if (map_again(to, bytes, MAP_FIXED_NOREPLACE))
    makes_room_first.store(true, std::memory_order_relaxed);
  else if (makes_room_first.load(std::memory_order_relaxed) && (p == -EFAULT || p == -EAGAIN))
    fatal("a range was taken by another mapping while a block was moved to", to);
  return false;
}

bool renew(void* start, std::size_t bytes) { return purge(start, bytes) && map_again(start, bytes, MAP_FIXED); }

std::size_t resident(void* start, std::size_t bytes) {
  unsigned char pages[kPagesPerBlock] = {};
  if (bytes > kPageblockSize || system_call(SYS_mincore, start, bytes, pages) != 0) return 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < bytes / granule(); ++i) n += pages[i] & 1U;
  return n * granule();
}

std::size_t soft_limit(int which) {
  rlimit limit{};
  if (system_call(SYS_prlimit64, 0, which, nullptr, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
  return limit.rlim_cur;
}

}  // namespace

constinit const Vm linux_vm = {reserve,     release, commit, purge,    populate, reserve_low, commit_huge, prefer_node,
                               advise_huge, map,     remap,  collapse, split,    move,        renew,       resident};

#if defined(__x86_64__)
std::size_t granule() { return kPageSize; }
#else
std::size_t granule() { return static_cast<std::size_t>(sysconf(_SC_PAGESIZE)); }
#endif

std::size_t physical_memory() {
  struct sysinfo info {};
  return system_call(SYS_sysinfo, &info) == 0 ? std::size_t{info.totalram} * info.mem_unit : 0;
}

std::size_t address_space_left() {
  const std::size_t space = soft_limit(RLIMIT_AS);
  const std::size_t data = soft_limit(RLIMIT_DATA);
  if (space == SIZE_MAX && data == SIZE_MAX) return SIZE_MAX;
  // /proc/self/statm: size resident shared text lib data dt, in OS pages
  std::size_t mapped = 0;
  std::size_t private_data = 0;
  char text[160];
  if (read_file("/proc/self/statm", text, sizeof text)) {
    const char* at = text;
    std::size_t field[6] = {};
    for (auto& f : field) {
      while (*at == ' ') ++at;
      if (!read_number(at, f)) break;
    }
    mapped = field[0] * granule();
    private_data = field[5] * granule();
  }
  const std::size_t a = space == SIZE_MAX ? SIZE_MAX : (space > mapped ? space - mapped : 0);
  const std::size_t b = data == SIZE_MAX ? SIZE_MAX : (data > private_data ? data - private_data : 0);
  return a < b ? a : b;
}

}  // namespace bm::os
