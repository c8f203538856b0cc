// A folder of its own for tests that write files.
#ifndef CYTOPRESS_TESTS_CORE_BASE_FOLDER_FIXTURE_H_
#define CYTOPRESS_TESTS_CORE_BASE_FOLDER_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <string>

#include "tests/temporary_folder.h"

namespace cytopress {

class FolderTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  int FileCount() const {
    return static_cast<int>(std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CORE_BASE_FOLDER_FIXTURE_H_
