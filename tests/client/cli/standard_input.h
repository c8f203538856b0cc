// Standard input, as a test wants it.
#ifndef CYTOPRESS_TESTS_CLIENT_CLI_STANDARD_INPUT_H_
#define CYTOPRESS_TESTS_CLIENT_CLI_STANDARD_INPUT_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

namespace cytopress {

// While it lives, this process's standard input is the file at `path`, from its beginning.
class StandardInput {
 public:
  explicit StandardInput(const std::string& path) : saved_(dup(STDIN_FILENO)) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(dup2(file, STDIN_FILENO), STDIN_FILENO) << path;
    close(file);
  }
  ~StandardInput() {
    dup2(saved_, STDIN_FILENO);
    close(saved_);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  const int saved_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_CLI_STANDARD_INPUT_H_
