// What a failed call says, as the rest of the project reports errors.
#ifndef CYTOPRESS_CLIENT_STATUS_H_
#define CYTOPRESS_CLIENT_STATUS_H_

#include <grpcpp/support/status.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace cytopress {

// The google.rpc messages that travelled with an error; empty where there was none.
struct ErrorDetails {
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  std::optional<absl::Duration> retry_delay;
};

// Damaged details count as none.
ErrorDetails ParseErrorDetails(const google::rpc::Status& status);
ErrorDetails ParseErrorDetails(const grpc::Status& status);

// The same code. The message is the server's, with the field violations that it does not spell out
// itself ("; field: description") and the ErrorInfo (" [REASON key=value]") behind it. Both
// messages are also there for programs, as payloads under their type URLs (kBadRequestUrl,
// kErrorInfoUrl).
absl::Status ToAbslStatus(const google::rpc::Status& status);
absl::Status ToAbslStatus(const grpc::Status& status);

// What came with such a status; empty where there was none.
google::rpc::BadRequest BadRequestOf(const absl::Status& status);
google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status);

// Whether an HTTP server that speaks no gRPC has answered.
bool IsFromAnotherServer(const absl::Status& status);

// The same code and payloads.
absl::Status WithMessage(const absl::Status& status, absl::string_view message);

// " [REASON key=value]"; empty for a reason that only repeats the code.
std::string InfoInWords(const google::rpc::ErrorInfo& info, absl::StatusCode code);

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_STATUS_H_
