// fork_storm.c: eight churning threads while the process forks and forks; each child goes on working with the heap.
//
// A child frees blocks of every parent thread, allocates in every size class, validates, and forks a child of its own that
// frees the rest. Modes: fork(); _Fork(), which skips atfork handlers; the raw clone system call, which nobody sees; from a
// signal handler that interrupted a churning thread, most likely in malloc or free; fork() against threads that hold stdio's
// locks while they wait for malloc (getline) or hold the list of files while they wait for those (fflush(NULL)).
// limit: 200 1500
// run: fork 300 10000
// run: _Fork 300 10000
// run: clone 300 10000
// run: signal 300 10000
// run: stdio 300 10000
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "validate.h"

enum { threads = 8, slots = 48, child_patience = 30 };

typedef pid_t fork_function(void);

static _Atomic(struct block*) table[threads][slots];
static atomic_bool stopping;
static const char* text_path;  // mode stdio: the file whose long lines are read

static pid_t raw_clone(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

static void reap(pid_t pid, const char* whose) {
  int status;
  if (pid < 0) fail("%s: fork failed, errno %d", whose, errno);
  while (waitpid(pid, &status, 0) != pid)
    if (errno != EINTR) fail("%s: waitpid failed, errno %d", whose, errno);
  if (WIFSIGNALED(status))
    fail("%s: child killed by signal %d%s", whose, WTERMSIG(status), WTERMSIG(status) == SIGALRM ? ": it hung" : "");
  if (WEXITSTATUS(status)) fail("%s: child failed", whose);
}

// Eight sizes to each power of two visit every size class; above those, two do for page runs up to beyond a pageblock.
static void allocate_in_every_class(void) {
  enum { most = 128 };
  struct block* blocks[most];
  int count = 0;
  for (size_t power = 16; power <= 4 << 20; power *= 2) {
    size_t step = power <= 16 ? 16 : power <= 64 << 10 ? power / 8 : power / 2;
    for (size_t size = power; size < 2 * power; size += step, count++) blocks[count] = block_new(size, size + 1);
  }
  validate("with blocks of every class in a child");
  for (int i = 0; i < count; i++) block_free(blocks[i], "child's own");
}

static void free_rows(int first, int step) {
  for (int thread = 0; thread < threads; thread++)
    for (int slot = first; slot < slots; slot += step) {
      struct block* block = atomic_exchange(&table[thread][slot], NULL);
      block_free(block, "parent's, in the child");
    }
}

static void read_a_line(void) {
  char* line = NULL;
  size_t capacity = 0;
  FILE* file = fopen(text_path, "r");
  if (!file || getline(&line, &capacity, file) < 1000) fail("child cannot read a line");
  free(line);
  fclose(file);
}

// A child's whole life. The alarm ends one that hangs, and its parent sees it.
__attribute__((noreturn)) static void child_life(fork_function* fork_again) {
  alarm(child_patience);
  setpriority(PRIO_PROCESS, 0, 0);  // forked by a churner; only root may, without it the storm merely takes longer
  validate("at the start of a child");
  free_rows(0, 2);
  allocate_in_every_class();
  if (text_path) read_a_line();
  pid_t grandchild = fork_again();
  if (grandchild == 0) {
    alarm(child_patience);
    free_rows(0, 1);
    allocate_in_every_class();
    validate("at the end of a grandchild");
    _exit(0);
  }
  reap(grandchild, "grandchild");
  validate("at the end of a child");
  _exit(0);
}

static void churn(uint64_t* random, int thread) {
  struct block* block = block_new(random_size(random), random_next(random));
  int slot = (int)(random_next(random) % slots);
  block_free(atomic_exchange(&table[thread][slot], block), "own");
  int other = (int)(random_next(random) % threads);
  slot = (int)(random_next(random) % slots);
  block_free(atomic_exchange(&table[other][slot], NULL), "other thread's");
}

// --- from a signal handler ---------------------------------------------------------------------------------------------

enum way { work_in_handler, work_after_return };

static enum way way;
static fork_function* handlers_fork;
static _Atomic pid_t handlers_child;
static sem_t handler_done;
static _Thread_local volatile sig_atomic_t returned_as_child;

static void on_signal(int number) {
  (void)number;
  int saved = errno;
  pid_t pid = handlers_fork();
  if (pid == 0) alarm(child_patience);
  if (pid == 0 && way == work_in_handler) child_life(handlers_fork);
  if (pid == 0) {
    returned_as_child = 1;  // the interrupted malloc is completed first, in the child
  } else {
    atomic_store(&handlers_child, pid);
    sem_post(&handler_done);
  }
  errno = saved;
}

static void fork_from_handler(pthread_t victim, int round) {
  way = round & 1 ? work_after_return : work_in_handler;
  handlers_fork = round & 2 ? fork : _Fork;
  pthread_kill(victim, SIGUSR1);
  while (sem_wait(&handler_done))
    if (errno != EINTR) fail("sem_wait failed");
  reap(atomic_load(&handlers_child), way == work_in_handler ? "in a handler" : "back from a handler");
}

// --- threads -----------------------------------------------------------------------------------------------------------

static void* churner(void* argument) {
  int thread = (int)(intptr_t)argument;
  uint64_t random = 0x9e3779b97f4a7c15u * (uint64_t)(thread + 1);
  // Children come first, or eight threads leave them little of a processor.
  setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
  while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
    churn(&random, thread);
    if (returned_as_child) {
      for (int i = 0; i < 20; i++) churn(&random, thread);
      child_life(handlers_fork);
    }
  }
  return NULL;
}

static void* line_reader(void* unused) {
  while (!atomic_load(&stopping)) {
    FILE* file = fopen(text_path, "r");
    char* line = NULL;
    size_t capacity = 0;
    while (file && getline(&line, &capacity, file) > 0) {
      free(line);
      line = NULL;  // so that the next line is allocated under the file's lock
      capacity = 0;
    }
    free(line);
    if (!file || fclose(file)) fail("the text cannot be read");
  }
  return unused;
}

// The pause lets fork() have the list of files now and then.
static void* flusher(void* unused) {
  while (!atomic_load(&stopping)) {
    fflush(NULL);
    usleep(100);
  }
  return unused;
}

static void write_text(void) {
  static char path[] = "/tmp/fork-storm-XXXXXX";
  FILE* file = fdopen(mkstemp(path), "w");
  for (int line = 0; file && line < 200; line++) fprintf(file, "%*d\n", 1000 + line * 50, line);
  if (!file || fclose(file)) fail("no text could be written");
  text_path = path;
}

int main(int count, char** arguments) {
  if (count != 3) fail("usage: fork_storm fork|_Fork|clone|signal|stdio ROUNDS");
  const char* mode = arguments[1];
  int rounds = atoi(arguments[2]);
  bool stdio = !strcmp(mode, "stdio"), from_handler = !strcmp(mode, "signal");
  fork_function* fork_now = !strcmp(mode, "_Fork") ? _Fork : !strcmp(mode, "clone") ? raw_clone : fork;

  validate_lookup();
  sem_init(&handler_done, 0, 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  if (stdio) write_text();

  pthread_t churners[threads], readers[2], flushers[2];
  for (int i = 0; i < threads; i++) pthread_create(&churners[i], NULL, churner, (void*)(intptr_t)i);
  for (int i = 0; stdio && i < 2; i++) {
    pthread_create(&readers[i], NULL, line_reader, NULL);
    pthread_create(&flushers[i], NULL, flusher, NULL);
  }

  for (int round = 0; round < rounds; round++) {
    if (from_handler) {
      fork_from_handler(churners[round % threads], round);
      continue;
    }
    pid_t child = fork_now();
    if (child == 0) child_life(fork_now);
    reap(child, mode);
  }

  atomic_store(&stopping, true);
  for (int i = 0; i < threads; i++) pthread_join(churners[i], NULL);
  for (int i = 0; stdio && i < 2; i++) {
    pthread_join(readers[i], NULL);
    pthread_join(flushers[i], NULL);
  }
  if (stdio) unlink(text_path);
  free_rows(0, 1);
  validate("at the end");
  puts("ok");
  return 0;
}
