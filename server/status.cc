#include "server/status.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// gRPC peers accept 8 KiB of trailers in all; the details travel in base64, and the message may
// triple when it is percent-encoded.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDescriptionBytes = 512;
constexpr size_t kMaxViolationsBytes = 2048;

// At most `max_bytes` of `text`, without cutting a UTF-8 character in two.
std::string Shorten(absl::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "...");
}

google::rpc::BadRequest Shorten(const google::rpc::BadRequest& whole) {
  google::rpc::BadRequest shortened;
  for (const google::rpc::BadRequest::FieldViolation& violation : whole.field_violations()) {
    google::rpc::BadRequest::FieldViolation* const copy = shortened.add_field_violations();
    copy->set_field(Shorten(violation.field(), kMaxDescriptionBytes));
    copy->set_description(Shorten(violation.description(), kMaxDescriptionBytes));
    if (shortened.ByteSizeLong() > kMaxViolationsBytes) {
      shortened.mutable_field_violations()->RemoveLast();
      break;
    }
  }
  return shortened;
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(status.code()));
  rich.set_message(Shorten(status.message(), kMaxMessageBytes));

  google::rpc::ErrorInfo info = ErrorInfoOf(status);
  if (info.reason().empty()) {
    info = ErrorInfoOf(WithReason(status, absl::StatusCodeToString(status.code())));
  }
  rich.add_details()->PackFrom(info);
  const google::rpc::BadRequest bad_request = Shorten(BadRequestOf(status));
  if (bad_request.field_violations_size() > 0) rich.add_details()->PackFrom(bad_request);
  if (const std::optional<absl::Duration> delay = RetryDelayOf(status); delay.has_value()) {
    google::rpc::RetryInfo retry;
    absl::Duration rest;
    retry.mutable_retry_delay()->set_seconds(absl::IDivDuration(*delay, absl::Seconds(1), &rest));
    retry.mutable_retry_delay()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
    rich.add_details()->PackFrom(retry);
  }
  return rich;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status rich = ToRpcStatus(status);
  // The codes of both libraries are the canonical ones, with the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), rich.message(),
                      rich.SerializeAsString());
}

void AddTrailers(const absl::Status& status, grpc::CallbackServerContext* context) {
  const std::optional<absl::Duration> delay = RetryDelayOf(status);
  if (!delay.has_value()) return;
  context->AddTrailingMetadata("grpc-retry-pushback-ms",
                               absl::StrCat(absl::ToInt64Milliseconds(*delay)));
}

void FinishWith(const absl::Status& status, grpc::CallbackServerContext* context,
                grpc::ServerUnaryReactor* reactor) {
  AddTrailers(status, context);
  reactor->Finish(ToGrpcStatus(status));
}

}  // namespace cytopress
