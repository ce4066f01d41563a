// exhaustion.c: memory to the last: under a limit on address space malloc returns NULL with ENOMEM, never dies; most of
// what the limit leaves is handed out; everything freed can be had again.
// run: 64 1 10
// run: 512 1 10
#include <sys/resource.h>

#include "validate.h"

static struct block* last;  // each block's seed is the address of the one before: a table would need memory itself

// Until NULL; returns the bytes had. Each block is touched: address space that cannot be backed does not count.
static size_t fill_up(size_t size, size_t limit) {
  size_t had = 0;
  for (struct block* block; errno = 0, block = malloc(size); had += size) {
    if (had > limit) fail("more than the limit was had in blocks of %zu bytes", size);
    block_fill(block, size, (uint64_t)(uintptr_t)last);
    last = block;
  }
  if (errno != ENOMEM) fail("malloc(%zu) failed with errno %d", size, errno);
  errno = 0;
  if (calloc(limit / size, size) || errno != ENOMEM) fail("calloc succeeded at the limit, or errno is %d", errno);
  errno = 0;
  if (realloc(last, (size_t)1 << 40) || errno != ENOMEM) fail("realloc to 1 TiB: errno is %d", errno);
  return had;
}

static void free_all(void) {
  while (last) {
    struct block* block = last;
    last = (struct block*)(uintptr_t)block->seed;
    block_free(block, "at the limit");
  }
}

static void limit_and_start_again(char** arguments, rlim_t bytes) {
  struct rlimit limit = {bytes, bytes};
  if (setrlimit(RLIMIT_AS, &limit)) fail("setrlimit failed");
  execv("/proc/self/exe", arguments);
  fail("execv failed");
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: exhaustion MIB ROUNDS");
  rlim_t bytes = (rlim_t)atol(arguments[1]) << 20;
  struct rlimit limit;
  getrlimit(RLIMIT_AS, &limit);
  // The limit has to be there from the start, as a shell's is: address space reserved before it does not count.
  if (limit.rlim_cur != bytes) limit_and_start_again(arguments, bytes);

  validate_lookup();
  static const size_t sizes[] = {16 << 10, 64, 1 << 20, 100 << 10, 512, 3 << 20, 24};
  for (int round = 0; round < atoi(arguments[2]); round++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
      size_t had = fill_up(sizes[i], bytes);
      // The C library and its friends take some 8 MiB of the limit, and what the allocator keeps for itself comes off too.
      if (had < (bytes - (8 << 20)) / 2)
        fail("round %d: only %zu KiB in blocks of %zu bytes, of %lu", round, had >> 10, sizes[i], (long)bytes >> 10);
      validate("at the limit");
      free_all();
    }
  validate("at the end");
  puts("ok");
  return 0;
}
