#include "core/jobs/job_state.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <utility>

namespace cytopress {
namespace {

// docs/job-states.md.
TEST(IsLegalTransition, IsOneOfTen) {
  const std::set<std::pair<v1::JobState, v1::JobState>> legal = {
      {v1::JOB_STATE_QUEUED, v1::JOB_STATE_LEASED},
      {v1::JOB_STATE_QUEUED, v1::JOB_STATE_CANCELLED},
      {v1::JOB_STATE_LEASED, v1::JOB_STATE_RUNNING},
      {v1::JOB_STATE_LEASED, v1::JOB_STATE_QUEUED},
      {v1::JOB_STATE_LEASED, v1::JOB_STATE_FAILED},
      {v1::JOB_STATE_LEASED, v1::JOB_STATE_CANCELLED},
      {v1::JOB_STATE_RUNNING, v1::JOB_STATE_SUCCEEDED},
      {v1::JOB_STATE_RUNNING, v1::JOB_STATE_QUEUED},
      {v1::JOB_STATE_RUNNING, v1::JOB_STATE_FAILED},
      {v1::JOB_STATE_RUNNING, v1::JOB_STATE_CANCELLED}};
  for (const v1::JobState from : AllJobStates()) {
    for (const v1::JobState to : AllJobStates()) {
      EXPECT_EQ(IsLegalTransition(from, to), legal.count({from, to}) == 1) << from << " to " << to;
    }
  }
}

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

TEST(IsRetryable, WhatADiskOrANetworkMayDoBetterTheNextTime) {
  for (const int number : {EIO, ESTALE, ETIMEDOUT, EHOSTDOWN, ENOSPC, EMFILE}) {
    const absl::Status status = absl::ErrnoToStatus(number, "cannot read the file");
    EXPECT_TRUE(IsRetryable(status)) << status;
  }
}

}  // namespace
}  // namespace cytopress
