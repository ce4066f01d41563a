// realloc_ramp.cc: one buffer grown by realloc from 64 KiB to 1 GiB, as a loader or log buffer does.  layer: bench
// Steps are 1 to 8 MiB, random but the same in every run; every page of each new part is written. An
// allocator that moves pages instead of copying bytes wins. Prints the seconds it took and its
// VmHWM in KiB; exits 1 on failure or damage.
#include "memory_usage.h"
#include "random.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t first_size = 64 * 1024;
constexpr std::size_t last_size = 1024 * mib;

unsigned char mark(std::size_t offset) { return static_cast<unsigned char>(1 + offset / page % 251); }

void write_pages(unsigned char* buffer, std::size_t from, std::size_t to) {
  for (std::size_t offset = (from + page - 1) / page * page; offset < to; offset += page) buffer[offset] = mark(offset);
}

bool pages_hold(const unsigned char* buffer, std::size_t size) {
  for (std::size_t offset = 0; offset < size; offset += page)
    if (buffer[offset] != mark(offset)) return false;
  return true;
}

// The buffer at its last size, or nullptr when memory ran out.
unsigned char* ramp() {
  bench_random random{UINT64_C(0x2545F4914F6CDD1D)};
  auto* buffer = static_cast<unsigned char*>(std::malloc(first_size));
  if (!buffer) return nullptr;
  write_pages(buffer, 0, first_size);
  for (std::size_t size = first_size; size < last_size;) {
    std::size_t wanted = size + bench_between(&random, mib, 8 * mib);
    if (wanted > last_size) wanted = last_size;
    auto* moved = static_cast<unsigned char*>(std::realloc(buffer, wanted));
    if (!moved) {
      std::free(buffer);
      return nullptr;
    }
    buffer = moved;
    write_pages(buffer, size, wanted);
    size = wanted;
  }
  return buffer;
}

}  // namespace

int main() {
  const auto start = std::chrono::steady_clock::now();
  unsigned char* buffer = ramp();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  if (!buffer || !pages_hold(buffer, last_size)) {
    std::fprintf(stderr, "realloc_ramp: %s\n", buffer ? "contents were lost" : "out of memory");
    return 1;
  }
  std::printf("seconds %.4f\nVmHWM %ld\n", taken.count(), memory_usage_kib("VmHWM:"));
  std::free(buffer);
  return 0;
}
