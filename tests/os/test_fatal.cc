// test_fatal.cc: the end of a damaged process, and plain output.  layer: tests
#include "os/fatal.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

#include "os/errno_guard.h"
#include "support/child.h"

namespace bm::os {
namespace {

TEST_CASE("fatal says what and where, and aborts", "[fatal]") {
  const auto end = test::in_child([]() -> bool { fatal("a test", reinterpret_cast<void*>(0x1234)); });
  CHECK(end.signal == SIGABRT);
  CHECK(end.text == "buddymalloc: a test: 0x1234\n");
}

TEST_CASE("write_all goes on after partial writes", "[fatal]") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  fcntl(ends[1], F_SETPIPE_SZ, 4096);
  std::string text;
  while (text.size() < 100000) text += std::to_string(text.size()) + " ";
  std::string got;
  std::thread reader([&] {
    char buffer[999];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) got.append(buffer, static_cast<std::size_t>(n));
  });
  write_all(ends[1], text.data(), text.size());
  close(ends[1]);
  reader.join();
  close(ends[0]);
  CHECK(got == text);
}

TEST_CASE("write_all ignores errors and keeps errno", "[fatal]") {
  errno = EOWNERDEAD;
  write_all(-1, "x", 1);
  CHECK(errno == EOWNERDEAD);
}

TEST_CASE("ErrnoGuard restores errno", "[errno_guard]") {
  errno = EOWNERDEAD;
  {
    const ErrnoGuard keep;
    errno = ENOMEM;
  }
  CHECK(errno == EOWNERDEAD);
}

}  // namespace
}  // namespace bm::os
