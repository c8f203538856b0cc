// Errors that say more than a code and a sentence. The details travel as payloads of absl::Status,
// under the type URLs of the google.rpc messages, so that a server can pass them on as they are.
#ifndef CYTOPRESS_CORE_SERVING_ERROR_DETAILS_H_
#define CYTOPRESS_CORE_SERVING_ERROR_DETAILS_H_

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"

namespace cytopress {

// The reason of an error for want of room on the server's disk.
inline constexpr char kDiskFull[] = "DISK_FULL";

// `status` with a google.rpc.ErrorInfo of domain "cytopress". `reason` is UPPER_SNAKE_CASE. An OK
// status stays as it is, here and below.
absl::Status WithReason(absl::Status status, absl::string_view reason,
                        const std::map<std::string, std::string>& metadata = {});

// `status` with one more google.rpc.BadRequest violation.
absl::Status WithFieldViolation(absl::Status status, absl::string_view field,
                                absl::string_view description);

// INVALID_ARGUMENT "<field>: <description>", with the violation.
absl::Status InvalidField(absl::string_view field, absl::string_view description);

// `status` with a google.rpc.RetryInfo: the same request may succeed after `delay`.
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);

// RESOURCE_EXHAUSTED with a RetryInfo: there is too much to do.
absl::Status Busy(absl::string_view message, absl::string_view reason, absl::Duration retry_delay);

// UNAVAILABLE "the server is shutting down<advice>" with the reason SHUTTING_DOWN.
absl::Status ShuttingDown(absl::string_view advice = "");

// RESOURCE_EXHAUSTED "<what>; try again later" with a RetryInfo and the reason OUT_OF_MEMORY.
absl::Status OutOfMemory(absl::string_view what);

// What the functions above have put in; empty messages where they have not.
google::rpc::ErrorInfo ErrorInfoOf(const absl::Status& status);
google::rpc::BadRequest BadRequestOf(const absl::Status& status);
std::optional<absl::Duration> RetryDelayOf(const absl::Status& status);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_SERVING_ERROR_DETAILS_H_
