// elf_file.cc: see elf_file.h.  tool: inspect
#include "tools/inspect/elf_file.h"

#include <cstring>
#include <utility>

namespace bm::inspect {
namespace {

constexpr std::uint64_t kFilePage = 4096;  // segments are mapped in multiples of it, whatever the page size

}  // namespace

ElfFile::ElfFile(FileView file) : file_(std::move(file)) {
  const auto* const h = file_.at<Elf64_Ehdr>(0);
  if (h == nullptr || std::memcmp(h->e_ident, ELFMAG, SELFMAG) != 0 || h->e_ident[EI_CLASS] != ELFCLASS64) return;
  header_ = h;
  std::uint64_t count = h->e_phnum;
  if (count == PN_XNUM && !sections().empty()) count = sections()[0].sh_info;
  if (const auto* const first = file_.at<Elf64_Phdr>(h->e_phoff, count)) segments_ = {first, count};
}

std::span<const Elf64_Shdr> ElfFile::sections() const {
  const auto* const first = file_.at<Elf64_Shdr>(header_->e_shoff, 1);
  if (header_->e_shoff == 0 || first == nullptr) return {};
  const std::uint64_t count = header_->e_shnum != 0 ? header_->e_shnum : first->sh_size;
  const auto* const all = file_.at<Elf64_Shdr>(header_->e_shoff, count);
  return all == nullptr ? std::span<const Elf64_Shdr>{} : std::span{all, count};
}

std::optional<std::uint64_t> ElfFile::find_data(std::string_view name) const {
  if (!is_elf()) return {};
  for (const Elf64_Word type : {Elf64_Word{SHT_DYNSYM}, Elf64_Word{SHT_SYMTAB}})
    for (const Elf64_Shdr& table : sections()) {
      if (table.sh_type != type || table.sh_link >= sections().size()) continue;
      const Elf64_Shdr& strings = sections()[table.sh_link];
      const std::uint64_t count = table.sh_size / sizeof(Elf64_Sym);
      const auto* const symbols = file_.at<Elf64_Sym>(table.sh_offset, count);
      if (symbols == nullptr) continue;
      for (const Elf64_Sym& s : std::span{symbols, count})
        if (s.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(s.st_info) == STT_OBJECT &&
            file_.text(strings.sh_offset + s.st_name) == name)
          return s.st_value;
    }
  return {};
}

std::optional<std::uint64_t> ElfFile::bias(std::uint64_t offset, std::uint64_t address) const {
  for (const Elf64_Phdr& p : segments_) {
    const std::uint64_t start = p.p_offset & ~(kFilePage - 1);
    if (p.p_type == PT_LOAD && offset >= start && offset < p.p_offset + p.p_filesz)
      return address - offset - (p.p_vaddr - p.p_offset);
  }
  return {};
}

}  // namespace bm::inspect
