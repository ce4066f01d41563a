// namespaces.h: unshare and setns, which the kernel refuses in part to a process with two threads.  layer: os
// It wants one thread for a new user namespace and for what threads share by nature, and to enter a user or time namespace; to
// enter a mount namespace nobody may share the current directory, as all threads of a process do. All else programs may do thread
// by thread, and often. What each is called with is libc's; results are 0 or -errno, and errno stays.
#pragma once

namespace bm::os {

bool unshare_needs_one_thread(int what);
bool setns_needs_one_thread(int fd, int kind);
long unshare(int what);
long setns(int fd, int kind);

}  // namespace bm::os
