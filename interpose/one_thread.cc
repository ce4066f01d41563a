// one_thread.cc: calls of libc's that the kernel refuses to a process with two threads.  layer: interpose
// A program that has joined its threads has one, and may enter a user namespace, say. Ours, which ends a moment after the
// last of theirs, would be in the way: it goes first. Who makes the system call by himself may have to try again.
#include <sched.h>

#include "api/one_thread.h"
#include "buddymalloc/buddymalloc.h"

extern "C" {

BM_EXPORT int unshare(int what) noexcept { return bm::api::unshare(what); }
BM_EXPORT int setns(int fd, int kind) noexcept { return bm::api::setns(fd, kind); }

}  // extern "C"
