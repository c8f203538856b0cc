#include "client/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <stdexcept>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/complaint.h"
#include "client/cli/completion.h"
#include "client/cli/report_commands.h"
#include "client/cli/usage.h"
#include "client/status.h"
#include "core/base/arguments.h"
#include "core/base/help.h"

namespace cytopress {
namespace {

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  failed for another reason than those below\n"
    "  2  usage: wrong flags, an image that cannot be read, or input that the service refused\n"
    "  3  there is no such job, model or file\n"
    "  4  the service cannot be reached, is overloaded, or did not answer in time\n"
    "  5  the job that was watched has failed\n"
    "  6  the job that was watched was cancelled\n"
    "  7  some of the files to classify failed; the others are printed\n"
    "  130  interrupted (Ctrl-C)\n"
    "With --json, an error is {\"error\": {\"code\", \"reason\", \"metadata\", \"message\", "
    "\"hint\"}} on\n"
    "standard error, without what there is not.\n"
    "\n"
    "Examples:\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --recipe quick\n"
    "  cytopress sweep --name grid --dataset bloodmnist.npz\n"
    "  cytopress jobs\n"
    "  cytopress classify --model blood cells/*.jpg\n"
    "  cytopress --server cells.example.org:8500 --json models\n"
    "\n"
    "`cytopress COMMAND --help` has the flags of a command, and more examples.";

// The reasons of errors that get a code of their own: one of this program, the other of the service
// (docs/errors.md).
constexpr char kFilesFailedReason[] = "FILES_FAILED";
constexpr char kDiskFullReason[] = "DISK_FULL";

void AddGlobalFlags(CLI::App* app, GlobalFlags* flags) {
  app->add_option("--server", flags->server, "where cytopressd listens, HOST:PORT or unix:PATH")
      ->check(Address())
      ->envname("CYTOPRESS_SERVER")
      ->capture_default_str();
  app->add_flag("--json", flags->json,
                "print JSON, for scripts; a job that is followed is a line at each change");
  app->add_option("--timeout", flags->timeout_seconds, "seconds that one call may take")
      ->check(Timeout())
      ->capture_default_str();
  app->add_flag("--tls", flags->tls, "encrypt; the server is checked against the system's roots");
  app->add_option("--tls-ca", flags->tls_files.ca,
                  "PEM file with the CA of the server (means --tls)")
      ->type_name(kPath)
      ->envname("CYTOPRESS_TLS_CA");
  app->add_option("--tls-cert", flags->tls_files.certificate,
                  "PEM file with this client's certificate (means --tls)")
      ->type_name(kPath)
      ->envname("CYTOPRESS_TLS_CERT");
  app->add_option("--tls-key", flags->tls_files.key, "PEM file with its key")
      ->type_name(kPath)
      ->envname("CYTOPRESS_TLS_KEY");
}

// No command is to throw; but memory may run out, and a library may have an exception of its own.
absl::StatusOr<ExitCode> RunCommand(CliContext* context) try {
  return context->command()();
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("this machine has no memory left for it");
} catch (const std::exception& error) {
  return absl::InternalError(error.what());
}

// What is left of the output is written only here, and the disk may be full.
int Finish(ExitCode code, CliContext* context) {
  context->out().flush();
  if (!context->out() && code == ExitCode::kOk) {
    PrintError(absl::DataLossError("cannot write the output; is the disk full?"), context);
    code = ExitCode::kFailed;
  }
  return static_cast<int>(code);
}

}  // namespace

bool UsesTls(const GlobalFlags& flags) {
  const TlsFiles& files = flags.tls_files;
  return flags.tls || !files.ca.empty() || !files.certificate.empty() || !files.key.empty();
}

absl::Status FilesFailed(int64_t failed, int64_t all, const std::string& message) {
  google::rpc::ErrorInfo info;
  info.set_reason(kFilesFailedReason);
  (*info.mutable_metadata())["failed"] = absl::StrCat(failed);
  (*info.mutable_metadata())["files"] = absl::StrCat(all);
  absl::Status status(absl::StatusCode::kInvalidArgument, message);
  status.SetPayload(kErrorInfoUrl, absl::Cord(info.SerializeAsString()));
  return status;
}

ExitCode ExitCodeOf(const absl::Status& status) {
  if (ErrorInfoOf(status).reason() == kFilesFailedReason) return ExitCode::kFilesFailed;
  if (IsFromAnotherServer(status)) return ExitCode::kUnavailable;
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitCode::kOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
      return ExitCode::kUsage;
    case absl::StatusCode::kNotFound:
      return ExitCode::kNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return ExitCode::kUnavailable;
    case absl::StatusCode::kResourceExhausted: {
      // Only a service says why; a file that is too large is of this machine. A disk that is full,
      // of the one or the other, is no matter of trying again.
      const std::string reason = ErrorInfoOf(status).reason();
      return reason.empty() || reason == kDiskFullReason ? ExitCode::kFailed
                                                         : ExitCode::kUnavailable;
    }
    default:
      return ExitCode::kFailed;
  }
}

ExitCode ForEach(CliContext* context, const std::vector<std::string>& names,
                 absl::FunctionRef<absl::Status(const std::string&)> action) {
  ExitCode code = ExitCode::kOk;
  for (const std::string& name : names) {
    const absl::Status status = action(name);
    if (status.ok()) continue;
    PrintError(status, context);
    if (code == ExitCode::kOk) code = ExitCodeOf(status);
    if (ExitCodeOf(status) == ExitCode::kUnavailable) break;  // nor is it for the others
  }
  return code;
}

absl::StatusOr<Client*> CliContext::client() {
  if (client_ == nullptr) {
    ClientOptions options;
    options.target = flags_.server;
    options.deadline = absl::Seconds(flags_.timeout_seconds);
    if (UsesTls(flags_)) options.tls = flags_.tls_files;
    absl::StatusOr<std::unique_ptr<Client>> made = factory_(options);
    if (!made.ok()) return made.status();
    client_ = *std::move(made);
  }
  return client_.get();
}

int RunCli(int argc, const char* const* argv, const Console& console, ClientFactory factory) {
  CliContext context(console, std::move(factory));
  CLI::App app("cytopress: compress image classifiers and classify with them.", "cytopress");
  app.formatter(std::make_shared<HelpFormatter>(console.columns));
  app.set_version_flag("--version", "cytopress " CYTOPRESS_VERSION);
  app.require_subcommand(1);
  app.fallthrough();  // the shared flags may also follow the command
  AddGlobalFlags(&app, &context.flags());
  AddCompressCommand(&app, &context);
  AddReportCommands(&app, &context);
  AddReproduceCommand(&app, &context);
  AddJobCommands(&app, &context);
  AddModelCommands(&app, &context);
  AddImportCommand(&app, &context);
  AddClassifyCommand(&app, &context);
  AddEvaluateCommand(&app, &context);
  AddDatasetCommands(&app, &context);
  AddCompletionCommand(&app, &context);
  app.footer(kExitCodes);
  std::vector<std::string> arguments = ArgumentsToParse(argc, argv);
  // Where parsing ends before it, too.
  const bool json = std::find(arguments.begin(), arguments.end(), "--json") != arguments.end();
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help or --version
      app.exit(error, *console.out, *console.err);
      return Finish(ExitCode::kOk, &context);
    }
    context.flags().json = json;
    if (LacksCommand(app, error) && !json) {
      *console.err << app.help();
    } else {
      PrintUsageError(ExplainUsageError(app, error), &context);
    }
    return Finish(ExitCode::kUsage, &context);
  } catch (const std::logic_error&) {  // std::stoll in CLI11 itself
    context.flags().json = json;
    PrintUsageError({"a --no-... flag takes no value", "Leave out what follows its '='."},
                    &context);
    return Finish(ExitCode::kUsage, &context);
  }
  const absl::StatusOr<ExitCode> code = RunCommand(&context);
  context.out().flush();
  if (code.ok()) return Finish(*code, &context);
  PrintError(code.status(), &context);
  return Finish(ExitCodeOf(code.status()), &context);
}

}  // namespace cytopress
