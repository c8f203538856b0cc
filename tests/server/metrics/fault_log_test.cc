#include "server/metrics/fault_log.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "core/serving/error_details.h"
#include "tests/captured_log.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

google::rpc::Status Error(absl::StatusCode code, const std::string& message,
                          const std::string& reason = "") {
  google::rpc::Status status;
  status.set_code(static_cast<int>(code));
  status.set_message(message);
  if (reason.empty()) return status;
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  status.add_details()->PackFrom(info);
  return status;
}

class FaultLogTest : public testing::Test {
 protected:
  const CapturedLog lines_;
  FakeClock clock_;
  FaultLog log_{&clock_};
};

TEST_F(FaultLogTest, WarnsOfFaultsOfTheServerAndOfNothingElse) {
  log_.Note("Compress", Error(absl::StatusCode::kInternal, "no table"));
  log_.Note("Classify", Error(absl::StatusCode::kDataLoss, "damaged\nmodel"));
  log_.Note("Classify", Error(absl::StatusCode::kUnknown, "?"));
  log_.Note("UploadModel", Error(absl::StatusCode::kResourceExhausted, "no room", kDiskFull));
  log_.Note("Classify", Error(absl::StatusCode::kFailedPrecondition, "too large"));
  log_.Note("ClassifyStream", Error(absl::StatusCode::kFailedPrecondition, "too large"));
  const std::string warned = lines_.text();
  EXPECT_EQ(warned,
            "warning: Compress failed: INTERNAL: no table\n"
            "warning: Classify failed: DATA_LOSS: damaged model\n"
            "warning: Classify failed: UNKNOWN: ?\n"
            "warning: UploadModel failed: RESOURCE_EXHAUSTED: no room\n"
            "warning: Classify failed: FAILED_PRECONDITION: too large\n"
            "warning: ClassifyStream failed: FAILED_PRECONDITION: too large\n");
  log_.Note("Classify", Error(absl::StatusCode::kResourceExhausted, "full", "QUEUE_FULL"));
  log_.Note("GetJob", Error(absl::StatusCode::kNotFound, "no job"));
  log_.Note("CancelJob", Error(absl::StatusCode::kFailedPrecondition, "it has ended", "JOB_ENDED"));
  log_.Note("Classify", Error(absl::StatusCode::kCancelled, "gone"));
  log_.Note("Classify", google::rpc::Status());
  EXPECT_EQ(lines_.text(), warned);
}

TEST_F(FaultLogTest, ManyOfOneKindAreALineNowAndThen) {
  for (int i = 0; i < 3; ++i) log_.Note("Compress", Error(absl::StatusCode::kInternal, "away"));
  log_.Note("ListJobs", Error(absl::StatusCode::kInternal, "away"));
  clock_.Advance(absl::Seconds(10));
  log_.Note("Compress", Error(absl::StatusCode::kInternal, "away"));
  EXPECT_EQ(lines_.text(),
            "warning: Compress failed: INTERNAL: away\n"
            "warning: ListJobs failed: INTERNAL: away\n"
            "warning: Compress failed: INTERNAL: away (2 more before it)\n");
}

}  // namespace
}  // namespace cytopress
