#include "client/cli/complaint.h"

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/status.h"
#include "core/base/address.h"

namespace cytopress {
namespace {

// The reason of an error of the service that gets a hint of its own (docs/errors.md).
constexpr char kJobNotFoundReason[] = "JOB_NOT_FOUND";

constexpr char kNameAnother[] = "Name another with --server or CYTOPRESS_SERVER.";

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
  if (absl::StrContains(message, "http1.x server")) {
    return absl::StrCat("What listens there is no cytopressd. ", kNameAnother);
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
  Complaint complaint{status.code(), ErrorInfoOf(status), std::string(status.message()), {}};
  if (status.code() == absl::StatusCode::kUnavailable && complaint.info.reason().empty()) {
    ExplainUnavailable(flags, reached, &complaint);
  } else if (IsFromAnotherServer(status)) {
    complaint.hints = {kNameAnother};
    complaint.message =
        absl::StrCat("what listens at ", flags.server, " is no cytopressd: ", complaint.message);
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

}  // namespace

void PrintError(const absl::Status& status, CliContext* context) {
  Print(ComplaintOf(status, context->flags(), context->reached()), context);
}

void PrintUsageError(const UsageError& error, CliContext* context) {
  Print({absl::StatusCode::kInvalidArgument, {}, error.message, {error.hint}}, context);
}

}  // namespace cytopress
