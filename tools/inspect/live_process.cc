// live_process.cc: see live_process.h.  tool: inspect
#include "tools/inspect/live_process.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include <sys/uio.h>
#include <unistd.h>

#include "tools/inspect/failure.h"

namespace bm::inspect {
namespace {

constexpr std::size_t kPiecesPerCall = 1024;  // IOV_MAX

}  // namespace

LiveProcess::LiveProcess(pid_t pid) : pid_(pid), folder_("/proc/" + std::to_string(pid)) {
  if (access(folder_.c_str(), F_OK) != 0) throw Failure("no such process: " + std::to_string(pid));
  std::ifstream maps(folder_ + "/maps");
  if (!maps) refused();
  for (std::string line; std::getline(maps, line);) {
    Mapping m{};
    unsigned long start = 0, end = 0, offset = 0;
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &path_at) < 3) continue;
    if (path_at == 0 || line[static_cast<std::size_t>(path_at)] != '/') continue;
    m.start = start;
    m.end = end;
    m.offset = offset;
    m.path = line.substr(static_cast<std::size_t>(path_at));
    mappings_.push_back(m);
  }
}

void LiveProcess::refused() const {
  std::string why =
      "not allowed to read process " + std::to_string(pid_) + ": be the same user, or root with CAP_SYS_PTRACE";
  std::ifstream scope("/proc/sys/kernel/yama/ptrace_scope");
  int value = 0;
  if (scope >> value && value != 0)
    why += "; Yama restricts users further: kernel.yama.ptrace_scope is " + std::to_string(value) +
           " (/proc/sys/kernel/yama/ptrace_scope), 0 would allow it";
  throw Failure(why);
}

bool LiveProcess::read(std::span<const Piece> pieces) const {
  while (!pieces.empty()) {
    const std::size_t n = std::min(pieces.size(), kPiecesPerCall);
    iovec from[kPiecesPerCall];
    iovec to[kPiecesPerCall];
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < n; ++i) {
      from[i] = {reinterpret_cast<void*>(pieces[i].address), pieces[i].bytes};
      to[i] = {pieces[i].to, pieces[i].bytes};
      bytes += pieces[i].bytes;
    }
    const ssize_t done = process_vm_readv(pid_, to, n, from, n, 0);
    if (done < 0 && errno == ESRCH) throw Failure("process " + std::to_string(pid_) + " has ended");
    if (done < 0 && (errno == EPERM || errno == EACCES)) refused();
    if (done < 0 || static_cast<std::size_t>(done) != bytes) return false;
    pieces = pieces.subspan(n);
  }
  return true;
}

// By its path as the process sees it; one that was deleted or replaced since is still reached through the mapping.
FileView LiveProcess::open(const Mapping& m) const {
  std::ostringstream mapped;
  mapped << folder_ << "/map_files/" << std::hex << m.start << "-" << m.end;
  for (const std::string& path : {mapped.str(), folder_ + "/root" + m.path, m.path}) {
    FileView file(path);
    if (file.size() != 0) return file;
  }
  return {};
}

}  // namespace bm::inspect
