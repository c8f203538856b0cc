#include "core/serving/error_details.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace cytopress {
namespace {

template <typename Message>
const std::string& UrlOf() {
  static const auto* const url =
      new std::string(absl::StrCat("type.googleapis.com/", Message::descriptor()->full_name()));
  return *url;
}

template <typename Message>
Message PayloadOf(const absl::Status& status) {
  Message message;
  const auto payload = status.GetPayload(UrlOf<Message>());
  if (payload.has_value() && !message.ParseFromString(std::string(*payload))) message.Clear();
  return message;
}

template <typename Message>
absl::Status WithPayload(absl::Status status, const Message& message) {
  status.SetPayload(UrlOf<Message>(), absl::Cord(message.SerializeAsString()));
  return status;
}

}  // namespace

absl::Status WithReason(absl::Status status, absl::string_view reason,
                        const std::map<std::string, std::string>& metadata) {
  if (status.ok()) return status;
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain("cytopress");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  return WithPayload(std::move(status), info);
}

absl::Status WithFieldViolation(absl::Status status, absl::string_view field,
                                absl::string_view description) {
  if (status.ok()) return status;
  google::rpc::BadRequest bad_request = BadRequestOf(status);
  google::rpc::BadRequest::FieldViolation* const violation = bad_request.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(std::string(description));
  return WithPayload(std::move(status), bad_request);
}

absl::Status InvalidField(absl::string_view field, absl::string_view description) {
  return WithReason(
      WithFieldViolation(absl::InvalidArgumentError(absl::StrCat(field, ": ", description)), field,
                         description),
      "INVALID_FIELD");
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  if (status.ok()) return status;
  google::rpc::RetryInfo retry;
  absl::Duration rest;
  retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(delay, absl::Seconds(1), &rest));
  retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return WithPayload(std::move(status), retry);
}

absl::Status Busy(absl::string_view message, absl::string_view reason, absl::Duration retry_delay) {
  return WithReason(WithRetryDelay(absl::ResourceExhaustedError(message), retry_delay), reason);
}

absl::Status ShuttingDown(absl::string_view advice) {
  return WithReason(absl::UnavailableError(absl::StrCat("the server is shutting down", advice)),
                    "SHUTTING_DOWN");
}

absl::Status OutOfMemory(absl::string_view what) {
  // Others need a while to give theirs back.
  constexpr absl::Duration kRetryDelay = absl::Seconds(1);
  return Busy(absl::StrCat(what, "; try again later"), "OUT_OF_MEMORY", kRetryDelay);
}

google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status) {
  return PayloadOf<google::rpc::ErrorInfo>(status);
}

google::rpc::BadRequest BadRequestOf(const absl::Status& status) {
  return PayloadOf<google::rpc::BadRequest>(status);
}

std::optional<absl::Duration> RetryDelayOf(const absl::Status& status) {
  const auto retry = PayloadOf<google::rpc::RetryInfo>(status);
  if (!retry.has_retry_delay()) return std::nullopt;
  return absl::Seconds(retry.retry_delay().seconds()) +
         absl::Nanoseconds(retry.retry_delay().nanos());
}

}  // namespace cytopress
