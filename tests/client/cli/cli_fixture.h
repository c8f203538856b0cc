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
#include "core/base/sha256.h"
#include "tests/client/fake_service.h"
#include "tests/scoped_environment.h"
#include "tests/temporary_folder.h"

namespace cytopress {

// The exit code of `cytopress` with these arguments; `out` and `err` then hold what it printed.
// `terminal_columns`: of the terminal that `out` is; 0: it is none.
inline int RunCommand(std::vector<std::string> arguments, const ClientFactory& connect,
                      std::ostringstream* out, std::ostringstream* err, int terminal_columns = 0) {
  arguments.insert(arguments.begin(), "cytopress");
  std::vector<const char*> argv;
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  out->str("");
  err->str("");
  Console console;
  console.out = out;
  console.err = err;
  console.terminal = terminal_columns > 0;
  if (console.terminal) console.columns = terminal_columns;
  return RunCli(static_cast<int>(argv.size()), argv.data(), console, connect);
}

inline v1::Model BloodModel() {
  v1::Model model;
  model.set_name("blood");
  model.set_version(2);
  model.set_sha256(Sha256Hex("bytes"));
  model.set_weights(v1::WEIGHT_TYPE_INT8);
  model.add_class_names("basophil");
  model.add_class_names("monocyte");
  model.mutable_network()->set_architecture("resnet50");
  model.mutable_size()->set_dense_bytes(94000000);
  model.mutable_size()->set_disk_bytes(9400000);
  v1::Evaluation* evaluation = model.add_evaluations();
  evaluation->set_split("test");
  evaluation->set_accuracy(0.9612);
  for (const int count : {40, 2, 3, 55}) evaluation->add_confusion(count);
  evaluation->add_class_recall(40.0 / 42);
  evaluation->add_class_recall(55.0 / 58);
  return model;
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
    return RunCommand(arguments, connect, &out_, &err_, terminal_columns_);
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
  int terminal_columns_ = 0;  // none
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
