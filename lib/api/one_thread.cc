// one_thread.cc: see one_thread.h.  layer: api
#include "api/one_thread.h"

#include <cerrno>

#include "heap/background.h"
#include "os/namespaces.h"

namespace bm::api {
namespace {

int as_libc(long result) {
  if (result >= 0) return static_cast<int>(result);
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

int unshare(int what) {
  if (os::unshare_needs_one_thread(what)) heap::background.leave();
  return as_libc(os::unshare(what));
}

int setns(int fd, int kind) {
  if (os::setns_needs_one_thread(fd, kind)) heap::background.leave();
  return as_libc(os::setns(fd, kind));
}

}  // namespace bm::api
