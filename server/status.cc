#include "server/status.h"

#include <cerrno>
#include <optional>
#include <string>
#include <system_error>

#include "absl/algorithm/container.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

// gRPC peers accept 8 KiB of trailers in all; the details travel in base64, and the message may
// triple when it is percent-encoded.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxDescriptionBytes = 512;
constexpr size_t kMaxViolationsBytes = 2048;

// How much earlier than the server a client may find that a deadline has passed.
constexpr absl::Duration kDeadlineSlack = absl::Milliseconds(20);

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

// There are no user accounts: what was denied was denied to the server.
absl::StatusCode CodeFor(const absl::Status& status) {
  return absl::IsPermissionDenied(status) ? absl::StatusCode::kInternal : status.code();
}

// By the words of the C library and of SQLite: their codes for it have become RESOURCE_EXHAUSTED,
// which has other causes, too.
bool IsDiskFull(const absl::Status& status) {
  if (!absl::IsResourceExhausted(status)) return false;
  const auto says = [&status](const std::string& words) {
    return absl::StrContains(status.message(), words);
  };
  return says(std::generic_category().message(ENOSPC)) ||
         says(std::generic_category().message(EDQUOT)) || says("disk is full");
}

// Of an error without a reason of its own.
std::string ReasonFor(const absl::Status& status) {
  return IsDiskFull(status) ? kDiskFull : absl::StatusCodeToString(CodeFor(status));
}

}  // namespace

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  google::rpc::Status rich;
  rich.set_code(static_cast<int>(CodeFor(status)));
  rich.set_message(Shorten(status.message(), kMaxMessageBytes));

  // The payloads are such messages already, under the same URLs.
  status.ForEachPayload([&rich](absl::string_view url, const absl::Cord& payload) {
    google::protobuf::Any* const detail = rich.add_details();
    detail->set_type_url(std::string(url));
    detail->set_value(std::string(payload));
    if (google::rpc::BadRequest bad_request; detail->UnpackTo(&bad_request)) {
      detail->PackFrom(Shorten(bad_request));
    }
  });
  const bool has_info = absl::c_any_of(rich.details(), [](const google::protobuf::Any& detail) {
    return detail.Is<google::rpc::ErrorInfo>();
  });
  if (!has_info) {
    rich.add_details()->PackFrom(ErrorInfoOf(WithReason(status, ReasonFor(status))));
  }
  return rich;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status rich = ToRpcStatus(status);
  // The codes of both libraries are the canonical ones, with the same numbers.
  return grpc::Status(static_cast<grpc::StatusCode>(rich.code()), rich.message(),
                      rich.SerializeAsString());
}

void AddTrailers(const absl::Status& status, grpc::CallbackServerContext* context) {
  const std::optional<absl::Duration> delay = RetryDelayOf(status);
  if (!delay.has_value()) return;
  context->AddTrailingMetadata("grpc-retry-pushback-ms",
                               absl::StrCat(absl::ToInt64Milliseconds(*delay)));
}

absl::Status ExpiredIfLate(const absl::Status& status, absl::Time deadline) {
  if (!absl::IsCancelled(status) || absl::Now() + kDeadlineSlack < deadline) return status;
  return absl::DeadlineExceededError("the deadline passed before the call was answered");
}

absl::Status UnreadableMessage() {
  return WithReason(
      absl::InvalidArgumentError("the request is no message of this call, or a text in it is not "
                                 "UTF-8"),
      "INVALID_FIELD");
}

absl::Status ClientGone() { return absl::CancelledError("the client is gone"); }

}  // namespace cytopress
