#include "server/status.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/utf8.h"
#include "core/serving/error_details.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

std::string ReasonOf(const absl::Status& status) {
  return DetailsOf(ToGrpcStatus(status)).info.reason();
}

TEST(StatusTest, WhatIsDeniedToTheServerIsTheServersFault) {
  const grpc::Status status = ToGrpcStatus(absl::ErrnoToStatus(EACCES, "cannot open /models"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(DetailsOf(status).info.reason(), "INTERNAL");
}

TEST(StatusTest, AFullDiskHasAReasonOfItsOwn) {
  EXPECT_EQ(ReasonOf(absl::ErrnoToStatus(ENOSPC, "cannot write a")), "DISK_FULL");
  EXPECT_EQ(ReasonOf(absl::ErrnoToStatus(EDQUOT, "cannot write a")), "DISK_FULL");
  EXPECT_EQ(ReasonOf(absl::ResourceExhaustedError("jobs.db: database or disk is full")),
            "DISK_FULL");
  EXPECT_EQ(ReasonOf(absl::ErrnoToStatus(EMFILE, "cannot open a")), "RESOURCE_EXHAUSTED");
  EXPECT_EQ(ReasonOf(OutOfMemory("none")), "OUT_OF_MEMORY");
  EXPECT_EQ(ReasonOf(absl::NotFoundError("no job \"disk is full\"")), "NOT_FOUND");
}

TEST(StatusTest, ALongMessageIsCutBetweenCharacters) {
  for (const char* const begin : {"", "x"}) {  // a cut by bytes alone splits one of the two
    std::string text = begin;
    for (int i = 0; i < 2000; ++i) text += "\xC3\xA9";
    const std::string message = ToGrpcStatus(absl::InternalError(text)).error_message();
    EXPECT_LT(message.size(), text.size());
    EXPECT_TRUE(IsUtf8(message)) << begin;
  }
}

TEST(StatusTest, AClientThatCancelsAtTheDeadlineHasWaitedInVain) {
  const absl::Time now = absl::Now();
  for (const absl::Time deadline : {now - absl::Seconds(1), now + absl::Milliseconds(5)}) {
    EXPECT_TRUE(absl::IsDeadlineExceeded(ExpiredIfLate(ClientGone(), deadline))) << deadline - now;
  }
  for (const absl::Time deadline : {now + absl::Hours(1), absl::InfiniteFuture()}) {
    EXPECT_EQ(ExpiredIfLate(ClientGone(), deadline), ClientGone()) << deadline - now;
  }
  EXPECT_EQ(ExpiredIfLate(absl::OkStatus(), now), absl::OkStatus());
  EXPECT_TRUE(absl::IsNotFound(ExpiredIfLate(absl::NotFoundError("no model"), now)));
}

}  // namespace
}  // namespace cytopress
