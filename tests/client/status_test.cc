#include "client/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/client/fake_service.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;

TEST(ToAbslStatus, KeepsEveryCode) {
  for (int code = 0; code <= 16; ++code) {
    const absl::Status status =
        ToAbslStatus(grpc::Status(static_cast<grpc::StatusCode>(code), "text"));
    EXPECT_EQ(static_cast<int>(status.code()), code);
  }
}

TEST(ToAbslStatus, SpellsOutFieldViolationsAndErrorInfo) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("spec.recipe.prune.sparsity");
  bad.mutable_field_violations(0)->set_description("1.5 is not less than 1");
  google::rpc::ErrorInfo info;
  info.set_reason("INVALID_JOB");
  (*info.mutable_metadata())["b"] = "2";
  (*info.mutable_metadata())["a"] = "1";
  const absl::Status status = ToAbslStatus(
      RichStatus(grpc::StatusCode::INVALID_ARGUMENT, "the job cannot run", {&bad, &info}));
  EXPECT_EQ(status.message(),
            "the job cannot run; spec.recipe.prune.sparsity: 1.5 is not less than 1 "
            "[INVALID_JOB a=1 b=2]");
  ASSERT_EQ(BadRequestOf(status).field_violations_size(), 1);
  EXPECT_EQ(BadRequestOf(status).field_violations(0).field(), "spec.recipe.prune.sparsity");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_JOB");
  const absl::Status renamed = WithMessage(status, "--sparsity: 1.5 is not less than 1");
  EXPECT_EQ(renamed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(renamed.message(), "--sparsity: 1.5 is not less than 1");
  EXPECT_EQ(BadRequestOf(renamed).field_violations_size(), 1);
  EXPECT_EQ(ErrorInfoOf(renamed).reason(), "INVALID_JOB");
}

TEST(ToAbslStatus, AnErrorWithoutDetailsHasNone) {
  const absl::Status status = absl::NotFoundError("no job");
  EXPECT_EQ(BadRequestOf(status).field_violations_size(), 0);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "");
}

TEST(ToAbslStatus, SaysNothingTwice) {
  google::rpc::BadRequest bad;
  bad.add_field_violations()->set_field("id");
  bad.mutable_field_violations(0)->set_description("is empty");
  const absl::Status status =
      ToAbslStatus(RichStatus(grpc::StatusCode::INVALID_ARGUMENT, "id: is empty", {&bad}));
  EXPECT_EQ(status.message(), "id: is empty");

  bad.mutable_field_violations(0)->set_field("spec.base_model");
  bad.mutable_field_violations(0)->set_description("there is no model cells");
  EXPECT_EQ(ToAbslStatus(RichStatus(grpc::StatusCode::NOT_FOUND, "there is no model cells", {&bad}))
                .message(),
            "there is no model cells");
}

TEST(ToAbslStatus, LeavesOutAReasonThatOnlyRepeatsTheCode) {
  google::rpc::ErrorInfo info;
  info.set_reason("NOT_FOUND");
  EXPECT_EQ(ToAbslStatus(RichStatus(grpc::StatusCode::NOT_FOUND, "no job", {&info})).message(),
            "no job");
  info.set_reason("JOB_NOT_FOUND");
  EXPECT_EQ(ToAbslStatus(RichStatus(grpc::StatusCode::NOT_FOUND, "no job", {&info})).message(),
            "no job [JOB_NOT_FOUND]");
}

TEST(ToAbslStatus, CountsDamagedDetailsAsNone) {
  const absl::Status status =
      ToAbslStatus(grpc::Status(grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff"));
  EXPECT_EQ(status, absl::InternalError("broken"));
}

TEST(ParseErrorDetails, ReadsTheRetryDelay) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(1);
  retry.mutable_retry_delay()->set_nanos(500000000);
  const ErrorDetails details =
      ParseErrorDetails(RichStatus(grpc::StatusCode::UNAVAILABLE, "busy", {&retry}));
  EXPECT_EQ(details.retry_delay, absl::Milliseconds(1500));
  EXPECT_FALSE(ParseErrorDetails(grpc::Status::OK).retry_delay.has_value());
}

}  // namespace
}  // namespace cytopress
