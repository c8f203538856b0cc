// Runs command lines against the fake service.
#ifndef CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_
#define CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/cli.h"
#include "core/base/file.h"
#include "tests/client/fake_service.h"

namespace cytopress {

class CliTest : public ::testing::Test {
 protected:
  CliTest() {
    folder_ = absl::StrCat(testing::TempDir(), "/cli_test-", getpid(), "-",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    EXPECT_TRUE(MakeDirectories(folder_).ok());
  }
  ~CliTest() override { std::filesystem::remove_all(folder_); }

  // The exit code; what was printed is in out() and err().
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "cytopress");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    out_.str("");
    err_.str("");
    Console console;
    console.out = &out_;
    console.err = &err_;
    return RunCli(static_cast<int>(argv.size()), argv.data(), console,
                  [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Client>> {
                    client_options_ = options;
                    return std::make_unique<Client>(service_.channel(), options);
                  });
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  Json OutJson() const { return Json::parse(out_.str()); }

  FakeService service_;
  ClientOptions client_options_;  // of the last call
  std::string folder_;

 private:
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_
