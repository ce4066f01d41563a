// test_namespaces.cc: which calls need a single thread, and that they say why they fail.  layer: tests
#include "os/namespaces.h"

#include <catch2/catch.hpp>

#include <cerrno>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace bm::os {

TEST_CASE("what the kernel refuses to two threads is told from what each may do for itself", "[namespaces]") {
  CHECK(unshare_needs_one_thread(CLONE_NEWUSER));
  CHECK(unshare_needs_one_thread(CLONE_NEWUSER | CLONE_NEWNET));
  CHECK(unshare_needs_one_thread(CLONE_VM));
  CHECK_FALSE(unshare_needs_one_thread(CLONE_FS | CLONE_FILES | CLONE_NEWNS | CLONE_NEWNET));
  CHECK(setns_needs_one_thread(-1, CLONE_NEWUSER));
  CHECK(setns_needs_one_thread(-1, CLONE_NEWNS));
  CHECK_FALSE(setns_needs_one_thread(-1, CLONE_NEWNET));
}

TEST_CASE("a namespace of any kind is known by its file", "[namespaces]") {
  const int mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC),
            net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  REQUIRE(mounts >= 0);
  REQUIRE(net >= 0);
  CHECK(setns_needs_one_thread(mounts, 0));
  CHECK_FALSE(setns_needs_one_thread(net, 0));
  CHECK_FALSE(setns_needs_one_thread(-1, 0));
  close(mounts);
  close(net);
}

TEST_CASE("a refusal is the result, and errno stays", "[namespaces]") {
  errno = 7;
  CHECK(unshare(1) == -EINVAL);  // no flag
  CHECK(setns(-1, 0) == -EBADF);
  CHECK(errno == 7);
}

}  // namespace bm::os
