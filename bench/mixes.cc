// mixes.cc: what is left a second after a load of 200 MB has dropped, all but one object in 200.  layer: bench
// As the memory probe's `sites`, with other sizes and seeds, with both sites behind two wrappers around malloc, and in C++ containers.
// Prints the MiB of RSS that have come since the start; ends with 1 when a survivor is damaged.
#include "sites.h"

#include <cstdio>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using namespace bench;

constexpr std::size_t kFill = std::size_t{200} << 20;
constexpr std::size_t kOneIn = 200;

bool survives(bench_random& random) { return bench_between(&random, 1, kOneIn) == 1; }

double left() {
  sleep(1);
  return mib_since_start();
}

struct Object {
  unsigned char* bytes;
  std::uint32_t size;
  bool stays;
};

std::size_t most_objects(std::size_t least) { return kFill / least; }

template <class How, std::size_t kLeast, std::size_t kMost>
double sites(bench_random random) {
  Object* const objects = map_array<Object>(most_objects(kLeast));
  begin();
  std::size_t count = 0;
  for (std::size_t live = 0; live < kFill; ++count) {
    Object& o = objects[count];
    o.size = static_cast<std::uint32_t>(bench_between(&random, kLeast, kMost));
    o.stays = survives(random);
    o.bytes = o.stays ? of_long_life<How>(o.size) : of_short_life<How>(o.size);
    live += o.size;
  }
  for (std::size_t i = 0; i < count; ++i)
    if (!objects[i].stays) std::free(objects[i].bytes);
  const double mib = left();
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t k = 0; objects[i].stays && k < objects[i].size; ++k)
      if (objects[i].bytes[k] != kOfLongLife) fail("a survivor is damaged");
  return mib;
}

// Requests with all that hangs on them are answered and forgotten; a register of who has been here stays.
double requests(bench_random random) {
  struct Request {
    std::string path;
    std::vector<int> body;
    std::map<int, std::string> headers;
  };
  begin();
  std::unordered_map<std::uint64_t, std::unique_ptr<Request>> open;
  std::map<std::string, std::vector<std::uint64_t>> seen;
  for (std::size_t live = 0; live < kFill;) {
    auto request = std::make_unique<Request>();
    request->path = text(random, 16, 200);
    request->body.resize(bench_between(&random, 4, 200));
    for (int i = 0; i < 6; ++i) request->headers.emplace(i, text(random, 4, 60));
    live += 16 + sizeof(Request) + request->path.size() + 4 * request->body.size() + request->headers.size() * 100;
    if (survives(random)) seen[request->path].push_back(bench_next(&random));
    open.emplace(bench_next(&random), std::move(request));
  }
  decltype(open)().swap(open);
  const double mib = left();
  for (const auto& [path, ids] : seen)
    if (path.empty() || path.find_first_not_of(path[0]) != std::string::npos || ids.empty())
      fail("a survivor is damaged");
  return mib;
}

// Lines of a log, and the few kinds of them.
double lines(bench_random random) {
  begin();
  std::list<std::string> log;
  std::set<std::string> kinds;
  for (std::size_t live = 0; live < kFill;) {
    log.push_back(text(random, 8, 300));
    live += log.back().size() + sizeof(std::string) + 16;
    if (survives(random)) kinds.insert(log.back());
  }
  log.clear();
  const double mib = left();
  for (const std::string& kind : kinds)
    if (kind.find_first_not_of(kind[0]) != std::string::npos) fail("a survivor is damaged");
  return mib;
}

struct Mix {
  const char* name;
  double (*left_by)(bench_random);
};
constexpr Mix kMixes[] = {{"16 to 191 bytes", sites<Direct, 16, 191>},
                          {"16 to 1023 bytes", sites<Direct, 16, 1023>},
                          {"200 to 8191 bytes", sites<Direct, 200, 8191>},
                          {"behind wrappers", sites<Wrapped, 16, 191>},
                          {"behind wrappers, to 1023", sites<Wrapped, 16, 1023>},
                          {"requests in maps", requests},
                          {"lines in lists", lines}};

}  // namespace

// mixes NUMBER SEED: that mix alone, so that it is the process's first.
int main(int argc, char** argv) {
  const std::size_t which = argc == 3 ? std::strtoul(argv[1], nullptr, 10) : std::size(kMixes);
  if (which >= std::size(kMixes)) {
    std::fprintf(stderr, "usage: %s 0..%zu SEED\n", argv[0], std::size(kMixes) - 1);
    return 2;
  }
  const std::uint64_t seed = std::strtoull(argv[2], nullptr, 10);
  std::printf("%s %.2f\n", kMixes[which].name, kMixes[which].left_by({seed * 0x9E3779B97F4A7C15U + 1}));
  return 0;
}
