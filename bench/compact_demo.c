/* compact_demo.c: what compaction wins back: blocks of 64 KiB under handles, most of them freed at random.  layer: bench
 *
 *   compact_demo [MIB [LEFT]]    MIB (1024) MiB of blocks, of which LEFT (a tenth) are not freed
 *
 * Every byte is written before and checked after. Occupancy is the part of the pageblocks in use that live blocks fill; it is
 * told twice: from the blocks' addresses, and from the zone's own report, where all that the process has else counts too.
 * Exits 1 on damage, or when bm_compact leaves the report's below 95 % and more pageblocks in use than could hold the rest. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "buddymalloc/movable.h"
#include "memory_usage.h"
#include "random.h"

enum { block_size = 64 << 10, pageblock_size = 2 << 20, most_mib = 8 << 10, most_blocks = (most_mib << 4) };

static bm_movable blocks[most_blocks];
static unsigned char seen[1 << 20]; /* by pageblock, from the lowest address on */

static void fail(const char* what) {
  fprintf(stderr, "compact_demo: %s\n", what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Every word of a block tells whose it is and where. */
static uint64_t word_at(size_t block, size_t i) { return (block + 1) * UINT64_C(0x9E3779B97F4A7C15) + i; }

static void fill(size_t block) {
  uint64_t* words = bm_movable_pin(blocks[block]);
  for (size_t i = 0; i < block_size / sizeof *words; i++) words[i] = word_at(block, i);
  bm_movable_unpin(blocks[block]);
}

static void check(size_t block) {
  const uint64_t* words = bm_movable_pin(blocks[block]);
  for (size_t i = 0; i < block_size / sizeof *words; i++)
    if (words[i] != word_at(block, i)) fail("a block was damaged");
  bm_movable_unpin(blocks[block]);
}

static size_t blocks_by_address(size_t count) {
  uintptr_t lowest = UINTPTR_MAX;
  size_t n = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t b = 0; b < count; b++) {
      if (!blocks[b]) continue;
      uintptr_t at = (uintptr_t)bm_movable_pin(blocks[b]) / pageblock_size;
      bm_movable_unpin(blocks[b]);
      if (pass == 0) {
        if (at < lowest) lowest = at;
      } else if (at - lowest >= sizeof seen) {
        fail("addresses too far apart");
      } else if (!seen[at - lowest]) {
        seen[at - lowest] = 1;
        n++;
      }
    }
  memset(seen, 0, sizeof seen);
  return n;
}

/* Pageblocks that are not whole-free, from bm_pagetypeinfo's text: all of them less the free blocks of orders 9 and 10. */
static long blocks_by_report(void) {
  static char text[1 << 16];
  int file = memfd_create("report", MFD_CLOEXEC);
  if (file < 0) return -1;
  bm_pagetypeinfo(file);
  ssize_t length = pread(file, text, sizeof text - 1, 0);
  close(file);
  if (length <= 0) return -1;
  text[length] = '\0';
  long n = 0;
  int totals = 0;
  for (char* line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
    if (strncmp(line, "Number of blocks", 16) == 0) totals = 1;
    char* type = strstr(line, ", type ");
    if (strncmp(line, "Node", 4) != 0 || (!type && !totals)) continue;
    char* at = type ? type + 7 : strstr(line, "zone");
    while (*at == ' ') at++;
    if (!type) at += strcspn(at, " "), at += strspn(at, " ");
    at += strcspn(at, " "); /* the type, or the zone's name */
    for (int column = 0; *at; column++) {
      char* end;
      long value = strtol(at, &end, 10);
      if (end == at) break;
      at = end;
      if (!type) n += value;
      if (type && column >= 9) n -= value << (column - 9);
    }
  }
  return n;
}

static double percent(size_t live, size_t pageblocks) {
  return 100.0 * (double)live * block_size / ((double)pageblocks * pageblock_size);
}

static size_t report(const char* when, size_t count, size_t live) {
  const size_t by_address = blocks_by_address(count);
  const long by_report = blocks_by_report();
  if (by_report <= 0) fail("no report");
  printf("%s: occupancy %.1f %% of %zu pageblocks (%.1f %% of %ld by the zone's report), VmRSS %ld MiB\n", when,
         percent(live, by_address), by_address, percent(live, (size_t)by_report), by_report,
         memory_usage_kib("VmRSS:") >> 10);
  return (size_t)by_report;
}

int main(int argc, char** argv) {
  const size_t mib = argc > 1 ? strtoul(argv[1], NULL, 10) : 1024;
  const size_t count = mib << 4;
  const size_t left = argc > 2 ? strtoul(argv[2], NULL, 10) : count / 10;
  if (mib == 0 || mib > most_mib || left == 0 || left > count) fail("usage: compact_demo [MIB [LEFT]]");
  setvbuf(stdout, NULL, _IOLBF, 0);
  struct bench_random random = {UINT64_C(0x9E3779B97F4A7C15)};

  for (size_t b = 0; b < count; b++) {
    if (!(blocks[b] = bm_movable_alloc(block_size))) fail("no memory");
    fill(b);
  }
  report("full", count, count);
  for (size_t live = count; live > left;) {
    const size_t b = bench_between(&random, 0, count - 1);
    if (!blocks[b]) continue;
    bm_movable_free(blocks[b]);
    blocks[b] = 0;
    live--;
  }
  report("freed at random", count, left);

  const double start = now();
  const size_t emptied = bm_compact();
  const double seconds = now() - start;
  const size_t pageblocks = report("compacted", count, left);
  printf("bm_compact: %zu MiB made whole in %.1f ms\n", emptied >> 20, seconds * 1e3);
  for (size_t b = 0; b < count; b++)
    if (blocks[b]) check(b);
  if (bm_validate() != 0) fail("the heap is damaged");

  const size_t fewest = (left * block_size + pageblock_size - 1) / pageblock_size;
  if (percent(left, pageblocks) < 95.0 && pageblocks > fewest) fail("occupancy below 95 %");
  for (size_t b = 0; b < count; b++) bm_movable_free(blocks[b]);
  return 0;
}
