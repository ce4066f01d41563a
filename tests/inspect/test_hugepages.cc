// test_hugepages.cc: hugepages of a process from outside: as from inside, by smaps, and of one that ends.  layer: tests
#include <catch2/catch.hpp>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "buddymalloc/buddymalloc.h"
#include "heap/hugepages.h"
#include "heap/process_heap.h"
#include "support/hugepage.h"
#include "tools/inspect/failure.h"
#include "tools/inspect/hugepages.h"
#include "tools/inspect/live_process.h"

namespace bm::inspect {
namespace {

constexpr std::size_t kBytes = 44 << 20;
const auto kIgnore = [](const BlockLine&) {};

struct LargeBlock {
  LargeBlock() { std::memset(start, 1, kBytes); }
  ~LargeBlock() { bm_free(start); }
  char* start = static_cast<char*>(bm_aligned_alloc(kPageblockSize, kBytes));
  char* inside = start + kBytes - kPageblockSize;  // for which a hugepage is wished
};

std::string text_of(const HeapState& state, bool each_block) {
  std::string text;
  {
    TextSink out([](void* to, const char* t, std::size_t n) { static_cast<std::string*>(to)->append(t, n); }, &text);
    print_hugepages(out, state, each_block);
  }
  return text;
}

TEST_CASE("the same from outside as from inside, and each pageblock by itself", "[hugepages]") {
  const LargeBlock block;
  void* const small = bm_malloc(100);  // in a pageblock that is not full
  const bool on_hugepage = test::put_on_hugepage(block.inside);
  if (on_hugepage) REQUIRE(os::linux_vm.purge(block.inside + kPageSize, kPageSize));  // split
  pages::HugepageReport inside;
  REQUIRE(heap::report_hugepages(inside));
  const LiveProcess self(getpid());
  const HeapState state(self);
  std::vector<BlockLine> lines;
  const pages::HugepageReport outside =
      look_at_hugepages(state, self.folder(), [&](const BlockLine& b) { lines.push_back(b); });
  CHECK(outside.pageblocks == inside.pageblocks);
  CHECK(outside.in_use == inside.in_use);
  CHECK(outside.resident_pages == inside.resident_pages);
  CHECK(outside.small_pages == inside.small_pages);
  CHECK(outside.waste_pages == inside.waste_pages);
  CHECK(outside.huge_pages == inside.huge_pages);
  REQUIRE(lines.size() == inside.pageblocks);
  CHECK(lines[0].asked == pages::Asked::kSmall);
  CHECK(lines[0].address == reinterpret_cast<std::uintptr_t>(heap::process.map.address({})));
  bool seen = false;
  for (const BlockLine& b : lines) {
    pages::BlockView view;
    REQUIRE(heap::process.zone.look(b.index, view));
    CHECK(b.pages.used == kPagesPerBlock - view.free_pages);
    CHECK(b.type == view.type);
    if (b.address == reinterpret_cast<std::uintptr_t>(block.inside)) {
      seen = true;
      CHECK(b.asked == pages::Asked::kHuge);
      CHECK(b.pages.used == kPagesPerBlock);
      if (on_hugepage) CHECK(b.pages.resident == kPagesPerBlock - 1);
      if (on_hugepage) CHECK(b.huge == os::Huge::kNo);
    }
  }
  CHECK(seen);
  const std::string text = text_of(state, true);
  CHECK(text.rfind("# pageblock address ", 0) == 0);
  CHECK(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == lines.size() + 2);
  CHECK(text.find("    huge       511   512      0        0       4K\n") != (on_hugepage ? std::string::npos : 0));
  CHECK(text_of(state, false).rfind("coverage ", 0) == 0);
  bm_free(small);
}

// A folder that says of this process what a kernel before 6.7 would: the pages of one pageblock are present.
struct OldKernel {
  explicit OldKernel(const void* block) {
    REQUIRE(mkdtemp(folder) != nullptr);
    const std::vector<std::uint64_t> entries(kPagesPerBlock, std::uint64_t{1} << 63);
    const int fd = open((std::string(folder) + "/pagemap").c_str(), O_CREAT | O_WRONLY, 0600);
    const auto at = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(block) / kPageSize * 8);
    const auto bytes = static_cast<ssize_t>(kPagesPerBlock * 8);
    REQUIRE(pwrite(fd, entries.data(), kPagesPerBlock * 8, at) == bytes);
    REQUIRE(ftruncate(fd, off_t{1} << 39) == 0);
    close(fd);
  }
  ~OldKernel() {
    unlink((std::string(folder) + "/pagemap").c_str());
    unlink((std::string(folder) + "/smaps").c_str());
    rmdir(folder);
  }
  OldKernel(const OldKernel&) = delete;
  OldKernel& operator=(const OldKernel&) = delete;
  void write_smaps(const std::string& text) { std::ofstream(std::string(folder) + "/smaps") << text; }
  char folder[32] = "/tmp/buddymalloc-proc-XXXXXX";
};

TEST_CASE("where only smaps knows of hugepages, it is believed for what it is about", "[hugepages]") {
  const LargeBlock block;
  const LiveProcess self(getpid());
  const HeapState state(self);
  OldKernel kernel(block.inside);
  const auto look = [&] { return look_at_hugepages(state, kernel.folder, kIgnore); };
  CHECK_FALSE(look().huge_known);
  char area[128];
  const auto at = reinterpret_cast<std::uintptr_t>(block.inside);
  std::snprintf(area, sizeof area, "%lx-%lx rw-p 0 0 0\nAnonHugePages: 2048 kB\n", at, at + kPageblockSize);
  kernel.write_smaps(std::string("1000-2000 rw-p 0 0 0\nAnonHugePages: 4096 kB\n") + area);
  const pages::HugepageReport r = look();
  CHECK(r.huge_known);
  CHECK(r.resident_pages == kPagesPerBlock);
  CHECK(r.coverage() == 1000);
  CHECK(r.huge == 1);
  CHECK(r.split == 0);
  kernel.write_smaps("1000-2000 rw-p 0 0 0\nAnonHugePages: 4096 kB\n");
  CHECK(look().coverage() == 0);
  CHECK(look().split == 1);
  kernel.write_smaps("nonsense\n");
  CHECK_THROWS_WITH(look(), Catch::Contains("line not understood: nonsense"));
}

TEST_CASE("a folder without page tables", "[hugepages]") {
  bm_free(bm_malloc(1));
  const LiveProcess self(getpid());
  CHECK_THROWS_WITH(look_at_hugepages(HeapState(self), "/nowhere", kIgnore),
                    Catch::Contains("/nowhere/pagemap cannot"));
}

TEST_CASE("a process that ends before or while it is looked at is no process without memory", "[hugepages]") {
  const LargeBlock block;
  pages::HugepageReport inside;
  REQUIRE(heap::report_hugepages(inside));
  const std::size_t last = GENERATE_COPY(std::size_t{2}, inside.pageblocks);
  const pid_t child = fork();
  if (child == 0) {
    pause();
    _exit(0);
  }
  const auto end_child = [&] {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  };
  const LiveProcess process(child);
  const HeapState state(process);
  std::size_t lines = 0;
  const auto end_at_last = [&](const BlockLine&) {
    if (++lines == last) end_child();
  };
  CHECK_THROWS_WITH(look_at_hugepages(state, process.folder(), end_at_last), Catch::Contains("has ended"));
  CHECK(lines >= last);
  CHECK_THROWS_WITH(text_of(state, false), Catch::Contains("has ended"));
}

TEST_CASE("a core file cannot tell", "[hugepages]") {
  bm_free(bm_malloc(1));
  class Dead : public LiveProcess {
   public:
    Dead() : LiveProcess(getpid()) {}
    std::string folder() const override { return {}; }
  };
  const Dead dead;
  CHECK_THROWS_WITH(text_of(HeapState(dead), false), Catch::StartsWith("a core file"));
}

}  // namespace
}  // namespace bm::inspect
