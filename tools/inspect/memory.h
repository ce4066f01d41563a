// memory.h: the memory of a process, which runs or has left a core file.  tool: inspect
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "tools/inspect/file_view.h"

namespace bm::inspect {

// Part of a file in the address space.
struct Mapping {
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t offset;  // bytes into the file
  std::string path;
};

struct Piece {
  std::uint64_t address;
  void* to;
  std::size_t bytes;
};

class Memory {
 public:
  Memory() = default;
  virtual ~Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // Copies all pieces, in order. False: some byte of them is not there.
  virtual bool read(std::span<const Piece> pieces) const = 0;
  bool read(std::uint64_t address, void* to, std::size_t bytes) const {
    const Piece piece{address, to, bytes};
    return read(std::span{&piece, 1});
  }
  virtual bool runs() const = 0;                     // it may change while it is read
  virtual std::string folder() const { return {}; }  // in /proc, where it runs
  virtual FileView open(const Mapping& mapping) const = 0;
  virtual std::string name() const = 0;
  const std::vector<Mapping>& mappings() const { return mappings_; }

 protected:
  std::vector<Mapping> mappings_;  // of files
};

}  // namespace bm::inspect
