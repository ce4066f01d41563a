// core_file.h: a process that has left a core file.  tool: inspect
#pragma once

#include "tools/inspect/elf_file.h"
#include "tools/inspect/memory.h"

namespace bm::inspect {

class CoreFile : public Memory {
 public:
  // Throws Failure when there is no list of mapped files in it.
  CoreFile(std::string path, ElfFile file);

  using Memory::read;
  // What the core left out because it was as in the mapped file is read from there.
  bool read(std::span<const Piece> pieces) const override;
  bool runs() const override { return false; }
  FileView open(const Mapping& mapping) const override { return FileView(mapping.path); }
  std::string name() const override { return path_; }

 private:
  void read_file_note(std::uint64_t offset, std::uint64_t bytes);
  bool read_some(std::uint64_t address, char* to, std::size_t bytes, std::size_t& done) const;
  std::string path_;
  ElfFile file_;
};

}  // namespace bm::inspect
