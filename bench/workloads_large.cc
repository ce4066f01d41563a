// workloads_large.cc: blocks of megabytes, and blocks that grow.  layer: bench
#include "workloads.h"

#include <array>
#include <cstring>

namespace bm::bench {
namespace {

// malloc-large: of twenty blocks of 5 to 25 MB one at random is replaced at a time; a third are written in each page, the
// others in the first and last alone. After malloc-large of the mimalloc benchmarks: what mapping and unmapping costs.
void malloc_large(Scale scale) {
  bench_random random = seeded();
  std::array<Block*, 20> blocks{};
  for (std::size_t i = scale.of(2000); i != 0; --i) {
    Block*& block = blocks[bench_between(&random, 0, blocks.size() - 1)];
    release(block);
    block = allocate(bench_between(&random, 5'000'000, 25'000'000));
    if (!one_in(random, 3)) continue;
    auto* const bytes = reinterpret_cast<volatile char*>(block);
    for (std::size_t at = 4096; at + 1 < block->bytes; at += 4096) bytes[at] = 1;
  }
  for (Block* const block : blocks) release(block);
}

// realloc-growth: many buffers grow in turns, by half or by a little, to sizes from 1 KiB to 8 MiB; one that has its size is
// freed and begins anew with 16 bytes. As vectors and readers of files do.
struct Buffer {
  unsigned char* bytes = nullptr;
  std::size_t size = 0;
  std::size_t final_size = 0;
};

unsigned char byte_at(std::size_t offset, std::size_t buffer) {
  return static_cast<unsigned char>(offset / 64 + buffer);
}

// What the buffer held is looked at where it began and ended before it grew.
void grow(Buffer& buffer, std::size_t size, std::size_t which) {
  const std::size_t old = buffer.size;
  buffer.bytes = static_cast<unsigned char*>(allocated(std::realloc(buffer.bytes, size)));
  buffer.size = size;
  for (const std::size_t at : {std::size_t{0}, old / 2, old - 1})
    expect(old == 0 || buffer.bytes[at] == byte_at(at, which), "what a growing buffer held changed");
  for (std::size_t at = old; at < size;) {
    const std::size_t end = std::min(size, (at / 64 + 1) * 64);
    std::memset(buffer.bytes + at, byte_at(at, which), end - at);
    at = end;
  }
}

void realloc_growth(Scale scale) {
  bench_random random = seeded();
  std::vector<Buffer> buffers(1000);
  for (std::size_t i = scale.of(4'000'000); i != 0; --i) {
    const std::size_t which = bench_between(&random, 0, buffers.size() - 1);
    Buffer& buffer = buffers[which];
    if (buffer.size >= buffer.final_size) {
      std::free(buffer.bytes);
      buffer = {nullptr, 0, power_law(random, 1 << 10, 8 << 20)};
      grow(buffer, 16, which);
    } else {
      grow(buffer, buffer.size + (one_in(random, 4) ? 64 : buffer.size / 2), which);
    }
  }
  for (const Buffer& buffer : buffers) std::free(buffer.bytes);
}

}  // namespace

std::span<const Workload> large_workloads() {
  static constexpr Workload kAll[] = {{"malloc-large", malloc_large}, {"realloc-growth", realloc_growth}};
  return kAll;
}

}  // namespace bm::bench
