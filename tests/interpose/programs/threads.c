/* threads.c: C program, threads and fork on whatever malloc it is linked with. Exit status 3: all well and on
 * buddymalloc, 0: all well on another one. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "on_us.h"

enum { kThreads = 8, kBlocks = 200, kRounds = 50 };

static void* churn(void* seed) {
  unsigned char* blocks[kBlocks] = {0};
  unsigned state = *(unsigned*)seed;
  for (int i = 0; i < kBlocks * kRounds; i++) {
    unsigned char** slot = &blocks[(state = state * 1664525u + 1013904223u) >> 8 & 127];
    const size_t size = 16 + (state >> 16) % 3000;
    if (*slot != 0 && (*slot)[0] != (*slot)[15]) return (void*)"damaged block";
    free(*slot);
    *slot = malloc(size);
    memset(*slot, (int)state, size);
  }
  for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  return 0;
}

static int run_threads(void) {
  pthread_t threads[kThreads];
  unsigned seeds[kThreads];
  int bad = 0;
  for (unsigned i = 0; i < kThreads; i++) {
    seeds[i] = i + 1;
    if (pthread_create(&threads[i], 0, churn, &seeds[i]) != 0) return 1;
  }
  for (int i = 0; i < kThreads; i++) {
    void* answer = 0;
    pthread_join(threads[i], &answer);
    if (answer != 0) puts(answer), bad = 1;
  }
  return bad;
}

int main(void) {
  int bad = run_threads();
  const pid_t child = fork();
  if (child == 0) _exit(run_threads());
  int status = -1;
  bad |= waitpid(child, &status, 0) != child || status != 0;
  char* text = strdup("from libc's own strdup");
  const int ours = on_us(text);
  free(text);
  return bad ? 1 : ours ? 3 : 0;
}
