// file_view.h: a file as memory, with every access checked.  tool: inspect
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bm::inspect {

class FileView {
 public:
  FileView() = default;
  explicit FileView(const std::string& path);  // size() == 0: not to be read
  ~FileView();
  FileView(FileView&& other) noexcept;
  FileView& operator=(FileView&& other) noexcept;

  std::size_t size() const { return size_; }
  // `count` objects at an offset; null: not all inside the file, or misaligned.
  template <class T>
  const T* at(std::uint64_t offset, std::uint64_t count = 1) const {
    if (offset > size_ || count > (size_ - offset) / sizeof(T) || offset % alignof(T) != 0) return nullptr;
    return reinterpret_cast<const T*>(data_ + offset);
  }
  // The text at an offset up to its zero byte; empty when that is outside.
  std::string_view text(std::uint64_t offset) const;

 private:
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bm::inspect
