// elf_file.h: what the command needs of a 64-bit ELF file: segments, and the address of a symbol.  tool: inspect
#pragma once

#include <elf.h>

#include <optional>
#include <span>

#include "tools/inspect/file_view.h"

namespace bm::inspect {

class ElfFile {
 public:
  explicit ElfFile(FileView file);

  bool is_elf() const { return header_ != nullptr; }
  bool is_core() const { return header_ != nullptr && header_->e_type == ET_CORE; }
  const FileView& file() const { return file_; }
  std::span<const Elf64_Phdr> segments() const { return segments_; }
  // The address of a data symbol as the file says it: in the dynamic symbol table, else in the static one.
  std::optional<std::uint64_t> find_data(std::string_view name) const;
  // What to add to the file's addresses when the byte at `offset` of the file is mapped at `address`.
  std::optional<std::uint64_t> bias(std::uint64_t offset, std::uint64_t address) const;

 private:
  std::span<const Elf64_Shdr> sections() const;
  FileView file_;
  const Elf64_Ehdr* header_ = nullptr;  // null: no such file
  std::span<const Elf64_Phdr> segments_;
};

}  // namespace bm::inspect
