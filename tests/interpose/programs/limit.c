/* limit.c: a program under BUDDYMALLOC_LIMIT. One argument:
 *   exhaust   asks until it gets null and ENOMEM, goes on after it has freed some, several times; prints MB it got
 *   holes     has 150 MB of small blocks, frees all but one in a hundred, asks for 120 MB more and touches them; prints what
 *             the file that the environment calls GROUP_USAGE says in between
 * Exit status 3: all is well and on buddymalloc; 0: all is well elsewhere; else the line that is not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "on_us.h"

enum { kBlocks = 37500, kBytes = 4000 };
static const size_t kMore = (size_t)120 << 20;

static void exhaust(size_t bytes) {
  static void* blocks[1 << 20];
  size_t n = 0;
  errno = 0;
  while (n < 1 << 20 && (blocks[n] = malloc(bytes)) != NULL) memset(blocks[n++], 1, bytes);
  CHECK(errno == ENOMEM);
  errno = 0;
  CHECK(calloc(4000, bytes) == NULL && errno == ENOMEM);
  void* const last = blocks[n - 1];
  CHECK(realloc(last, bytes * 4000) == NULL && *(char*)last == 1);
  printf("%zu\n", n * bytes >> 20);
  for (size_t k = 0; k < n / 2; k++) free(blocks[k]);
  CHECK((blocks[0] = malloc(bytes)) != NULL);
  free(blocks[0]);
  for (size_t k = n / 2; k < n; k++) free(blocks[k]);
}

static void print_usage(void) {
  char usage[32] = "";
  const int fd = getenv("GROUP_USAGE") == NULL ? -1 : open(getenv("GROUP_USAGE"), O_RDONLY);
  if (fd >= 0 && read(fd, usage, sizeof usage - 1) > 0) puts(usage);
}

static void holes(void) {
  static char* blocks[kBlocks];
  for (int i = 0; i < kBlocks; i++) memset(blocks[i] = malloc(kBytes), 1, kBytes);
  for (int i = 0; i < kBlocks; i++)
    if (i % 100 != 0) free(blocks[i]);
  char* const p = malloc(kMore);
  CHECK(p != NULL);
  print_usage();
  memset(p, 1, kMore);
  for (int i = 0; i < kBlocks; i += 100) CHECK(blocks[i][kBytes - 1] == 1);
}

int main(int argc, char** argv) {
  const char* const mode = argc > 1 ? argv[1] : "";
  if (strcmp(mode, "exhaust") == 0) {
    exhaust(3000000);
    exhaust(100000);
    exhaust(500);
    exhaust(5000);
  } else if (strcmp(mode, "holes") == 0) {
    holes();
  } else {
    return 2;
  }
  fflush(stdout);
  return on_us(malloc(1)) ? 3 : 0;
}
