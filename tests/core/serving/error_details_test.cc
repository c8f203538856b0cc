#include "core/serving/error_details.h"

#include <gtest/gtest.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace cytopress {
namespace {

TEST(ErrorDetailsTest, AnInvalidFieldIsNamedForPeopleAndForPrograms) {
  const absl::Status status = InvalidField("top_k", "5 is more than the 4 classes");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "top_k: 5 is more than the 4 classes");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_FIELD");
  EXPECT_EQ(ErrorInfoOf(status).domain(), "cytopress");
  ASSERT_EQ(BadRequestOf(status).field_violations_size(), 1);
  EXPECT_EQ(BadRequestOf(status).field_violations(0).field(), "top_k");
  EXPECT_EQ(BadRequestOf(status).field_violations(0).description(), "5 is more than the 4 classes");
  EXPECT_EQ(RetryDelayOf(status), std::nullopt);
}

TEST(ErrorDetailsTest, MoreViolationsLeaveTheOthersAndTheReason) {
  const absl::Status status = WithFieldViolation(InvalidField("a", "is empty"), "b", "is long");
  EXPECT_EQ(status.message(), "a: is empty");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_FIELD");
  ASSERT_EQ(BadRequestOf(status).field_violations_size(), 2);
  EXPECT_EQ(BadRequestOf(status).field_violations(0).field(), "a");
  EXPECT_EQ(BadRequestOf(status).field_violations(1).field(), "b");
  EXPECT_EQ(BadRequestOf(status).field_violations(1).description(), "is long");
}

TEST(ErrorDetailsTest, AServerThatStopsSaysSo) {
  const absl::Status status = ShuttingDown("; go on elsewhere");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "the server is shutting down; go on elsewhere");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "SHUTTING_DOWN");
  EXPECT_EQ(ErrorInfoOf(status).domain(), "cytopress");
}

TEST(ErrorDetailsTest, WhatIsBusyIsToBeAskedAgain) {
  const absl::Status full = Busy("the queue is full", "QUEUE_FULL", absl::Milliseconds(1250));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorInfoOf(full).reason(), "QUEUE_FULL");
  EXPECT_EQ(RetryDelayOf(full), absl::Milliseconds(1250));
  const absl::Status memory = OutOfMemory("no memory for a batch");
  EXPECT_EQ(memory.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(memory.message(), "no memory for a batch; try again later");
  EXPECT_EQ(ErrorInfoOf(memory).reason(), "OUT_OF_MEMORY");
  EXPECT_EQ(RetryDelayOf(memory), absl::Seconds(1));
}

TEST(ErrorDetailsTest, AReasonHasItsMetadata) {
  const absl::Status status = WithReason(absl::NotFoundError("there is no cells@3"),
                                         "MODEL_NOT_FOUND", {{"name", "cells"}});
  EXPECT_EQ(ErrorInfoOf(status).metadata_size(), 1);
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("name"), "cells");
}

TEST(ErrorDetailsTest, SuccessStaysAsItIsAndNothingIsReadFromWhatHasNothing) {
  EXPECT_EQ(WithReason(absl::OkStatus(), "NEVER"), absl::OkStatus());
  EXPECT_EQ(WithFieldViolation(absl::OkStatus(), "a", "is empty"), absl::OkStatus());
  EXPECT_EQ(WithRetryDelay(absl::OkStatus(), absl::Seconds(1)), absl::OkStatus());
  const absl::Status bare = absl::NotFoundError("there is no cells@3");
  EXPECT_EQ(ErrorInfoOf(bare).reason(), "");
  EXPECT_EQ(BadRequestOf(bare).field_violations_size(), 0);
  EXPECT_EQ(RetryDelayOf(bare), std::nullopt);
}

}  // namespace
}  // namespace cytopress
