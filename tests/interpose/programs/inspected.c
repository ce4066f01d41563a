/* inspected.c: a program to be looked at. It fills its heap, then obeys one letter at a time from its input: r writes
 * its own four reports, h takes and fills 44 MiB, gives one page of the last 2 MiB back and writes its statistics, a thread
 * starts changing the heap without end, x ends it with a core file. No stdio: at rest, the heap does not change between two
 * reports. BM_IDLE: it never allocates. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef BM_STATIC
void bm_buddyinfo(int), bm_pagetypeinfo(int), bm_zoneinfo(int), bm_slabinfo(int), bm_stats_print(int);
#define REPORT(name) bm_##name(1)
#else
#define REPORT(name)                                                      \
  do {                                                                    \
    void (*print)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "bm_" #name); \
    if (print != 0) print(1);                                             \
  } while (0)
#endif

static void say(const char* text) {
  if (write(1, text, strlen(text)) < 0) _exit(1);
}

static void report(void) {
  REPORT(buddyinfo);
  say("--\n");
  REPORT(pagetypeinfo);
  say("--\n");
  REPORT(zoneinfo);
  say("--\n");
  REPORT(slabinfo);
  say("--\n");
}

static void split_hugepage(void) {
  const size_t bytes = 44 << 20, pageblock = 2 << 20;
  char* block = aligned_alloc(pageblock, bytes);
  memset(block, 1, bytes);
  madvise(block + bytes - pageblock + 4096, 4096, MADV_DONTNEED);
  REPORT(stats_print);
  say("--\n");
}

static void* change(void* unused) {
  for (unsigned i = 0;; i++) {
    void* block = malloc((size_t)1 << (10 + i % 13));
    free(block);
    if (i % 8 == 0) usleep(10);
  }
  return unused;
}

int main(void) {
#ifndef BM_IDLE
  static void* blocks[4000];
  for (unsigned i = 0; i < 4000; i++) memset(blocks[i] = malloc(16 + i * 37 % 9000), 1, 16);
  for (unsigned i = 0; i < 4000; i += 3) free(blocks[i]);
  free(malloc(40 << 20));
#endif
  say("ready\n--\n");
  for (char command; read(0, &command, 1) == 1;) {
    pthread_t thread;
    if (command == 'r') report();
    if (command == 'h') split_hugepage();
    if (command == 'a' && pthread_create(&thread, 0, change, 0) == 0) say("changing\n--\n");
    if (command == 'x') abort();
  }
  return 0;
}
