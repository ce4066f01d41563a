// one_thread.h: what unshare and setns do.  layer: api
#pragma once

namespace bm::api {

// As libc's, once the background thread has gone where it would be in the way.
int unshare(int what);
int setns(int fd, int kind);

}  // namespace bm::api
