// test_cgroup.cc: the group of this process and its memory, in trees as machines and containers have them.  layer: tests
#include <catch2/catch.hpp>

#include "os/cgroup.h"
#include "support/folder_tree.h"

namespace bm::os {
namespace {

using test::FolderTree;

constexpr std::ptrdiff_t kNone = PTRDIFF_MAX;
const std::string kOtherMounts =
    "22 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n31 22 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
    std::string("40 22 0:50 / /var/lib/x rw - overlay overlay rw,lowerdir=") + std::string(3000, 'l') + "\n";
const char* const kV2Mount = "36 31 0:38 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
const char* const kV1Mounts =
    "33 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw shared:3 - cgroup cgroup rw,memory\n"
    "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
const char* const kMaxV1 = "9223372036854771712\n";

CgroupMemory read(const FolderTree& tree) {
  Cgroup group;
  CgroupMemory memory;
  REQUIRE(group.find(tree.root()));
  REQUIRE(group.read(memory));
  return memory;
}

TEST_CASE("v2: max, high and current of the group and of those around it", "[cgroup]") {
  const FolderTree tree;
  tree.write("/proc/self/cgroup", "0::/system.slice/a.service\n");
  tree.write("/proc/self/mountinfo", kOtherMounts + kV2Mount);
  const std::string slice = "/sys/fs/cgroup/system.slice";
  tree.write(slice + "/a.service/memory.max", "max\n");
  tree.write(slice + "/a.service/memory.high", "max\n");
  tree.write(slice + "/a.service/memory.current", 1000);
  CHECK(read(tree).most == SIZE_MAX);
  CHECK(read(tree).until_most == kNone);

  tree.write(slice + "/a.service/memory.max", 5000);
  tree.write(slice + "/a.service/memory.high", 900);
  CHECK(read(tree).most == 5000);
  CHECK(read(tree).until_most == 4000);
  CHECK(read(tree).until_high == -100);

  tree.write(slice + "/memory.max", 6000);
  tree.write(slice + "/memory.current", 4000);
  CHECK(read(tree).most == 5000);
  CHECK(read(tree).until_most == 2000);
  CHECK(read(tree).until_high == -100);
}

TEST_CASE("v1: the memory hierarchy, also where v2 is mounted beside it", "[cgroup]") {
  const FolderTree tree;
  tree.write("/proc/self/cgroup", "5:cpu,cpuacct:/other\n4:memory:/jobs/one\n0::/two\n");
  tree.write("/proc/self/mountinfo", kOtherMounts + kV1Mounts);
  const std::string memory = "/sys/fs/cgroup/memory";
  tree.write(memory + "/memory.limit_in_bytes", kMaxV1);
  tree.write(memory + "/memory.usage_in_bytes", 1'000'000);
  tree.write(memory + "/jobs/one/memory.limit_in_bytes", 8000);
  tree.write(memory + "/jobs/one/memory.usage_in_bytes", 3000);
  CHECK(read(tree).most == 8000);
  CHECK(read(tree).until_most == 5000);
  CHECK(read(tree).until_high == kNone);
}

TEST_CASE("near a limit, file pages that can be dropped are not in use", "[cgroup]") {
  const bool v2 = GENERATE(false, true);
  const FolderTree tree;
  const std::string folder = v2 ? "/sys/fs/cgroup/g" : "/sys/fs/cgroup/memory/g";
  tree.write("/proc/self/cgroup", v2 ? "0::/g" : "4:memory:/g");
  tree.write("/proc/self/mountinfo", v2 ? kV2Mount : kV1Mounts);
  tree.write(folder + (v2 ? "/memory.max" : "/memory.limit_in_bytes"), 10'000);
  tree.write(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes"), 9'900);
  tree.write(folder + "/memory.stat", v2 ? "anon 4000\ninactive_anon 7\ninactive_file 1000\nactive_file 200\n"
                                         : "inactive_file 5\ntotal_inactive_file 1000\ntotal_active_file 200\n");
  CHECK(read(tree).until_most == 100 + 1200);
}

TEST_CASE("in containers the group is mounted as root, under its own name or another", "[cgroup]") {
  const FolderTree tree;
  const auto [own, mounted] = GENERATE(table<const char*, const char*>({
      {"/", "/"},                                // a namespace
      {"/docker/abc", "/docker/abc"},            // none
      {"/docker/longer/name", "/docker/other"},  // a bind mount of somewhere else
      {"/../../outside", "/"},                   // moved out of the namespace
  }));
  tree.write("/proc/self/cgroup", "0::" + std::string(own) + "\n");
  tree.write("/proc/self/mountinfo",
             kOtherMounts + "36 31 0:38 " + mounted + " /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n");
  tree.write("/sys/fs/cgroup/memory.max", 700);
  tree.write("/sys/fs/cgroup/memory.current", 300);
  CHECK(read(tree).until_most == 400);
}

TEST_CASE("no group, no memory controller, or files that went away", "[cgroup]") {
  Cgroup group;
  CgroupMemory memory;
  const FolderTree tree;
  CHECK_FALSE(group.find(tree.root()));
  CHECK_FALSE(group.read(memory));
  tree.write("/proc/self/cgroup", "5:cpu:/x\n");
  tree.write("/proc/self/mountinfo", kOtherMounts + kV1Mounts);
  CHECK_FALSE(group.find(tree.root()));
  tree.write("/proc/self/cgroup", "garbage\n\n:\n4:memory:/x\n");
  CHECK(group.find(tree.root()));
  CHECK_FALSE(group.read(memory));
  CHECK(memory.most == SIZE_MAX);
}

TEST_CASE("what is resident and private is counted", "[cgroup]") {
  const std::size_t before = resident_anonymous();
  std::string touched(std::size_t{40} << 20, 'x');
  CHECK(resident_anonymous() >= before + (std::size_t{39} << 20));
  CHECK(touched.back() == 'x');
}

}  // namespace
}  // namespace bm::os
