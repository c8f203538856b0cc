#include "core/jobs/job_state.h"

#include <gtest/gtest.h>

namespace cytopress {
namespace {

TEST(IsRetryable, NotWhatTheRequestTheDataOrTheBaseModelMakeImpossible) {
  for (const absl::StatusCode code :
       {absl::StatusCode::kInvalidArgument, absl::StatusCode::kFailedPrecondition,
        absl::StatusCode::kNotFound, absl::StatusCode::kOutOfRange,
        absl::StatusCode::kUnimplemented}) {
    EXPECT_FALSE(IsRetryable(absl::Status(code, "no"))) << absl::StatusCodeToString(code);
  }
  for (const absl::StatusCode code :
       {absl::StatusCode::kInternal, absl::StatusCode::kUnavailable, absl::StatusCode::kDataLoss,
        absl::StatusCode::kResourceExhausted}) {
    EXPECT_TRUE(IsRetryable(absl::Status(code, "no"))) << absl::StatusCodeToString(code);
  }
}

}  // namespace
}  // namespace cytopress
