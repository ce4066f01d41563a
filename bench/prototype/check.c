// check.c: do the prototypes really allocate? Random sizes, contents checked, objects freed by other threads; then a double free.
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
enum { SLOTS = 4096, THREADS = 4, STEPS = 1000000 };
static _Atomic(unsigned char*) slots[SLOTS];  // any thread takes what another put
static void check(unsigned char* p) {
  if (!p) return;
  uint32_t n;
  memcpy(&n, p, 4);
  for (uint32_t i = 4; i < n; i += 61)
    if (p[i] != (unsigned char)(n * 7)) abort();
  free(p);
}
static void* work(void* seed) {
  uint64_t x = 0x9e3779b97f4a7c15ull * ((uintptr_t)seed + 1);
  for (int i = 0; i < STEPS; i++) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    uint32_t n = 4 + (x >> 40) % (i % 64 ? 500 : 70000);
    unsigned char* p = malloc(n);
    if ((uintptr_t)p % 16) abort();
    memset(p, (unsigned char)(n * 7), n);
    memcpy(p, &n, 4);
    check(__atomic_exchange_n((unsigned char**)&slots[x % SLOTS], p, __ATOMIC_SEQ_CST));
  }
  return 0;
}
static int crashes(int pattern) {  // double free: 0 at once, 1 after another free, 2 after 5000 others
  fflush(stdout);
  pid_t pid = fork();
  if (!pid) {
    close(2);
    static void* p[5000];
    for (int i = 0; i < 5000; i++) p[i] = malloc(64);
    void* volatile q = malloc(64);
    free(q);
    for (int i = 0; i < (pattern == 0 ? 0 : pattern == 1 ? 1 : 5000); i++) free(p[i]);
    free(q);
    _exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  return WIFSIGNALED(status);
}
int main(void) {
  pthread_t t[THREADS];
  for (int round = 0; round < 2; round++) {
    for (uintptr_t i = 0; i < THREADS; i++) pthread_create(&t[i], 0, work, (void*)(i + round * 10));
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], 0);
  }
  for (int i = 0; i < SLOTS; i++) check(slots[i]);
  printf("check ok; double free seen: at once %d, after one other %d, after 5000 %d\n", crashes(0), crashes(1),
         crashes(2));
}
