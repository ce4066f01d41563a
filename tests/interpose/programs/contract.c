/* contract.c: prints what the malloc it runs on answers, one fact a line: "fact = value errno=E".
 * The runner compares the lines under buddymalloc with those under glibc. Built without optimisation and without
 * builtins, or the compiler would answer instead. Exit status 3: the malloc is buddymalloc; 0: it is another one. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "on_us.h"

static volatile size_t huge = SIZE_MAX;
static volatile size_t over = (size_t)PTRDIFF_MAX + 1;
static void* keep;

#define FACT(name, expression)                                                                         \
  do {                                                                                                 \
    errno = EOWNERDEAD;                                                                                \
    const long value = (long)(expression);                                                             \
    printf("%s = %ld errno=%s\n", name, value, errno == EOWNERDEAD ? "kept" : strerrorname_np(errno)); \
  } while (0)

static int is_block(void* block) { return block != NULL; }
static int lies_on(const void* block, size_t alignment) { return block != NULL && (uintptr_t)block % alignment == 0; }

static long sizes_not_served(void) {
  long bad = 0;
  for (size_t size = 0; size <= 70000; size += size < 2048 ? 1 : 509) {
    unsigned char* block = malloc(size);
    bad += !lies_on(block, 16) || malloc_usable_size(block) < size;
    memset(block, 0x5a, malloc_usable_size(block));
    free(block);
  }
  return bad;
}

static long alignments_not_served(void) {
  long bad = 0;
  for (size_t alignment = 8; alignment <= (1u << 20); alignment *= 2) {
    for (size_t size = 0; size < 5000; size += 97) {
      void *a = memalign(alignment, size), *b = aligned_alloc(alignment, size), *c = NULL;
      bad += posix_memalign(&c, alignment, size) != 0;
      bad += !lies_on(a, alignment) + !lies_on(b, alignment) + !lies_on(c, alignment);
      bad += malloc_usable_size(a) < size || malloc_usable_size(b) < size || malloc_usable_size(c) < size;
      free(a), free(b), free(c);
    }
  }
  return bad;
}

static long dirty_callocs(void) {
  long bad = 0;
  for (size_t size = 1; size < (1u << 22); size = size * 3 / 2 + 1) {
    unsigned char* block = malloc(size);
    memset(block, 0xff, size);
    free(block);
    block = calloc(1, size);
    for (size_t i = 0; i < size; i++) bad += block[i] != 0;
    free(block);
  }
  return bad;
}

static long lost_by_realloc(void) {
  long bad = 0;
  unsigned char* block = NULL;
  size_t old = 0;
  for (size_t size = 1; size < (1u << 23); size = size * 5 / 3 + 1) {
    block = realloc(block, size);
    for (size_t i = 0; i < old; i++) bad += block[i] != (unsigned char)i;
    for (size_t i = old; i < size; i++) block[i] = (unsigned char)i;
    old = size;
  }
  block = realloc(block, 1000);
  for (size_t i = 0; i < 1000; i++) bad += block[i] != (unsigned char)i;
  free(block);
  return bad;
}

static int failed_realloc_keeps(void) {
  char* block = strdup("contents");
  const int kept = realloc(block, over) == NULL && strcmp(block, "contents") == 0;
  free(block);
  return kept;
}

static int freed_keeping_errno(size_t size) {
  void* block = malloc(size);
  errno = EOWNERDEAD;
  free(block);
  return block != NULL;
}

static void sizes(void) {
  FACT("malloc(0)", is_block(malloc(0)));
  FACT("malloc(SIZE_MAX)", is_block(malloc(huge)));
  FACT("malloc(PTRDIFF_MAX+1)", is_block(malloc(over)));
  FACT("calloc(0,0)", is_block(calloc(0, 0)));
  FACT("calloc(0,SIZE_MAX)", is_block(calloc(0, huge)));
  FACT("calloc overflow", is_block(calloc(huge / 2, 3)));
  FACT("calloc to SIZE_MAX", is_block(calloc(huge, 1)));
  FACT("free(NULL)", (free(NULL), 0));
  FACT("free(24 bytes)", freed_keeping_errno(24));
  FACT("free(64 MiB)", freed_keeping_errno(64u << 20));
  FACT("usable(NULL)", malloc_usable_size(NULL));
  FACT("sizes not served", sizes_not_served());
  FACT("dirty callocs", dirty_callocs());
}

static void reallocs(void) {
  FACT("realloc(NULL,0)", is_block(realloc(NULL, 0)));
  FACT("realloc(NULL,10)", is_block(realloc(NULL, 10)));
  keep = malloc(10);
  FACT("realloc(p,0)", is_block(realloc(keep, 0)));
  keep = malloc(10);
  FACT("realloc(p,SIZE_MAX)", is_block(realloc(keep, huge)));
  FACT("realloc that fails keeps", failed_realloc_keeps());
  FACT("reallocarray overflow", is_block(reallocarray(keep, huge / 2, 3)));
  FACT("reallocarray(p,0,5)", is_block(reallocarray(keep, 0, 5)));
  FACT("reallocarray(NULL,3,5)", is_block(reallocarray(NULL, 3, 5)));
  FACT("lost by realloc", lost_by_realloc());
}

static void alignments(void) {
  FACT("memalign(0)", lies_on(memalign(0, 8), 16));
  FACT("memalign(3)", lies_on(memalign(3, 8), 16));
  FACT("memalign(48) lies on 64", lies_on(memalign(48, 8), 64));
  FACT("memalign(2^63+1)", is_block(memalign(over + 1, 8)));
  FACT("memalign(2^63)", is_block(memalign(over, 8)));
  FACT("aligned_alloc(48)", lies_on(aligned_alloc(48, 10), 64));
  FACT("aligned_alloc(64,SIZE_MAX)", is_block(aligned_alloc(64, huge)));
  FACT("posix_memalign(0)", posix_memalign(&keep, 0, 8));
  FACT("posix_memalign(4)", posix_memalign(&keep, 4, 8));
  FACT("posix_memalign(24)", posix_memalign(&keep, 24, 8));
  FACT("posix_memalign(8,0)", posix_memalign(&keep, 8, 0));
  FACT("posix_memalign(8,SIZE_MAX)", posix_memalign(&keep, 8, huge));
  FACT("valloc(1)", lies_on(valloc(1), 4096));
  FACT("valloc(SIZE_MAX)", is_block(valloc(huge)));
  FACT("pvalloc(0)", lies_on(pvalloc(0), 4096));
  FACT("pvalloc(1) is a page", malloc_usable_size(pvalloc(1)) >= 4096);
  FACT("pvalloc(SIZE_MAX)", is_block(pvalloc(huge)));
  FACT("pvalloc(SIZE_MAX-4096)", is_block(pvalloc(huge - 4096)));
  FACT("alignments not served", alignments_not_served());
}

static void whole_heap(void) {
  FACT("mallopt(M_MXFAST,64)", mallopt(M_MXFAST, 64));
  FACT("mallopt(M_MXFAST,-1)", mallopt(M_MXFAST, -1));
  FACT("mallopt(M_MXFAST,161)", mallopt(M_MXFAST, 161));
  FACT("mallopt(M_MMAP_THRESHOLD)", mallopt(M_MMAP_THRESHOLD, 1 << 20));
  FACT("mallopt(M_ARENA_MAX,1)", mallopt(M_ARENA_MAX, 1));
  FACT("mallopt(unknown)", mallopt(-1000, 0));
  FACT("malloc_info(1)", malloc_info(1, stdout));
  keep = malloc(50u << 20);
  const struct mallinfo2 info = mallinfo2();
  FACT("mallinfo2 sees 50 MiB", info.uordblks + info.hblkhd >= (50u << 20));
  FACT("mallinfo2 sees it once", info.uordblks + info.hblkhd < (90u << 20));
  free(keep);
}

int main(void) {
  sizes();
  reallocs();
  alignments();
  whole_heap();
  keep = strdup("which malloc?");
  return on_us(keep) ? 3 : 0;
}
