// file_view.cc: see file_view.h.  tool: inspect
#include "tools/inspect/file_view.h"

#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bm::inspect {

FileView::FileView(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  struct stat info {};
  if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_size > 0) {
    const auto bytes = static_cast<std::size_t>(info.st_size);
    void* const at = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at != MAP_FAILED) {
      data_ = static_cast<const char*>(at);
      size_ = bytes;
    }
  }
  close(fd);
}

FileView::~FileView() {
  if (size_ != 0) munmap(const_cast<char*>(data_), size_);
}

FileView::FileView(FileView&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

FileView& FileView::operator=(FileView&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

std::string_view FileView::text(std::uint64_t offset) const {
  if (offset >= size_) return {};
  const std::size_t most = size_ - offset;
  const std::size_t n = strnlen(data_ + offset, most);
  return n == most ? std::string_view{} : std::string_view{data_ + offset, n};
}

}  // namespace bm::inspect
