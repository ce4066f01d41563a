// arena_vm.cc: see arena_vm.h.  layer: tests
#include "support/arena_vm.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/bits.h"
#include "base/config.h"

namespace bm::test {
namespace {

constexpr std::size_t kBytes = std::size_t{1} << 30;
constexpr std::size_t kPages = kBytes >> kPageShift;

enum : std::uint8_t { kIsReserved = 1, kIsCommitted = 2, kHolds = 4, kBacked = 8 };

struct State {
  char* base = nullptr;
  std::size_t used = 0;  // bytes
  std::uint8_t page[kPages] = {};
  bool refused[ArenaVm::kOps] = {};
  std::size_t countdown = 0, more = 0;
  std::size_t reserves = 0, refusals = 0;
} state;

[[noreturn]] void broken(const char* what) {
  std::fprintf(stderr, "os::Vm: %s\n", what);
  std::abort();
}

bool refuses(ArenaVm::Op op) {
  bool no = state.refused[op];
  if (state.countdown != 0 && --state.countdown == 0) {
    no = true;
    if (state.more != 0) --state.more, state.countdown = 1;
  }
  state.refusals += no;
  return no;
}

// The pages of a range, all of which are in the demanded state.
std::uint8_t* pages(const void* start, std::size_t bytes, std::uint8_t demanded, const char* what) {
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(start) - state.base);
  if (bytes == 0 || ((offset | bytes) & (kPageSize - 1)) != 0 || offset >= kBytes || bytes > kBytes - offset)
    broken("not whole pages of a reservation");
  std::uint8_t* const first = state.page + (offset >> kPageShift);
  for (std::size_t i = 0; i < bytes >> kPageShift; ++i)
    if ((first[i] & demanded) != demanded) broken(what);
  return first;
}

void* reserve(std::size_t bytes, std::size_t alignment) {
  if (state.base == nullptr) ArenaVm::reset();
  if (bytes == 0 || bytes % kPageSize != 0 || alignment % kPageSize != 0 || !is_power_of_two(alignment))
    broken("sizes of a reservation");
  const std::size_t at = align_up(state.used, alignment);
  if (refuses(ArenaVm::kReserve) || bytes > kBytes - at) return nullptr;
  state.used = at + bytes;
  ++state.reserves;
  std::fill_n(state.page + (at >> kPageShift), bytes >> kPageShift, kIsReserved);
  return state.base + at;
}

void release(void* start, std::size_t bytes) {
  std::uint8_t* const p = pages(start, bytes, kIsReserved, "release of what is not reserved");
  std::fill_n(p, bytes >> kPageShift, std::uint8_t{0});
}

bool commit(void* start, std::size_t bytes) {
  std::uint8_t* const p = pages(start, bytes, kIsReserved, "commit outside reservations");
  if (refuses(ArenaVm::kCommit)) return false;
  for (std::size_t i = 0; i < bytes >> kPageShift; ++i) p[i] |= kIsCommitted;
  return true;
}

bool purge(void* start, std::size_t bytes) {
  std::uint8_t* const p = pages(start, bytes, kIsCommitted, "purge of what is not committed");
  if (refuses(ArenaVm::kPurge)) return false;
  for (std::size_t i = 0; i < bytes >> kPageShift; ++i) p[i] &= static_cast<std::uint8_t>(~(kHolds | kBacked));
  return true;
}

bool populate(void* start, std::size_t bytes) {
  std::uint8_t* const p = pages(start, bytes, kIsCommitted, "populate of what is not committed");
  for (std::size_t i = 0; i < bytes >> kPageShift; ++i)
    if ((p[i] & kHolds) != 0) broken("populate of what holds something");
  if (refuses(ArenaVm::kPopulate)) return false;
  for (std::size_t i = 0; i < bytes >> kPageShift; ++i) p[i] |= kBacked;
  return true;
}

void advise_huge(void* start, std::size_t bytes, bool) {
  pages(start, bytes, kIsReserved, "advice outside reservations");
}
void* map(std::size_t, std::size_t) { broken("lib/pages maps nothing"); }
void* remap(void*, std::size_t, std::size_t) { broken("lib/pages maps nothing"); }
void* reserve_low(std::size_t, std::size_t) { broken("one zone, which is no DMA32"); }
bool commit_huge(void*, std::size_t) { broken("one zone, which is no HUGETLB"); }
void prefer_node(void*, std::size_t, unsigned) { broken("one node"); }
bool collapse(void*, std::size_t) { return false; }
bool split(void* start) {
  pages(start, kPageSize, kIsCommitted, "split of what is not committed");
  return true;
}
bool move(void*, void*, std::size_t) { broken("no block of these tests moves"); }
bool renew(void*, std::size_t) { broken("no block of these tests has moved"); }
std::size_t resident(void*, std::size_t) { return 0; }

}  // namespace

const os::Vm ArenaVm::table = {
    bm::test::reserve,     bm::test::release,     bm::test::commit,      bm::test::purge,
    bm::test::populate,    bm::test::reserve_low, bm::test::commit_huge, bm::test::prefer_node,
    bm::test::advise_huge, bm::test::map,         bm::test::remap,       bm::test::collapse,
    bm::test::split,       bm::test::move,        bm::test::renew,       bm::test::resident};

void ArenaVm::reset() {
  constexpr std::size_t kLargestAlignment = std::size_t{4} << 20;
  if (state.base == nullptr) {
    state.base = static_cast<char*>(os::linux_vm.reserve(kBytes, kLargestAlignment));
    if (state.base == nullptr || !os::linux_vm.commit(state.base, kBytes)) broken("no address space");
  }
  if (state.used != 0) {
    os::linux_vm.purge(state.base, align_up(state.used, kPageSize));
    std::fill_n(state.page, state.used >> kPageShift, std::uint8_t{0});
  }
  state.used = state.reserves = state.refusals = 0;
  std::fill_n(state.refused, kOps, false);
  fail(0);
}

void ArenaVm::refuse(Op op, bool refused) { state.refused[op] = refused; }
void ArenaVm::fail(std::size_t k, std::size_t more) { state.countdown = k, state.more = more; }
std::size_t ArenaVm::reserves() { return state.reserves; }
std::size_t ArenaVm::refusals() { return state.refusals; }

void ArenaVm::write(const void* start, std::size_t n) {
  std::uint8_t* const p = pages(start, n << kPageShift, kIsCommitted, "memory handed out that is not committed");
  for (std::size_t i = 0; i < n; ++i) p[i] |= kHolds | kBacked;
}

bool ArenaVm::reads_zero(const void* start, std::size_t n) {
  const std::uint8_t* const p = pages(start, n << kPageShift, kIsCommitted, "memory handed out that is not committed");
  return std::none_of(p, p + n, [](std::uint8_t page) { return (page & kHolds) != 0; });
}

bool ArenaVm::has_memory(const void* start, std::size_t n) {
  const std::uint8_t* const p = pages(start, n << kPageShift, kIsCommitted, "memory handed out that is not committed");
  return std::all_of(p, p + n, [](std::uint8_t page) { return (page & kBacked) != 0; });
}

void ArenaVm::impose(const void* start, bool holds) {
  *pages(start, kPageSize, kIsReserved, "not reserved") =
      holds ? kIsReserved | kIsCommitted | kHolds | kBacked : kIsReserved | kIsCommitted;
}

}  // namespace bm::test
