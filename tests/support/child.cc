// child.cc: see child.h.  layer: tests
#include "support/child.h"

#include <catch2/catch.hpp>
#include <csignal>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bm::test {

pid_t fork_by_clone() { return static_cast<pid_t>(syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, 0UL)); }

Ending in_child(const std::function<bool()>& piece, const Fork& fork_by, unsigned seconds) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork_by ? fork_by() : fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    for (const int s : {SIGABRT, SIGSEGV, SIGBUS, SIGALRM}) std::signal(s, SIG_DFL);  // Catch2 has its own
    dup2(ends[1], 2);
    close(ends[0]);
    alarm(seconds);
    _exit(piece() ? 0 : 1);
  }
  close(ends[1]);
  Ending ending;
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    ending.text.append(buffer, static_cast<std::size_t>(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  ending.ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  ending.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return ending;
}

}  // namespace bm::test
