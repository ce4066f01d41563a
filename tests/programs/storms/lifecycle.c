// lifecycle.c: malloc and free at every odd hour of a process: before constructors, in them, in both kinds of thread
// destructors (which run after the allocator may have said goodbye to the thread), in atexit handlers and after those.
// Blocks are handed from each hour to the next and checked there. The very last one prints "ok".
// run: hours 20 500
#define _GNU_SOURCE
#include <pthread.h>

#include "validate.h"

int __cxa_thread_atexit_impl(void (*destroy)(void*), void* object, void* dso);
extern void* __dso_handle;

enum { hand_over = 32, rounds_of_key_destructors = 3 };

static struct block* carried[hand_over];
static atomic_int hours_seen;
static int hours_expected = 3;  // preinit, constructor and main; threads and handlers add theirs
static pthread_key_t key;
static atomic_long key_destructions;

// Frees what an earlier hour left, leaves new blocks to a later one.
static void pass_on(const char* hour) {
  for (int i = 0; i < hand_over; i++) {
    block_free(carried[i], hour);
    carried[i] = block_new((size_t)16 << (i % 14), (uint64_t)i);
    void* zeroed = calloc(3, 100 + (size_t)i);
    if (!zeroed || *(char*)zeroed) fail("%s: calloc", hour);
    free(zeroed);
  }
  atomic_fetch_add(&hours_seen, 1);
}

static void before_constructors(void) { pass_on("preinit"); }
__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_constructors;

__attribute__((constructor)) static void in_constructor(void) { pass_on("constructor"); }

static pthread_mutex_t one_thread = PTHREAD_MUTEX_INITIALIZER;

static void pass_on_in_thread(const char* hour) {
  pthread_mutex_lock(&one_thread);
  pass_on(hour);
  pthread_mutex_unlock(&one_thread);
}

static void on_thread_local_end(void* object) {
  block_free(object, "thread_local destructor");
  pass_on_in_thread("thread_local destructor");
}

// pthread calls this again as long as the key is set again: the last rounds come after everyone else's destructors.
static void on_key_end(void* object) {
  struct block* block = object;
  uint64_t round = block->seed;
  block_free(block, "key destructor");
  pass_on_in_thread("key destructor");
  atomic_fetch_add(&key_destructions, 1);
  if (round < rounds_of_key_destructors) pthread_setspecific(key, block_new(200 * (round + 1), round + 1));
}

static void* thread(void* unused) {
  __cxa_thread_atexit_impl(on_thread_local_end, block_new(100, 1), &__dso_handle);
  pthread_setspecific(key, block_new(200, 1));
  return unused;
}

// Two threads that free each other's blocks while both are in their destructors.
static void run_threads(int rounds) {
  for (int i = 0; i < rounds; i++) {
    pthread_t a, b;
    if (pthread_create(&a, NULL, thread, NULL) || pthread_create(&b, NULL, thread, NULL)) fail("pthread_create");
    pthread_join(a, NULL);
    pthread_join(b, NULL);
  }
  hours_expected += rounds * 2 * (1 + rounds_of_key_destructors);
  if (atomic_load(&key_destructions) != rounds * 2 * rounds_of_key_destructors) fail("key destructors were left out");
}

static void at_exit(void) { pass_on("atexit"); }

// Runs after every atexit handler registered by main; stdio is still there, the next step of exit() flushes it.
__attribute__((destructor)) static void at_the_very_end(void) {
  pass_on("destructor");
  if (atomic_load(&hours_seen) != hours_expected + 3) fail("%d hours instead of %d", hours_seen, hours_expected + 3);
  validate("after atexit handlers");
  static const char ok[] = "ok\n";
  if (write(STDOUT_FILENO, ok, sizeof ok - 1) < 0) _exit(1);
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: lifecycle hours ROUNDS");
  validate_lookup();
  if (pthread_key_create(&key, on_key_end)) fail("pthread_key_create");
  pass_on("main");
  run_threads(atoi(arguments[2]));
  // The main thread has destructors too; exit() runs them before the handlers.
  __cxa_thread_atexit_impl(on_thread_local_end, block_new(100, 1), &__dso_handle);
  if (atexit(at_exit)) fail("atexit");
  return 0;
}
