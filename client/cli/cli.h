// The program `cytopress`: flags, commands, exit codes.
#ifndef CYTOPRESS_CLIENT_CLI_CLI_H_
#define CYTOPRESS_CLIENT_CLI_CLI_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/console.h"
#include "client/client.h"

namespace cytopress {

// What `--help` promises to scripts.
enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kUnavailable = 4,
  kJobFailed = 5,
  kJobCancelled = 6,
  kFilesFailed = 7,
  kInterrupted = 130,
};

ExitCode ExitCodeOf(const absl::Status& status);

// Some of several files failed, and what was asked for is printed of the others: the exit code is
// kFilesFailed.
absl::Status FilesFailed(int64_t failed, int64_t all, const std::string& message);

using ClientFactory = std::function<absl::StatusOr<std::unique_ptr<Client>>(const ClientOptions&)>;

// The flags that every command has.
struct GlobalFlags {
  std::string server = "127.0.0.1:8500";
  bool json = false;
  double timeout_seconds = 30;
  bool tls = false;
  TlsFiles tls_files;
};

// Whether one of them asks for encryption.
bool UsesTls(const GlobalFlags& flags);

// What every command gets: where to print, and the service.
class CliContext {
 public:
  CliContext(const Console& console, ClientFactory factory)
      : console_(console), factory_(std::move(factory)) {}

  const Console& console() const { return console_; }
  std::ostream& out() const { return *console_.out; }
  std::ostream& err() const { return *console_.err; }
  GlobalFlags& flags() { return flags_; }
  bool json() const { return flags_.json; }

  // Made when it is first asked for.
  absl::StatusOr<Client*> client();

  // The service has answered: a connection that fails from then on was lost.
  void set_reached() { reached_ = true; }
  bool reached() const { return reached_; }

  // The command whose flags were parsed.
  using Command = std::function<absl::StatusOr<ExitCode>()>;
  void set_command(Command command) { command_ = std::move(command); }
  const Command& command() const { return command_; }

 private:
  const Console console_;
  const ClientFactory factory_;
  GlobalFlags flags_;
  std::unique_ptr<Client> client_;
  bool reached_ = false;
  Command command_;
};

// Does `action` with each of `names`. Its errors are printed, and the first decides the exit code.
// Ends where the service cannot be reached.
ExitCode ForEach(CliContext* context, const std::vector<std::string>& names,
                 absl::FunctionRef<absl::Status(const std::string&)> action);

// Runs one command line and returns the program's exit code.
int RunCli(int argc, const char* const* argv, const Console& console,
           ClientFactory factory = Client::Create);

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_CLI_H_
