// limit.h: BUDDYMALLOC_LIMIT: how much memory the heap may hold, and when that has to be asked anew.  layer: heap
// The value becomes a pages::Budget, which zones and direct mappings charge. A group's limit is one for everybody in it: it is
// turned into one for this heap each time it is read, and allows only some growth until it has to be read again.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/cgroup.h"
#include "os/lock.h"

namespace bm::heap {

struct LimitOption {
  enum class Kind : unsigned char { kNone, kBytes, kPercent, kCgroup } kind = Kind::kNone;
  std::size_t value = 0;  // bytes or percents
};
// "2G", "256M", "65536", "80%", "cgroup". False: nothing of that, or less than kLeastLimit.
bool parse_limit(const char* text, LimitOption& out);
inline constexpr std::size_t kLeastLimit = std::size_t{1} << 20;

class Limit {
 public:
  // Reads the option, once libc knows the environment. The zones are there.
  void configure();
  void apply(const LimitOption& option, const char* root = "");  // `root`: os::Cgroup::find
  // What the heap may hold at the very best, in bytes. SIZE_MAX: no limit.
  std::size_t most() const { return __atomic_load_n(&least_refused_, __ATOMIC_RELAXED) - 1; }
  // Looks at the group again, unless that has just been done; `bytes` are about to be asked for. True: there is more room.
  bool renew(std::size_t bytes);
  // As renew() where there is no room for so many bytes as far as is known.
  void expect(std::size_t bytes);
  // In a fork's child: counts what it holds.
  void after_fork();

 private:
  void count();
  void look(std::size_t held);
  void set_most(std::size_t bytes) { __atomic_store_n(&least_refused_, bytes + 1, __ATOMIC_RELAXED); }

  std::size_t least_refused_ = 0;  // 0: no limit; all of this object is zero at first
  bool configured_ = false;
  os::Lock lock_;  // of what follows
  os::Cgroup group_;
  std::uint64_t seen_at_ = 0;  // ms
  std::size_t seen_held_ = 0;  // pages; what was known then:
  std::size_t seen_most_ = 0;
  std::size_t seen_calm_ = 0;
};

[[gnu::visibility("hidden")]] extern Limit limit;

}  // namespace bm::heap
