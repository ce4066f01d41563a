// test_core_file.cc: cores made by hand, and ELF files that are cut off or damaged.  layer: tests
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include <unistd.h>

#include "support/random.h"
#include "tools/inspect/core_file.h"
#include "tools/inspect/failure.h"

namespace bm::inspect {
namespace {

class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    const int fd = mkstemp(path.data());
    REQUIRE(fd >= 0);
    close(fd);
    std::ofstream(path, std::ios::binary) << bytes;
  }
  ~TemporaryFile() { unlink(path.c_str()); }
  std::string path = "/tmp/buddymalloc-test-XXXXXX";
};

template <class T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// A core with 8 bytes of memory at 0x10000, of a segment of 16, and with one file mapped at 0x20000 from its page 2 on.
std::string core_bytes(const std::string& mapped_path, unsigned note_type = NT_FILE) {
  const std::uint64_t file_note[] = {1, 4096, 0x20000, 0x21000, 2};
  const std::string note_body = bytes_of(file_note) + mapped_path + std::string(1, '\0');
  const Elf64_Nhdr note = {5, static_cast<Elf64_Word>(note_body.size()), note_type};
  const std::string notes = bytes_of(note) + std::string("CORE\0\0\0\0", 8) + note_body;
  Elf64_Ehdr head{};
  std::memcpy(head.e_ident, ELFMAG, SELFMAG);
  head.e_ident[EI_CLASS] = ELFCLASS64;
  head.e_type = ET_CORE;
  head.e_phoff = sizeof head;
  head.e_phnum = 2;
  Elf64_Phdr segments[2] = {};
  segments[0].p_type = PT_NOTE;
  segments[0].p_offset = sizeof head + sizeof segments;
  segments[0].p_filesz = notes.size();
  segments[1].p_type = PT_LOAD;
  segments[1].p_offset = segments[0].p_offset + notes.size();
  segments[1].p_vaddr = 0x10000;
  segments[1].p_filesz = 8;
  segments[1].p_memsz = 16;
  return bytes_of(head) + bytes_of(segments) + notes + "in core.";
}

std::string read_text(const Memory& memory, std::uint64_t address, std::size_t bytes) {
  std::string text(bytes, '\0');
  return memory.read(address, text.data(), bytes) ? text : "not there";
}

TEST_CASE("memory is in the core, else in the file that was mapped there", "[core_file]") {
  const TemporaryFile mapped(std::string(2 * 4096, '-') + "in the file");
  const TemporaryFile file(core_bytes(mapped.path));
  const CoreFile core(file.path, ElfFile(FileView(file.path)));
  REQUIRE(core.mappings().size() == 1);
  CHECK(core.mappings()[0].path == mapped.path);
  CHECK(core.mappings()[0].offset == 2 * 4096);
  CHECK_FALSE(core.runs());
  CHECK(read_text(core, 0x10000, 8) == "in core.");
  CHECK(read_text(core, 0x10003, 4) == "core");
  CHECK(read_text(core, 0x20000, 11) == "in the file");
  CHECK(read_text(core, 0x20003, 3) == "the");
  CHECK(read_text(core, 0x10004, 8) == "not there");  // the rest was not written
  CHECK(read_text(core, 0x20008, 8) == "not there");  // beyond the file's end
  CHECK(read_text(core, 0x30000, 1) == "not there");
}

TEST_CASE("a core without its list of files is refused", "[core_file]") {
  const TemporaryFile file(core_bytes("/nowhere", NT_PRSTATUS));
  CHECK_THROWS_WITH(CoreFile(file.path, ElfFile(FileView(file.path))), Catch::Contains("NT_FILE"));
}

TEST_CASE("a core that is cut off, or damaged, does no harm", "[core_file]") {
  INFO("BUDDYMALLOC_SEED=" << test::seed());
  const std::string whole = core_bytes("/proc/self/exe");
  test::Random random;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole.substr(0, random.below(whole.size() + 1));
    for (std::size_t k = random.below(4); k != 0 && !bytes.empty(); --k)
      bytes[random.below(bytes.size())] = static_cast<char>(random.bits());
    const TemporaryFile file(bytes);
    ElfFile elf{FileView(file.path)};
    elf.find_data("bm_state_root");
    if (elf.is_elf()) try {
        read_text(CoreFile(file.path, std::move(elf)), 0x10000, 8);
      } catch (const Failure&) {
      }
  }
}

TEST_CASE("this program's symbols are found as long as the file is whole", "[core_file]") {
  std::ifstream self("/proc/self/exe", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(self), {}};
  const auto found = [&](std::size_t n, const char* name) {
    const TemporaryFile file(bytes.substr(0, n));
    return ElfFile(FileView(file.path)).find_data(name).has_value();
  };
  CHECK(found(bytes.size(), "bm_state_root"));
  CHECK_FALSE(found(bytes.size(), "bm_state_roo"));
  CHECK_FALSE(found(bytes.size(), "main"));  // not data
  for (const std::size_t part : {2U, 3U, 10U}) CHECK_FALSE(found(bytes.size() / part, "bm_state_root"));
  CHECK_FALSE(ElfFile(FileView("/nowhere")).is_elf());
  CHECK_FALSE(ElfFile(FileView("/")).is_elf());
}

}  // namespace
}  // namespace bm::inspect
