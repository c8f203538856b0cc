#include "client/cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <exception>
#include <new>
#include <stdexcept>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/report_commands.h"
#include "client/cli/usage.h"
#include "client/status.h"
#include "core/base/address.h"
#include "core/base/arguments.h"

namespace cytopress {
namespace {

constexpr char kExitCodes[] =
    "Exit codes:\n"
    "  0  done\n"
    "  1  failed for another reason than those below\n"
    "  2  usage: wrong flags, or input that the service refused\n"
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

// The reasons of errors that get a code or a hint of their own: one of this program, the others of
// the service (docs/errors.md).
constexpr char kFilesFailedReason[] = "FILES_FAILED";
constexpr char kJobNotFoundReason[] = "JOB_NOT_FOUND";
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
                  "PEM file with the CA of the server (means --tls)");
  app->add_option("--tls-cert", flags->tls_files.certificate,
                  "PEM file with this client's certificate (means --tls)");
  app->add_option("--tls-key", flags->tls_files.key, "PEM file with its key");
}

bool UsesTls(const GlobalFlags& flags) {
  const TlsFiles& files = flags.tls_files;
  return flags.tls || !files.ca.empty() || !files.certificate.empty() || !files.key.empty();
}

// Of an error that has none, empty.
google::rpc::ErrorInfo InfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  if (const absl::optional<absl::Cord> payload = status.GetPayload(kErrorInfoUrl)) {
    info.ParseFromString(std::string(*payload));
  }
  return info;
}

// What may keep this program from a server, by what gRPC says of it, and what to do.
std::string WhyUnreachable(absl::string_view message, const GlobalFlags& flags) {
  if (absl::StrContains(message, "wrong version number")) {
    return "It seems to speak no TLS: leave --tls, --tls-ca and --tls-cert out.";
  }
  if (absl::StrContains(message, "Ssl handshake failed")) {
    return "The two do not agree on TLS: name the server's CA with --tls-ca and, if the server "
           "asks for one, this client's certificate with --tls-cert and --tls-key.";
  }
  if (absl::StrContains(message, "not in peer certificate")) {
    return "It runs, and its certificate is for another name: call it with --server by a name that "
           "stands in the certificate.";
  }
  if (absl::StrContains(message, "Socket closed")) {
    return !UsesTls(flags) ? "If it speaks TLS, give --tls or --tls-ca; else it is going down or "
                             "starting."
           : flags.tls_files.certificate.empty()
               ? "If it asks for a client's certificate, give --tls-cert and --tls-key; else it is "
                 "going down or starting."
               : "It does not take this client's certificate (--tls-cert), or it is going down or "
                 "starting.";
  }
  return "Is it running there? Start it, or name another with --server or CYTOPRESS_SERVER.";
}

// gRPC goes through a proxy where the environment names one.
std::string ProxyHint(const GlobalFlags& flags) {
  if (IsLocal(flags.server)) return "";
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    const char* const proxy = std::getenv(name);
    if (proxy == nullptr || *proxy == '\0') continue;
    return absl::StrCat("The call went through the proxy of ", name, "=", proxy,
                        "; no_proxy=HOST goes without.");
  }
  return "";
}

// An error as it is shown: what has happened, and what to do about it.
struct Complaint {
  absl::StatusCode code;
  google::rpc::ErrorInfo info;  // for programs; empty unless the service gave one
  std::string message;
  std::vector<std::string> hints;  // sentences
};

// What a deadline's error says besides that it has passed, in parentheses; empty for nothing.
std::string BesidesDeadline(absl::string_view message) {
  const bool nothing = message.empty() || message == "Deadline Exceeded" ||  // gRPC's own words
                       absl::StartsWith(message, "no answer within ") ||     // the client's
                       absl::StartsWith(message, "nothing moved for ");
  return nothing ? "" : absl::StrCat(" (", message, ")");
}

// `reached`: the service has answered before.
void ExplainUnavailable(const GlobalFlags& flags, bool reached, Complaint* complaint) {
  if (reached) {
    complaint->hints = {
        "It has answered before: it was stopped, is starting again, or the line broke."};
    complaint->message = absl::StrCat("lost the connection to cytopressd at ", flags.server, ": ",
                                      complaint->message);
    return;
  }
  complaint->hints = {WhyUnreachable(complaint->message, flags)};
  if (const std::string hint = ProxyHint(flags); !hint.empty()) complaint->hints.push_back(hint);
  complaint->message =
      absl::StrCat("cannot reach cytopressd at ", flags.server, ": ", complaint->message);
}

// The errors that everybody meets once get a hint.
Complaint ComplaintOf(const absl::Status& status, const GlobalFlags& flags, bool reached) {
  Complaint complaint{status.code(), InfoOf(status), std::string(status.message()), {}};
  if (status.code() == absl::StatusCode::kUnavailable && complaint.info.reason().empty()) {
    ExplainUnavailable(flags, reached, &complaint);
  } else if (status.code() == absl::StatusCode::kDeadlineExceeded) {
    complaint.hints = {"Allow more with --timeout."};
    complaint.message =
        absl::StrCat("no answer from ", flags.server, " within ", flags.timeout_seconds, " s",
                     BesidesDeadline(status.message()));
  } else if (complaint.info.reason() == kJobNotFoundReason) {
    complaint.hints = {"`cytopress jobs` lists those that there are."};
  } else if (complaint.message.empty()) {
    complaint.message = absl::StatusCodeToString(status.code());
  }
  return complaint;
}

void Print(const Complaint& complaint, CliContext* context) {
  if (context->json()) {
    Json json;
    Json& error = json["error"];
    error["code"] = absl::StatusCodeToString(complaint.code);
    if (!complaint.info.reason().empty()) error["reason"] = complaint.info.reason();
    const std::string info = InfoInWords(complaint.info, complaint.code);
    error["message"] = absl::StripSuffix(complaint.message, info);
    for (const auto& [key, value] : complaint.info.metadata()) error["metadata"][key] = value;
    if (!complaint.hints.empty()) error["hint"] = absl::StrJoin(complaint.hints, " ");
    PrintJsonLine(json, context->console().err);
    return;
  }
  context->err() << "cytopress: " << Printable(complaint.message) << '\n';
  for (const std::string& hint : complaint.hints) {
    context->err() << "  " << Printable(hint) << '\n';
  }
}

void PrintError(const absl::Status& status, CliContext* context) {
  Print(ComplaintOf(status, context->flags(), context->reached()), context);
}

void PrintUsageError(const UsageError& error, CliContext* context) {
  Print({absl::StatusCode::kInvalidArgument, {}, error.message, {error.hint}}, context);
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
  if (InfoOf(status).reason() == kFilesFailedReason) return ExitCode::kFilesFailed;
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
      const std::string reason = InfoOf(status).reason();
      return reason.empty() || reason == kDiskFullReason ? ExitCode::kFailed
                                                         : ExitCode::kUnavailable;
    }
    default:
      return ExitCode::kFailed;
  }
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
