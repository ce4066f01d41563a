// child.h: runs a piece of a test in a child process and tells how it ended and what it wrote to stderr.  layer: tests
// For deaths that are demanded, and for what only the child of a fork can see. Assertions of Catch2 do not work in there:
// the piece returns whether all is well.
#pragma once

#include <cstdio>
#include <functional>
#include <string>

#include <sys/types.h>

namespace bm::test {

struct Ending {
  bool ok = false;   // returned true
  int signal = 0;    // that killed it; SIGALRM: it hung
  std::string text;  // its stderr
};

using Fork = std::function<pid_t()>;
pid_t fork_by_clone();  // the bare system call: no libc code runs in the child before the piece

Ending in_child(const std::function<bool()>& piece, const Fork& fork_by = nullptr, unsigned seconds = 30);

// In a child: a condition that does not hold ends it with the line's number as text.
#define BM_CHILD_REQUIRE(condition)                                                      \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
      return false;                                                                      \
    }                                                                                    \
  } while (false)

}  // namespace bm::test
