// namespaces.cc: see namespaces.h.  layer: os
#include "os/namespaces.h"

#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sys/syscall.h>

#include "os/syscall.h"

namespace bm::os {
namespace {

constexpr unsigned long kNewTime = 0x80;  // CLONE_NEWTIME: older headers lack it

}  // namespace

bool unshare_needs_one_thread(int what) {
  constexpr unsigned long kAlone = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
  return (static_cast<unsigned long>(what) & kAlone) != 0;
}

bool setns_needs_one_thread(int fd, int kind) {
  constexpr unsigned long kAlone = CLONE_NEWUSER | CLONE_NEWNS | kNewTime;
  const long kinds = kind != 0 ? kind : system_call(SYS_ioctl, fd, NS_GET_NSTYPE);
  return kinds > 0 && (static_cast<unsigned long>(kinds) & kAlone) != 0;
}

long unshare(int what) { return system_call(SYS_unshare, what); }
long setns(int fd, int kind) { return system_call(SYS_setns, fd, kind); }

}  // namespace bm::os
