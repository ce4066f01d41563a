// phases.cc: what is left after each of several load phases in which two places allocate as much as each other.  layer: bench
// What one of them allocates is kept for two phases more, what the other does goes with its phase; the calls take turns at random.
// Prints, for each trough, the MiB of RSS that have come since the start beside what is live; ends with 1 when something is damaged.
#include "sites.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

using namespace bench;

constexpr unsigned kPhases = 8;
constexpr unsigned kKeptFor = 3;  // phases, its own among them
constexpr std::size_t kOfEach = std::size_t{32} << 20;

void trough(std::size_t live_bytes) {
  usleep(300'000);
  const auto rss = mib_since_start();
  const auto live = static_cast<double>(live_bytes) / (1 << 20);
  std::printf(" %.1f", rss - live);
  std::fflush(stdout);
}

struct Objects {
  struct Object {
    unsigned char* bytes;
    std::size_t size;
  };
  explicit Objects(std::size_t most) : all(map_array<Object>(most)) {}
  void add(unsigned char* bytes, std::size_t size) {
    all[count++] = {bytes, size};
    live += size;
  }
  void free_all(unsigned char filled_with) {
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t k = 0; k < all[i].size; ++k)
        if (all[i].bytes[k] != filled_with) fail("an object is damaged");
      std::free(all[i].bytes);
    }
    count = live = 0;
  }
  Object* all;
  std::size_t count = 0;
  std::size_t live = 0;
};

// kGrows: the load grows from a third to twice as much, and what is kept is kept for good.
template <class How, std::size_t kLeast, std::size_t kMost, bool kGrows = false>
void sites(bench_random random) {
  const std::size_t most = 4 * kOfEach / kLeast;
  Objects passing(most);
  Objects kept[kPhases] = {Objects(most), Objects(most), Objects(most), Objects(most),
                           Objects(most), Objects(most), Objects(most), Objects(most)};
  begin();
  for (unsigned phase = 0; phase < kPhases; ++phase) {
    const std::size_t of_each = kGrows ? kOfEach / 3 * (phase + 1) : kOfEach;
    Objects& now = kept[phase];
    while (passing.live + now.live < 2 * of_each) {
      const std::size_t bytes = bench_between(&random, kLeast, kMost);
      if ((bench_next(&random) >> 63) != 0)
        passing.add(of_short_life<How>(bytes), bytes);
      else
        now.add(of_long_life<How>(bytes), bytes);
    }
    passing.free_all(kOfShortLife);
    if (!kGrows && phase >= kKeptFor - 1) kept[phase - (kKeptFor - 1)].free_all(kOfLongLife);
    std::size_t live = 0;
    for (const Objects& k : kept) live += k.live;
    trough(live);
  }
  for (Objects& k : kept) k.free_all(kOfLongLife);
}

// Requests with their headers go with their phase; sessions, with what they have seen, are looked up for longer.
void containers(bench_random random) {
  using Sessions = std::unordered_map<std::uint64_t, std::vector<std::string>>;
  using Requests = std::list<std::map<int, std::string>>;
  std::vector<Sessions> sessions(kPhases);
  std::vector<std::size_t> live(kPhases);
  begin();
  for (unsigned phase = 0; phase < kPhases; ++phase) {
    Requests requests;
    for (std::size_t bytes = 0; bytes < kOfEach;) {
      std::map<int, std::string>& headers = requests.emplace_back();
      for (int i = 0; i < 4; ++i) bytes += headers.emplace(i, text(random, 20, 120)).first->second.size() + 96;
      std::vector<std::string>& seen = sessions[phase][bench_next(&random)];
      seen.reserve(4);
      std::size_t size = 200;
      for (int i = 0; i < 4; ++i) size += seen.emplace_back(text(random, 20, 120)).size() + 1;
      live[phase] += size;
    }
    requests.clear();
    if (phase >= kKeptFor - 1) {
      for (const auto& [id, seen] : sessions[phase - (kKeptFor - 1)])
        for (const std::string& s : seen)
          if (s.find_first_not_of(s[0]) != std::string::npos) fail("an object is damaged");
      Sessions().swap(sessions[phase - (kKeptFor - 1)]);
      live[phase - (kKeptFor - 1)] = 0;
    }
    std::size_t all = 0;
    for (const std::size_t n : live) all += n;
    trough(all);
  }
}

struct Load {
  const char* name;
  void (*run)(bench_random);
};
constexpr Load kLoads[] = {{"16 to 191 bytes", sites<Direct, 16, 191>},
                           {"16 to 1023 bytes", sites<Direct, 16, 1023>},
                           {"200 to 8191 bytes", sites<Direct, 200, 8191>},
                           {"behind wrappers", sites<Wrapped, 16, 191>},
                           {"a load that grows", sites<Direct, 16, 191, true>},
                           {"a load that grows, behind wrappers", sites<Wrapped, 16, 191, true>},
                           {"requests and sessions", containers}};

}  // namespace

// phases NUMBER SEED: that load alone, so that it is the process's first.
int main(int argc, char** argv) {
  const std::size_t which = argc == 3 ? std::strtoul(argv[1], nullptr, 10) : std::size(kLoads);
  if (which >= std::size(kLoads)) {
    std::fprintf(stderr, "usage: %s 0..%zu SEED\n", argv[0], std::size(kLoads) - 1);
    return 2;
  }
  std::printf("%s", kLoads[which].name);
  kLoads[which].run({std::strtoull(argv[2], nullptr, 10) * 0x9E3779B97F4A7C15U + 1});
  std::printf("\n");
  return 0;
}
