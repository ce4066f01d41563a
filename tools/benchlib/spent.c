// spent.c: runs a command, and writes what it took to a file: wall seconds, processor seconds, page faults, KiB of peak RSS.
//
// Like time(1), and for time's reason: Linux counts what a process was before exec as its own, so that whatever a Python of
// many megabytes starts has had at least those megabytes. This has none.
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const double start = now();
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(argv[2], argv + 2);
    _exit(127);
  }
  int status;
  struct rusage spent;
  if (child < 0 || wait4(child, &status, 0, &spent) != child) return 2;
  const double wall = now() - start;
  FILE* const file = fopen(argv[1], "w");
  if (file == NULL) return 2;
  fprintf(file, "%.6f %.6f %ld %ld\n", wall, seconds(spent.ru_utime) + seconds(spent.ru_stime),
          spent.ru_minflt + spent.ru_majflt, spent.ru_maxrss);
  if (fclose(file) != 0) return 2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
