// Runs command lines against the fake service.
#ifndef CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_
#define CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/cli.h"
#include "core/base/file.h"
#include "tests/client/fake_service.h"
#include "tests/scoped_environment.h"
#include "tests/temporary_folder.h"

namespace cytopress {

// The exit code of `cytopress` with these arguments; `out` and `err` then hold what it printed.
inline int RunCommand(std::vector<std::string> arguments, const ClientFactory& connect,
                      std::ostringstream* out, std::ostringstream* err) {
  arguments.insert(arguments.begin(), "cytopress");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  out->str("");
  err->str("");
  Console console;
  console.out = out;
  console.err = err;
  return RunCli(static_cast<int>(argv.size()), argv.data(), console, connect);
}

class CliTest : public ::testing::Test {
 protected:
  // The exit code; what was printed is in out() and err().
  int Run(const std::vector<std::string>& arguments) {
    const auto connect =
        [this](const ClientOptions& options) -> absl::StatusOr<std::unique_ptr<Client>> {
      client_options_ = options;
      client_options_.sleep = sleep_;
      return std::make_unique<Client>(service_.channel(), client_options_);
    };
    return RunCommand(arguments, connect, &out_, &err_);
  }

  std::string out() const { return out_.str(); }
  std::string err() const { return err_.str(); }
  Json OutJson() const { return Json::parse(out_.str()); }

  // Whatever the developer's own has.
  const ScopedEnvironment environment_[9] = {
      ScopedEnvironment("CYTOPRESS_SERVER"),  ScopedEnvironment("CYTOPRESS_DATASET"),
      ScopedEnvironment("CYTOPRESS_TLS_CA"),  ScopedEnvironment("CYTOPRESS_TLS_CERT"),
      ScopedEnvironment("CYTOPRESS_TLS_KEY"), ScopedEnvironment("grpc_proxy"),
      ScopedEnvironment("https_proxy"),       ScopedEnvironment("http_proxy"),
      ScopedEnvironment("no_proxy")};
  FakeService service_;
  ClientOptions client_options_;  // of the last call
  // Between attempts to reach a service that went away.
  std::function<void(absl::Duration)> sleep_ = [](absl::Duration) {};
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();

 private:
  std::ostringstream out_;
  std::ostringstream err_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_CLIENT_CLI_CLI_FIXTURE_H_
