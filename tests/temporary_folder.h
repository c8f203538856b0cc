// A folder of a test's own.
#ifndef CYTOPRESS_TESTS_TEMPORARY_FOLDER_H_
#define CYTOPRESS_TESTS_TEMPORARY_FOLDER_H_

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace cytopress {

// New and empty, of a name that no other test, run or user has; removed with its content at the
// end. A killed test leaves it, which no later one minds. The path is short enough for sockets (107
// bytes) where testing::TempDir() is.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::filesystem::path& parent = testing::TempDir()) {
    std::string path = (parent / "cytopress-XXXXXX").string();
    if (mkdtemp(path.data()) == nullptr) {
      std::perror(path.c_str());
      std::abort();
    }
    path_ = std::move(path);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }
  // Of the file `name` in it, which need not be there.
  std::string PathOf(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_TEMPORARY_FOLDER_H_
