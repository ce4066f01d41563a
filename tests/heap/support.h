// support.h: what the tests of the heap share. The test binary itself lives on libc's malloc.  layer: tests
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <unistd.h>

#include "heap/background.h"
#include "heap/heap.h"
#include "heap/process_heap.h"
#include "heap/thread_heap_slow.h"
#include "support/child.h"
#include "support/random.h"

namespace bm::test {

inline constexpr std::size_t kMiB = std::size_t{1} << 20;

// As malloc and free combine the two halves.
inline void* allocate(std::size_t bytes) {
  void* const p = heap::allocate_fast(bytes);
  return p != nullptr ? p : heap::allocate_slow(bytes);
}
inline void deallocate(void* p) {
  if (!heap::deallocate_fast(p)) heap::deallocate_slow(p);
}

inline bool aligned(const void* p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

inline heap::Statistics statistics() {
  heap::Statistics s;
  heap::statistics(s);
  return s;
}
// Of all zones together.
inline pages::Zone::Counters zone_counters() {
  pages::Zone::Counters sum;
  heap::process.nodes.for_each_zone([&sum](pages::Zone& z) { sum += z.counters(); });
  return sum;
}
inline pages::Zone& zone_of(const void* p) {
  Pfn page;
  return heap::process.map.find(p, page) ? heap::process.nodes.zone_of(page) : heap::process.zone;
}

// The slab of an object of a slab class.
inline slab::Slab& slab_of(const void* p) {
  Pfn page;
  if (!heap::process.map.find(p, page)) std::abort();
  const unsigned c = (heap::process.map.entry(page) & heap::kOffsetMask) / sizeof(heap::Bin);
  return heap::process.slabs[heap::process.map.slab_index({page.value & ~(slab::kClass[c].pages - 1)})];
}

inline std::size_t live_bytes() { return statistics().live_bytes; }
// While the background thread merges what was freed by others, pages on their way from a slab to the zone are counted nowhere.
inline std::size_t live_bytes_at_rest(std::size_t expected) {
  for (int i = 0; i < 100 && live_bytes() != expected; ++i) usleep(10'000);
  return live_bytes();
}

// Nothing is merged or given back behind a test's back.
class BackgroundRests {
 public:
  BackgroundRests() : paused_(heap::background.pause()) {}
  ~BackgroundRests() {
    if (paused_) heap::background.resume();
  }
  BackgroundRests(const BackgroundRests&) = delete;
  BackgroundRests& operator=(const BackgroundRests&) = delete;

 private:
  const bool paused_;
};

// What the bins and page lists of this thread hold goes back.
inline void flush_own() {
  heap::ThreadHeap* const h = heap::current_heap();
  if (h == nullptr) return;
  os::LockGuard hold(h->lock);
  h->flush_all();
}

inline std::size_t rss_bytes() {
  std::size_t size = 0;
  std::size_t resident = 0;
  FILE* const f = std::fopen("/proc/self/statm", "r");
  if (f == nullptr || std::fscanf(f, "%zu %zu", &size, &resident) != 2) std::abort();
  std::fclose(f);
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// Small ones often, up to 2^top_bit - 1 seldom.
inline std::size_t random_size(Random& random, std::size_t top_bit) {
  return random.below(std::size_t{1} << random.between(1, top_bit));
}

// Every byte of a block is a function of its seed and its place. Beyond 64 KiB only every 509th is written and read.
inline unsigned char byte_at(std::uint64_t seed, std::size_t i) {
  return static_cast<unsigned char>(seed * 167 + i * 29 + (i >> 8) * 13);
}
constexpr std::size_t stride_at(std::size_t i) { return i < (64U << 10) ? 1 : 509; }
inline void paint(void* p, std::size_t bytes, std::uint64_t seed) {
  for (std::size_t i = 0; i < bytes; i += stride_at(i)) static_cast<unsigned char*>(p)[i] = byte_at(seed, i);
}
inline bool painted(const void* p, std::size_t bytes, std::uint64_t seed) {
  const auto* at = static_cast<const unsigned char*>(p);
  for (std::size_t i = 0; i < bytes; i += stride_at(i))
    if (at[i] != byte_at(seed, i)) return false;
  return true;
}
inline bool all_zero(const void* p, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(p);
  return bytes == 0 || (at[0] == 0 && std::memcmp(at, at + 1, bytes - 1) == 0);
}

}  // namespace bm::test
