// core_file.cc: see core_file.h.  tool: inspect
#include "tools/inspect/core_file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/bits.h"
#include "tools/inspect/failure.h"

namespace bm::inspect {

CoreFile::CoreFile(std::string path, ElfFile file) : path_(std::move(path)), file_(std::move(file)) {
  for (const Elf64_Phdr& p : file_.segments()) {
    if (p.p_type != PT_NOTE) continue;
    for (std::uint64_t at = p.p_offset; at + sizeof(Elf64_Nhdr) <= p.p_offset + p.p_filesz;) {
      const auto* const note = file_.file().at<Elf64_Nhdr>(at);
      if (note == nullptr) break;
      const std::uint64_t body = at + sizeof *note + align_up(note->n_namesz, 4);
      if (note->n_type == NT_FILE) read_file_note(body, note->n_descsz);
      at = body + align_up(note->n_descsz, 4);
    }
  }
  if (mappings_.empty()) throw Failure(path_ + ": a core file without a list of mapped files (NT_FILE)");
}

// count, page size, count times (start, end, offset in pages), then count paths, each with its zero byte.
void CoreFile::read_file_note(std::uint64_t at, std::uint64_t bytes) {
  std::uint64_t head[2];
  const auto copy = [this](std::uint64_t from, void* to, std::size_t n) {
    const char* const source = file_.file().at<char>(from, n);  // a note is aligned to four bytes only
    if (source != nullptr) std::memcpy(to, source, n);
    return source != nullptr;
  };
  if (!copy(at, head, sizeof head) || head[0] > bytes / 24) return;
  std::uint64_t path_at = at + sizeof head + head[0] * 24;
  for (std::uint64_t i = 0; i < head[0]; ++i) {
    std::uint64_t entry[3];
    if (!copy(at + sizeof head + i * sizeof entry, entry, sizeof entry)) return;
    const std::string_view path = file_.file().text(path_at);
    mappings_.push_back({entry[0], entry[1], entry[2] * head[1], std::string(path)});
    path_at += path.size() + 1;
  }
}

bool CoreFile::read(std::span<const Piece> pieces) const {
  for (const Piece& piece : pieces)
    for (std::size_t got = 0; got < piece.bytes;) {
      std::size_t done = 0;
      if (!read_some(piece.address + got, static_cast<char*>(piece.to) + got, piece.bytes - got, done)) return false;
      got += done;
    }
  return true;
}

bool CoreFile::read_some(std::uint64_t address, char* to, std::size_t bytes, std::size_t& done) const {
  for (const Elf64_Phdr& p : file_.segments()) {
    if (p.p_type != PT_LOAD || address < p.p_vaddr || address - p.p_vaddr >= p.p_filesz) continue;
    const std::uint64_t offset = address - p.p_vaddr;
    done = std::min<std::uint64_t>(bytes, p.p_filesz - offset);
    const char* const from = file_.file().at<char>(p.p_offset + offset, done);
    if (from != nullptr) std::memcpy(to, from, done);
    return from != nullptr;
  }
  for (const Mapping& m : mappings_) {
    if (address < m.start || address >= m.end) continue;
    done = std::min<std::uint64_t>(bytes, m.end - address);
    const FileView mapped = open(m);
    const char* const from = mapped.at<char>(m.offset + (address - m.start), done);
    if (from != nullptr) std::memcpy(to, from, done);
    return from != nullptr;
  }
  return false;
}

}  // namespace bm::inspect
