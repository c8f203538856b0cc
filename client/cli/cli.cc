#include "client/cli/cli.h"

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/checks.h"
#include "client/cli/commands.h"
#include "client/cli/report_commands.h"
#include "client/status.h"
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
    "  130  interrupted (Ctrl-C)\n"
    "\n"
    "Examples:\n"
    "  cytopress compress --name blood --dataset bloodmnist.npz --recipe quick\n"
    "  cytopress sweep --name grid --dataset bloodmnist.npz\n"
    "  cytopress jobs\n"
    "  cytopress classify --model blood cells/*.jpg\n"
    "  cytopress --server cells.example.org:8500 --json models\n"
    "\n"
    "`cytopress COMMAND --help` has the flags of a command, and more examples.";

constexpr double kLongestTimeout = 30 * 24 * 3600;

void AddGlobalFlags(CLI::App* app, GlobalFlags* flags) {
  app->add_option("--server", flags->server, "where cytopressd listens, HOST:PORT")
      ->check(Address())
      ->envname("CYTOPRESS_SERVER")
      ->capture_default_str();
  app->add_flag("--json", flags->json, "print JSON, for scripts");
  app->add_option("--timeout", flags->timeout_seconds, "seconds that one call may take")
      ->check(CLI::Range(0.001, kLongestTimeout))
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

// What may keep this program from a server, by what gRPC says of it.
std::string WhyUnreachable(const std::string& message, const GlobalFlags& flags) {
  if (absl::StrContains(message, "wrong version number")) {
    return "It seems to speak no TLS: leave --tls, --tls-ca and --tls-cert out.";
  }
  if (absl::StrContains(message, "Ssl handshake failed")) {
    return "The two do not agree on TLS: name the server's CA with --tls-ca and, if the server "
           "asks for one,\n  this client's certificate with --tls-cert and --tls-key.";
  }
  if (!UsesTls(flags) && absl::StrContains(message, "Socket closed")) {
    return "If it speaks TLS, give --tls or --tls-ca; else it is going down or starting.";
  }
  return "Is it running there? Start it, or name another with --server or CYTOPRESS_SERVER.";
}

// gRPC goes through a proxy where the environment names one.
std::string ProxyHint(const GlobalFlags& flags) {
  if (IsLoopback(flags.server) || absl::StartsWith(flags.server, "unix:")) return "";
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    const char* const proxy = std::getenv(name);
    if (proxy == nullptr || *proxy == '\0') continue;
    return absl::StrCat("\n  The call went through the proxy of ", name, "=", Printable(proxy),
                        "; no_proxy=HOST goes without.");
  }
  return "";
}

// Says what to do about the errors that everybody meets once.
std::string WithHint(const absl::Status& status, const GlobalFlags& flags) {
  const std::string message = Printable(status.message());
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::StrCat("cannot reach cytopressd at ", flags.server, ": ", message, "\n  ",
                          WhyUnreachable(message, flags), ProxyHint(flags));
    case absl::StatusCode::kDeadlineExceeded:
      return absl::StrCat("no answer from ", flags.server, " within ", flags.timeout_seconds,
                          " s (", message, ")\n  Allow more with --timeout.");
    default:
      return message.empty() ? absl::StatusCodeToString(status.code()) : message;
  }
}

void PrintError(const absl::Status& status, CliContext* context) {
  if (context->json()) {
    Json json;
    json["error"]["code"] = absl::StatusCodeToString(status.code());
    json["error"]["message"] = std::string(status.message());
    PrintJsonLine(json, context->console().err);
    return;
  }
  context->err() << "cytopress: " << WithHint(status, context->flags()) << '\n';
}

// What stands where a command should; empty when `error` is about something else.
std::string UnknownCommand(const CLI::App& app, const CLI::ParseError& error) {
  const std::string missing = CLI::RequiredError::Subcommand(1).what();
  const std::vector<std::string> words = app.remaining(/*recurse=*/true);
  return error.what() == missing && !words.empty() ? words[0] : "";
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

ExitCode ExitCodeOf(const absl::Status& status) {
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
    case absl::StatusCode::kResourceExhausted:
      // Only a service says why; a full disk or a file that is too large is of this machine.
      return status.GetPayload(kErrorInfoUrl).has_value() ? ExitCode::kUnavailable
                                                          : ExitCode::kFailed;
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
  AddClassifyCommand(&app, &context);
  AddEvaluateCommand(&app, &context);
  AddDatasetCommands(&app, &context);
  app.footer(kExitCodes);
  try {
    app.parse(ArgumentsToParse(argc, argv));
  } catch (const CLI::ParseError& error) {
    const std::string unknown = UnknownCommand(app, error);
    if (!unknown.empty()) {
      *console.err << "\"" << Printable(unknown)
                   << "\" is not a command\nRun with --help for a list of them.\n";
      return Finish(ExitCode::kUsage, &context);
    }
    const bool asked = app.exit(error, *console.out, *console.err) == 0;  // for --help
    return Finish(asked ? ExitCode::kOk : ExitCode::kUsage, &context);
  }
  const absl::StatusOr<ExitCode> code = context.command()();
  context.out().flush();
  if (code.ok()) return Finish(*code, &context);
  PrintError(code.status(), &context);
  return Finish(ExitCodeOf(code.status()), &context);
}

}  // namespace cytopress
