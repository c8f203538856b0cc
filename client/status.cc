#include "client/status.h"

#include <map>
#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"

namespace cytopress {
namespace {

void AppendViolations(const google::rpc::BadRequest& bad_request, std::string* message) {
  const std::string said = *message;
  for (const google::rpc::BadRequest::FieldViolation& violation : bad_request.field_violations()) {
    if (violation.description() == said) continue;
    if (absl::StrContains(*message, violation.field()) &&
        absl::StrContains(*message, violation.description())) {
      continue;
    }
    absl::StrAppend(message, message->empty() ? "" : "; ", violation.field(), ": ",
                    violation.description());
  }
}

// Empty where there is none.
template <typename Message>
Message PayloadOf(const absl::Status& status, absl::string_view url) {
  Message message;
  const absl::optional<absl::Cord> payload = status.GetPayload(url);
  if (!payload.has_value() || !message.ParseFromString(std::string(*payload))) message.Clear();
  return message;
}

}  // namespace

google::rpc::BadRequest BadRequestOf(const absl::Status& status) {
  return PayloadOf<google::rpc::BadRequest>(status, kBadRequestUrl);
}

google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status) {
  return PayloadOf<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
}

bool IsFromAnotherServer(const absl::Status& status) {
  // gRPC makes a code of its own of such an answer, by which it cannot be told.
  return absl::StartsWith(status.message(), "Received http2 header with status: ");
}

absl::Status WithMessage(const absl::Status& status, absl::string_view message) {
  absl::Status result(status.code(), message);
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& value) { result.SetPayload(url, value); });
  return result;
}

std::string InfoInWords(const google::rpc::ErrorInfo& info, absl::StatusCode code) {
  // A server that has nothing more to say repeats the code as the reason.
  const bool repeats_code = info.reason() == absl::StatusCodeToString(code);
  if (info.reason().empty() || (repeats_code && info.metadata().empty())) return "";
  std::string words = absl::StrCat(" [", info.reason());
  const std::map<std::string, std::string> sorted(info.metadata().begin(), info.metadata().end());
  for (const auto& [key, value] : sorted) absl::StrAppend(&words, " ", key, "=", value);
  return absl::StrCat(words, "]");
}

ErrorDetails ParseErrorDetails(const google::rpc::Status& rich) {
  ErrorDetails details;
  for (const google::protobuf::Any& any : rich.details()) {
    google::rpc::RetryInfo retry;
    if (any.Is<google::rpc::ErrorInfo>()) {
      any.UnpackTo(&details.info);
    } else if (any.Is<google::rpc::BadRequest>()) {
      any.UnpackTo(&details.bad_request);
    } else if (any.UnpackTo(&retry)) {
      details.retry_delay = absl::Seconds(retry.retry_delay().seconds()) +
                            absl::Nanoseconds(retry.retry_delay().nanos());
    }
  }
  return details;
}

ErrorDetails ParseErrorDetails(const grpc::Status& status) {
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) rich.Clear();
  return ParseErrorDetails(rich);
}

absl::Status ToAbslStatus(const google::rpc::Status& rich) {
  if (rich.code() == 0) return absl::OkStatus();
  const ErrorDetails details = ParseErrorDetails(rich);
  std::string message = rich.message();
  AppendViolations(details.bad_request, &message);
  // The codes of all three libraries are the canonical ones, with the same numbers.
  const auto code = static_cast<absl::StatusCode>(rich.code());
  message += InfoInWords(details.info, code);
  absl::Status result(code, message);
  if (details.bad_request.field_violations_size() > 0) {
    result.SetPayload(kBadRequestUrl, absl::Cord(details.bad_request.SerializeAsString()));
  }
  if (!details.info.reason().empty()) {
    result.SetPayload(kErrorInfoUrl, absl::Cord(details.info.SerializeAsString()));
  }
  return result;
}

absl::Status ToAbslStatus(const grpc::Status& status) {
  google::rpc::Status rich;
  if (!rich.ParseFromString(status.error_details())) rich.Clear();
  rich.set_code(status.error_code());
  rich.set_message(status.error_message());
  return ToAbslStatus(rich);
}

}  // namespace cytopress
