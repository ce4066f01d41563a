/* background.c: what a program notices of the background thread. One argument:
 *   single    one thread, much memory: never another thread
 *   sleep     threads free 300 MB and sleep: how many tasks there are, and MB resident 2 s later
 *   fork      a child of a program with the thread has none, works, and can get its own; so can a daemon
 *   setid     set*id calls reach every thread and return
 *   exit      main ends by pthread_exit, the last thread by returning: the process ends
 *   alone     threads have come and gone: what needs a single thread works at once, and the last to go ends the process
 * Exit status 3: all is well and on buddymalloc; 0: all is well elsewhere; else the line that is not. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "on_us.h"

enum { kThreads = 4, kBlocks = 75000, kBytes = 1000 };

static pthread_barrier_t freed;

static void fill_and_free(void) {
  void** blocks = malloc(kBlocks * sizeof *blocks);
  for (int i = 0; i < kBlocks; i++) memset(blocks[i] = malloc(kBytes), 1, kBytes);
  for (int i = 0; i < kBlocks; i++) free(blocks[i]);
  free(blocks);
}

static void* life(void* stays) {
  fill_and_free();
  if (stays != 0) {
    pthread_barrier_wait(&freed);
    for (;;) pause();
  }
  return 0;
}

static int tasks(int (*look)(const char* task)) {
  int n = 0;
  DIR* d = opendir("/proc/self/task");
  for (struct dirent* e; (e = readdir(d)) != 0;)
    if (e->d_name[0] != '.') n += look == 0 || look(e->d_name);
  closedir(d);
  return n;
}

static int is_ours(const char* task) {
  char path[64], name[32] = {0};
  snprintf(path, sizeof path, "/proc/self/task/%s/comm", task);
  FILE* f = fopen(path, "r");
  if (f == 0) return 0;
  if (fgets(name, sizeof name, f) == 0) name[0] = 0;
  fclose(f);
  return strcmp(name, "bm-kswapd\n") == 0;
}

/* The signals of programs, all blocked: bits 0 to 30 and from SIGRTMIN on. */
static int takes_signals(const char* task) {
  char path[64], line[256];
  unsigned long long blocked = 0;
  if (!is_ours(task)) return 0;
  snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
  FILE* f = fopen(path, "r");
  while (fgets(line, sizeof line, f) != 0) sscanf(line, "SigBlk: %llx", &blocked);
  fclose(f);
  /* the kernel never blocks these two, whatever is asked */
  unsigned long long wanted = ~0ULL & ~(3ULL << 31) & ~(1ULL << (SIGKILL - 1)) & ~(1ULL << (SIGSTOP - 1));
  return (blocked & wanted) != wanted;
}

static unsigned wanted_uid;
static int has_other_uid(const char* task) {
  char path[64], line[256];
  unsigned real = ~0U, effective = ~0U;
  snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
  FILE* f = fopen(path, "r");
  while (fgets(line, sizeof line, f) != 0) sscanf(line, "Uid: %u %u", &real, &effective);
  fclose(f);
  return real != wanted_uid || effective != wanted_uid;
}

static long rss_mb(void) {
  long size = 0, resident = 0;
  FILE* f = fopen("/proc/self/statm", "r");
  if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = -1;
  fclose(f);
  return resident * sysconf(_SC_PAGESIZE) >> 20;
}

static void start_threads(void) {
  pthread_t thread;
  pthread_barrier_init(&freed, 0, kThreads + 1);
  for (int i = 0; i < kThreads; i++) CHECK(pthread_create(&thread, 0, life, &freed) == 0);
  pthread_barrier_wait(&freed);
}

static int child_ends_well(int (*piece)(void)) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    _exit(piece());
  }
  return waitpid(child, &status, 0) == child && status == 0;
}

static int works_and_gets_its_own(void) {
  CHECK(tasks(0) == 1);
  fill_and_free();
  CHECK(tasks(0) == 1);
  start_threads();
  if (on_us(malloc(1))) CHECK(tasks(is_ours) == (getenv("BUDDYMALLOC_BACKGROUND") == 0));
  return 0;
}

static int becomes_a_daemon(void) {
  setsid();
  pid_t child = fork();
  if (child == 0) _exit(works_and_gets_its_own());
  int status = 1;
  waitpid(child, &status, 0);
  return status != 0;
}

static int gives_up_root(void) {
  start_threads();
  wanted_uid = getuid() == 0 ? 65534 : getuid();
  CHECK(tasks(has_other_uid) == (getuid() == 0 ? tasks(0) : 0));
  CHECK(setuid(wanted_uid) == 0);
  CHECK(tasks(has_other_uid) == 0);
  return 0;
}

static void teams_come_and_go(void) {
  for (int k = 0; k < 3; k++) {
    pthread_t threads[kThreads];
    for (int i = 0; i < kThreads; i++) CHECK(pthread_create(&threads[i], 0, life, 0) == 0);
    for (int i = 0; i < kThreads; i++) CHECK(pthread_join(threads[i], 0) == 0);
  }
}

/* What each comes to: 0 or errno. Where a container forbids it, it does so with one thread as well. */
static int new_user_namespace(void) { return unshare(CLONE_NEWUSER) == 0 ? 0 : errno; }
static int unshare_signals(void) { return unshare(CLONE_SIGHAND | CLONE_VM | CLONE_THREAD) == 0 ? 0 : errno; }
static int enter_mounts(int kind) {
  int fd = open("/proc/self/ns/mnt", O_RDONLY);
  return setns(fd, kind) == 0 ? 0 : errno;
}
static int enter_mounts_by_kind(void) { return enter_mounts(CLONE_NEWNS); }
static int enter_any(void) { return enter_mounts(0); }
static int enter_nothing(void) { return setns(-1, 0) == 0 ? 0 : errno; }
static int (*const alone[])(void) = {new_user_namespace, unshare_signals, enter_mounts_by_kind, enter_any,
                                     enter_nothing};

/* pthread_join returns when a thread's stack is free, which is a moment before the kernel has let go of the thread. */
static int only_ours_are_left(void) {
  for (int i = 0; i < 1000; i++, usleep(10000))
    if (tasks(0) - tasks(is_ours) == 1) return 1;
  return 0;
}

static int after_threads(int (*call)(void)) {
  teams_come_and_go();
  CHECK(only_ours_are_left());
  return call();
}

static int result_of(int (*call)(void), int threads) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) _exit(threads ? after_threads(call) : call());
  CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
  return WEXITSTATUS(status);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double ending_takes(void) {
  int ends[2];
  double at = 0;
  int status = 0;
  CHECK(pipe(ends) == 0);
  pid_t child = fork();
  if (child == 0) {
    teams_come_and_go();
    at = seconds();
    CHECK(write(ends[1], &at, sizeof at) == sizeof at);
    pthread_exit(0);
  }
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  const double after = seconds();
  CHECK(read(ends[0], &at, sizeof at) == sizeof at);
  return after - at;
}

static void* last_one(void* unused) {
  fill_and_free();
  usleep(100000);
  return unused;
}

int main(int argc, char** argv) {
  const char* mode = argc > 1 ? argv[1] : "";
  pthread_t thread;
  alarm(100);
  if (strcmp(mode, "single") == 0) {
    for (int i = 0; i < 5; i++) fill_and_free();
    CHECK(tasks(0) == 1);
  } else if (strcmp(mode, "sleep") == 0) {
    start_threads();
    CHECK(tasks(takes_signals) == 0);
    printf("%d\n", tasks(is_ours));
    fflush(stdout);
    usleep(2000000);
    printf("%ld\n", rss_mb());
  } else if (strcmp(mode, "fork") == 0) {
    start_threads();
    CHECK(child_ends_well(works_and_gets_its_own));
    CHECK(child_ends_well(becomes_a_daemon));
  } else if (strcmp(mode, "setid") == 0) {
    CHECK(child_ends_well(gives_up_root));
  } else if (strcmp(mode, "alone") == 0) {
    for (unsigned k = 0; k < 3 * sizeof alone / sizeof *alone; k++) {
      int (*call)(void) = alone[k % (sizeof alone / sizeof *alone)];
      CHECK(result_of(call, 1) == result_of(call, 0));
    }
    CHECK(ending_takes() < 0.4);
  } else if (strcmp(mode, "exit") == 0) {
    fill_and_free();
    CHECK(pthread_create(&thread, 0, last_one, 0) == 0);
    alarm(20);
    pthread_exit(0); /* status 0 */
  } else {
    CHECK(!"a mode");
  }
  return on_us(malloc(1)) ? 3 : 0;
}
