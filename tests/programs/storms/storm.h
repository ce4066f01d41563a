// storm.h: what every storm needs: blocks whose contents are known, a random stream, and a loud end.
#pragma once
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Formats on the stack and leaves by _exit: usable in a forked child and in a signal handler.
__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char* format, ...) {
  char line[300];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(line, sizeof line - 1, format, arguments);
  va_end(arguments);
  length = length < (int)sizeof line - 1 ? length : (int)sizeof line - 2;
  line[length++] = '\n';
  if (write(STDERR_FILENO, line, (size_t)length) < 0) _exit(2);
  _exit(1);
}

static inline uint64_t random_next(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

// Every byte after the two header words follows from `seed`, so whoever frees a block can tell that it is whole.
struct block {
  uint64_t size;
  uint64_t seed;
  unsigned char bytes[];
};

// Mostly small, now and then a page run, rarely more than a pageblock: the shape of real programs.
static inline size_t random_size(uint64_t* random) {
  uint64_t pick = random_next(random) % 1000, spread = random_next(random);
  if (pick < 750) return 16 + spread % 500;
  if (pick < 960) return 16 + spread % 8000;
  if (pick < 998) return 16 + spread % 130000;
  return 16 + spread % 3000000;
}

static inline unsigned char block_byte(uint64_t seed, size_t i) { return (unsigned char)(seed + i * 7 + (i >> 8)); }

// The first 1024 bytes and the last 64 are written: those carry neighbours' overruns and links of free lists.
static inline size_t block_next(const struct block* block, size_t i) {
  size_t length = block->size - sizeof *block;
  return i + 1 == 1024 && length > 1024 + 64 ? length - 64 : i + 1;
}

static inline void block_fill(struct block* block, size_t size, uint64_t seed) {
  block->size = size;
  block->seed = seed;
  for (size_t i = 0; i < size - sizeof *block; i = block_next(block, i)) block->bytes[i] = block_byte(seed, i);
}

static inline struct block* block_new(size_t size, uint64_t seed) {
  struct block* block = malloc(size);
  if (!block) fail("malloc(%zu) failed, errno %d", size, errno);
  if ((uintptr_t)block % 16) fail("malloc(%zu) returned the unaligned %p", size, (void*)block);
  block_fill(block, size, seed);
  return block;
}

static inline void block_check(const struct block* block, const char* who) {
  if (block->size < sizeof *block || block->size > 64 << 20)
    fail("%s: block %p has lost its header: size %#lx, seed %#lx", who, (void*)block, block->size, block->seed);
  for (size_t i = 0; i < block->size - sizeof *block; i = block_next(block, i))
    if (block->bytes[i] != block_byte(block->seed, i))
      fail("%s: block %p of %lu bytes (seed %#lx) holds %#x at %zu instead of %#x", who, (void*)block, block->size,
           block->seed, block->bytes[i], i, block_byte(block->seed, i));
}

static inline void block_free(struct block* block, const char* who) {
  if (!block) return;
  block_check(block, who);
  free(block);
}

// Resident set in KiB.
static inline long resident(void) {
  long size, pages;
  FILE* file = fopen("/proc/self/statm", "r");
  if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2) fail("/proc/self/statm cannot be read");
  fclose(file);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}
