#include "server/metrics/fault_log.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

constexpr absl::Duration kPause = absl::Seconds(10);

bool IsDiskFull(const google::rpc::Status& status) {
  return absl::c_any_of(status.details(), [](const google::protobuf::Any& detail) {
    google::rpc::ErrorInfo info;
    return detail.UnpackTo(&info) && info.reason() == kDiskFull;
  });
}

bool IsFault(const std::string& method, const google::rpc::Status& status) {
  switch (static_cast<absl::StatusCode>(status.code())) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return true;
    case absl::StatusCode::kFailedPrecondition:
      // Of a model that the server cannot load, which no caller can help. Of other calls it answers
      // what was asked: a job has ended, a model is in use.
      return method == "Classify" || method == "ClassifyStream";
    default:
      return IsDiskFull(status);
  }
}

// In one line of the log, whatever a client or a file name has put into it.
std::string InOneLine(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return absl::ascii_iscntrl(c); }, ' ');
  return text;
}

}  // namespace

void FaultLog::Note(const std::string& method, const google::rpc::Status& status) {
  if (!IsFault(method, status)) return;
  int64_t left_out = 0;
  {
    absl::MutexLock lock(&mutex_);
    Kind& kind = kinds_[{method, status.code()}];
    const absl::Duration now = clock_->Steady();
    if (now - kind.logged < kPause) {
      ++kind.left_out;
      return;
    }
    left_out = std::exchange(kind.left_out, 0);
    kind.logged = now;
  }
  const std::string code = absl::StatusCodeToString(static_cast<absl::StatusCode>(status.code()));
  spdlog::warn("{} failed: {}: {}{}", method, code, InOneLine(status.message()),
               left_out == 0 ? "" : absl::StrCat(" (", left_out, " more before it)"));
}

}  // namespace cytopress
