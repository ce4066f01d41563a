# dlopen.sh: a running program, with threads, opens the library late and uses its own functions beside libc's malloc.
cat >late.c <<'C'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static void* (*allocate)(size_t);
static void (*release)(void*);
static pthread_barrier_t opened;
static void* work(void* failed) {
  pthread_barrier_wait(&opened);
  for (int i = 0; i < 10000; i++) {
    char *ours = allocate(1 + i % 3000), *libcs = malloc(1 + i % 3000);
    memset(ours, 1, 1 + i % 3000);
    memset(libcs, 2, 1 + i % 3000);
    if (ours[i % 3000] != 1) *(int*)failed = 1;
    release(ours);
    free(libcs);
  }
  return NULL;
}
int main(int count, char** arguments) {
  int failed = count != 2;
  pthread_t threads[4];
  pthread_barrier_init(&opened, NULL, 5);
  for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, work, &failed);
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (!library) return fprintf(stderr, "%s\n", dlerror()), 1;
  allocate = dlsym(library, "bm_malloc");
  release = dlsym(library, "bm_free");
  if (!allocate || !release) return fprintf(stderr, "no bm_malloc, bm_free\n"), 1;
  pthread_barrier_wait(&opened);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  dlclose(library);
  free(malloc(10));
  if (!failed) puts("four threads");
  return failed;
}
C
cc -O2 -pthread -fno-builtin late.c -o late
./late "$LIB"
