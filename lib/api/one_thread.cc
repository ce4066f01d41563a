// one_thread.cc: see one_thread.h.  layer: api
// The kernel wants one thread for a new user namespace and for what threads share by nature, and to enter a user or time
// namespace; to enter a mount namespace nobody may share the current directory, as our thread does. All else programs may do
// thread by thread, and often: there ours stays.
#include "api/one_thread.h"

#include <cerrno>

#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "heap/background.h"
#include "os/syscall.h"

namespace bm::api {
namespace {

constexpr unsigned long kNewTime = 0x80;  // CLONE_NEWTIME: older headers lack it

int with_errno(long result) {
  if (result >= 0) return static_cast<int>(result);
  errno = static_cast<int>(-result);
  return -1;
}

}  // namespace

int unshare(int what) {
  constexpr unsigned long kAlone = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  if ((static_cast<unsigned long>(what) & kAlone) != 0) heap::background.leave();
  return with_errno(os::system_call(SYS_unshare, what));
}

int setns(int fd, int kind) {
  constexpr unsigned long kAlone = CLONE_NEWUSER | CLONE_NEWNS | kNewTime;
  const long kinds = kind != 0 ? kind : os::system_call(SYS_ioctl, fd, NS_GET_NSTYPE);
  if (kinds > 0 && (static_cast<unsigned long>(kinds) & kAlone) != 0) heap::background.leave();
  return with_errno(os::system_call(SYS_setns, fd, kind));
}

}  // namespace bm::api
