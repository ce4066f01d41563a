// heap.h: what the malloc API asks of the heap.  layer: heap
// Thread-safe throughout. Sizes in bytes. No function sets errno; null and false mean "out of memory" or "not served".
#pragma once

#include <cstddef>

#include "heap/thread_heap.h"

namespace bm::heap {

// The full paths behind allocate_fast() and deallocate_fast(). `path` is call_path() of the function that the user called.
void* allocate_slow(std::size_t bytes, CallPath path = {});  // any size; beyond PTRDIFF_MAX null
void deallocate_slow(void* p);  // null is fine; a double or foreign free is reported and fatal

void* allocate_zeroed(std::size_t bytes, CallPath path = {});
void* allocate_aligned(std::size_t bytes, std::size_t alignment);  // alignment: a power of two

enum class Lifetime : unsigned char { kLong, kShort };
// As allocate_aligned, for who knows how long the block will live: with the long-lived, or with what is expected to drain
// (lifetime.h), whatever its call path has been seen to do. Above slab::kMaxSlabSize there is no difference.
void* allocate_hinted(std::size_t bytes, std::size_t alignment, Lifetime lifetime);

// p not null, bytes > 0. Null: p is untouched. In place where the pages behind are free.
void* reallocate(void* p, std::size_t bytes, CallPath path = {});

std::size_t usable_size(const void* p);  // 0 for null and for what is not ours
bool owns(const void* p);                // the start of a block in use, as far as can be told
bool trim(std::size_t keep_bytes);       // true: memory went back to the OS

struct Statistics {
  std::size_t reserved_bytes = 0;     // address space
  std::size_t committed_bytes = 0;    // of it usable
  std::size_t live_bytes = 0;         // with the program, as rounded up to classes and pages
  std::size_t free_bytes = 0;         // opened and not with the program
  std::size_t backed_free_bytes = 0;  // free pages that are probably resident
  std::size_t mapped_bytes = 0;       // direct mappings; part of live_bytes
  std::size_t mapped_count = 0;
  std::size_t peak_committed_bytes = 0;
};
void statistics(Statistics& out);
void print_statistics(int fd);

// Number of broken invariants; each is described on fd 2. Waits for other threads' slow paths, one at a time.
int validate();

// With BUDDYMALLOC_VERBOSE=1: one line on fd 2 that tells which library runs. For the loader's constructor.
void announce();

}  // namespace bm::heap
