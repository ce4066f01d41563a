// folder_tree.h: files in a temporary folder, as /proc and /sys/fs would have them.  layer: tests
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace bm::test {

class FolderTree {
 public:
  FolderTree() {
    char name[] = "/tmp/buddymalloc-test-XXXXXX";
    root_ = mkdtemp(name);
  }
  ~FolderTree() { std::filesystem::remove_all(root_); }
  FolderTree(const FolderTree&) = delete;
  FolderTree& operator=(const FolderTree&) = delete;

  const char* root() const { return root_.c_str(); }
  void write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  void write(const std::string& path, std::size_t number) const { write(path, std::to_string(number) + "\n"); }

 private:
  std::string root_;
};

}  // namespace bm::test
