// cgroup.cc: see cgroup.h.  layer: os
// /proc/self/cgroup names the group, by "N:memory:/path" (v1) or "0::/path" (v2); /proc/self/mountinfo says where which part
// of that hierarchy is mounted: "id parent dev ROOT MOUNT options... - TYPE source SUPER". In a container ROOT is often the
// group itself.
#include "os/cgroup.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include <fcntl.h>

#include "base/number.h"
#include "base/text.h"
#include "os/file.h"
#include "os/syscall.h"
#include "os/vm.h"

namespace bm::os {
namespace {

// A text file line by line; what is longer than the buffer is cut.
class Lines {
 public:
  explicit Lines(const char* path) : fd_(system_call(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)) {}
  ~Lines() {
    if (fd_ >= 0) system_call(SYS_close, fd_);
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  // Null: the end. Valid until the next call.
  char* next() {
    std::size_t n = 0;
    for (char c; get(c);) {
      if (c == '\n') return end(n);
      if (n < sizeof line_ - 1) line_[n++] = c;
    }
    return n == 0 ? nullptr : end(n);
  }

 private:
  bool get(char& c) {
    if (at_ == filled_) {
      const long n = fd_ < 0 ? 0 : system_call(SYS_read, fd_, buffer_, sizeof buffer_);
      if (n <= 0) return false;
      at_ = 0;
      filled_ = static_cast<std::size_t>(n);
    }
    c = buffer_[at_++];
    return true;
  }
  char* end(std::size_t n) {
    line_[n] = '\0';
    return line_;
  }
  long fd_;
  std::size_t at_ = 0;
  std::size_t filled_ = 0;
  char buffer_[512] = {};
  char line_[1024] = {};
};

// Cuts the text at the first `mark` and returns what is behind that; null: there is none.
char* cut(char* text, char mark) {
  char* const at = text == nullptr ? nullptr : std::strchr(text, mark);
  if (at == nullptr) return nullptr;
  *at = '\0';
  return at + 1;
}

// Whether `word` is in a list with commas.
bool lists(const char* list, const char* word) {
  const std::size_t n = std::strlen(word);
  for (const char* at = list; at != nullptr; at = std::strchr(at, ',')) {
    if (*at == ',') ++at;
    if (std::strncmp(at, word, n) == 0 && (at[n] == ',' || at[n] == '\0')) return true;
  }
  return false;
}

// Two texts in one; false: too long.
bool join(char* out, std::size_t capacity, const char* a, const char* b) {
  Text text(out, capacity);
  text << a << b;
  if (text.size() == capacity) return false;
  out[text.size()] = '\0';
  return true;
}

// The number in a file of the group; SIZE_MAX for "max", v1's largest, and where there is no such file.
std::size_t number_in(const char* folder, const char* name) {
  constexpr std::size_t kNone = std::size_t{1} << 60;  // v1 has no word for it
  char path[1024];
  char text[32];
  std::size_t value = 0;
  const char* at = text;
  if (!join(path, sizeof path, folder, name) || !read_file(path, text, sizeof text) || !read_number(at, value))
    return SIZE_MAX;
  return value < kNone ? value : SIZE_MAX;
}

// File pages on the lists that reclaim goes through, with those of the groups below.
std::size_t droppable(const char* folder, bool v2) {
  char path[1024];
  if (!join(path, sizeof path, folder, "/memory.stat")) return 0;
  Lines lines(path);
  std::size_t sum = 0;
  while (char* const line = lines.next()) {
    const char* value = cut(line, ' ');
    const char* name = line;
    if (!v2 && std::strncmp(name, "total_", 6) != 0) continue;
    if (!v2) name += 6;
    std::size_t n = 0;
    const bool file = std::strcmp(name, "inactive_file") == 0 || std::strcmp(name, "active_file") == 0;
    if (file && value != nullptr && read_number(value, n)) sum += n;
  }
  return sum;
}

}  // namespace

bool Cgroup::find(const char* root) {
  length_ = 0;
  char path[1024];
  char group[512] = {};
  if (!join(path, sizeof path, root, "/proc/self/cgroup")) return false;
  Lines groups(path);
  bool v1 = false;
  while (char* line = groups.next()) {
    char* const controllers = cut(line, ':');
    const char* const name = cut(controllers, ':');
    if (name == nullptr || v1) continue;
    v1 = lists(controllers, "memory");
    if (!v1 && controllers[0] != '\0') continue;
    if (!join(group, sizeof group, "", name)) return false;
  }
  v2_ = !v1;
  if (group[0] == '\0' || !join(path, sizeof path, root, "/proc/self/mountinfo")) return false;
  Lines mounts(path);
  while (char* line = mounts.next()) {
    char* part = cut(cut(cut(line, ' '), ' '), ' ');
    char* const mount = cut(part, ' ');
    char* const options = cut(mount, ' ');
    char* const type = options == nullptr ? nullptr : std::strstr(options, " - ");
    char* const source = type == nullptr ? nullptr : cut(type + 3, ' ');
    const char* const super = cut(source, ' ');
    if (super == nullptr || std::strcmp(type + 3, v2_ ? "cgroup2" : "cgroup") != 0) continue;
    if (v1 && !lists(super, "memory")) continue;
    // Where the group is not inside what is mounted, the names are of another namespace: the mount is all we may see.
    const std::size_t n = std::strcmp(part, "/") == 0 ? 0 : std::strlen(part);
    const bool inside = std::strncmp(group, part, n) == 0 && (group[n] == '/' || group[n] == '\0');
    const char* const below = inside && std::strcmp(group + n, "/") != 0 ? group + n : "";
    if (!join(path, sizeof path, root, mount) || !join(folder_, sizeof folder_, path, below)) return false;
    length_ = std::strlen(folder_);
    mount_ = length_ - std::strlen(below);
    break;
  }
  return found();
}

bool Cgroup::read(CgroupMemory& out) const {
  out = {};
  char folder[kPath] = {};
  std::copy_n(folder_, length_ + 1, folder);
  bool any = false;
  const auto lower = [](std::ptrdiff_t& room, std::size_t limit, std::size_t used) {
    if (limit != SIZE_MAX) room = std::min(room, static_cast<std::ptrdiff_t>(limit - used));
  };
  for (std::size_t n = length_; found();) {
    std::size_t used = number_in(folder, v2_ ? "/memory.current" : "/memory.usage_in_bytes");
    const std::size_t most = number_in(folder, v2_ ? "/memory.max" : "/memory.limit_in_bytes");
    const std::size_t high = v2_ ? number_in(folder, "/memory.high") : SIZE_MAX;
    any |= used != SIZE_MAX;
    // memory.stat is dear: it is read where it matters.
    if (used != SIZE_MAX && used > std::min(most, high) / 4 * 3) used -= std::min(used, droppable(folder, v2_));
    if (used != SIZE_MAX) lower(out.until_most, most, used);
    if (used != SIZE_MAX) lower(out.until_high, high, used);
    out.most = std::min(out.most, most);
    if (n <= mount_) break;
    while (folder[n - 1] != '/') --n;
    folder[--n] = '\0';
  }
  return any;
}

std::size_t resident_anonymous() {
  // size resident shared, in OS pages
  char text[160];
  if (!read_file("/proc/self/statm", text, sizeof text)) return 0;
  const char* at = text;
  std::size_t field[3] = {};
  for (auto& f : field) {
    while (*at == ' ') ++at;
    if (!read_number(at, f)) return 0;
  }
  return (field[1] - std::min(field[1], field[2])) * granule();
}

}  // namespace bm::os
