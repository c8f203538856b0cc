#include "core/serving/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/serving/error_details.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::IsEmpty;
using ::testing::Le;

AdmissionRequest Images(int64_t images, int64_t bytes = 0) {
  AdmissionRequest request;
  request.images = images;
  request.bytes = bytes;
  return request;
}

AdmissionRequest InTime(absl::Duration budget, absl::Duration predicted) {
  AdmissionRequest request = Images(1);
  request.budget = budget;
  request.predicted = predicted;
  return request;
}

TEST(AdmissionTest, RefusesWhatWouldComeTooLate) {
  Admission admission({});
  const absl::Status status =
      admission.Admit(InTime(absl::Milliseconds(50), absl::Milliseconds(80))).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(admission.waiting_images(), 0);
  EXPECT_TRUE(admission.Admit(InTime(absl::Milliseconds(80), absl::Milliseconds(80))).ok());
  EXPECT_TRUE(admission.Admit(InTime(absl::InfiniteDuration(), absl::Hours(1))).ok());
}

TEST(AdmissionTest, ToldToComeAgainWhenTheDeadlineCouldBeMetAndNotAllAtOnce) {
  Admission admission({});
  std::vector<absl::Duration> delays;
  for (int i = 0; i < 20; ++i) {
    const absl::Status status =
        admission.Admit(InTime(absl::Milliseconds(50), absl::Milliseconds(150))).status();
    const auto delay = RetryDelayOf(status);
    ASSERT_TRUE(delay.has_value());
    EXPECT_THAT(*delay, AllOf(Ge(absl::Milliseconds(100)), Le(absl::Milliseconds(131))));
    delays.push_back(*delay);
  }
  std::sort(delays.begin(), delays.end());
  EXPECT_GT(delays.back() - delays.front(), absl::Milliseconds(1));
}

TEST(AdmissionTest, LeavesWhatHasExpiredToThePipeline) {
  Admission admission({});
  EXPECT_TRUE(admission.Admit(InTime(-absl::Milliseconds(1), absl::Milliseconds(1))).ok());
}

TEST(AdmissionTest, TheNumberOfImagesIsBoundedWhateverIsPredicted) {
  AdmissionOptions options;
  options.max_waiting_images = 4;
  Admission admission(options);
  const auto ticket = admission.Admit(Images(3));
  ASSERT_TRUE(ticket.ok());
  EXPECT_EQ(ErrorInfoOf(admission.Admit(Images(2)).status()).reason(), "QUEUE_FULL");
  (*ticket)->LeaveQueue(1);
  EXPECT_TRUE(admission.Admit(Images(2)).ok());
}

TEST(AdmissionTest, TheBytesOfAllRequestsAreBounded) {
  AdmissionOptions options;
  options.max_bytes = 100;
  Admission admission(options);
  const auto first = admission.Admit(Images(1, 60));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(ErrorInfoOf(admission.Admit(Images(1, 41)).status()).reason(), "QUEUE_FULL");
  const auto second = admission.Admit(Images(1, 40));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(ErrorInfoOf((*second)->Grow(1)).reason(), "QUEUE_FULL");
  EXPECT_EQ(ErrorInfoOf((*second)->Grow(61)).reason(), "REQUEST_TOO_LARGE");
}

// Up to three tenths are added to the delay.
TEST(AdmissionTest, AFullQueueIsComeBackToWhenHalfOfItHasGone) {
  AdmissionOptions options;
  options.max_waiting_images = 1;
  options.max_bytes = 100;
  Admission admission(options);
  const auto first = admission.Admit(Images(1, 60));
  ASSERT_TRUE(first.ok());
  AdmissionRequest request = Images(1);
  const auto delay = [&] {
    const absl::Status full = admission.Admit(request).status();
    EXPECT_EQ(ErrorInfoOf(full).reason(), "QUEUE_FULL");
    return RetryDelayOf(full).value_or(absl::ZeroDuration());
  };
  EXPECT_THAT(delay(), AllOf(Ge(absl::Milliseconds(200)), Le(absl::Milliseconds(261))))
      << "nothing is known";
  request.predicted = absl::Milliseconds(800);
  EXPECT_THAT(delay(), AllOf(Ge(absl::Milliseconds(400)), Le(absl::Milliseconds(521))));
  (*first)->LeaveQueue(1);
  request.bytes = 41;
  EXPECT_THAT(delay(), AllOf(Ge(absl::Milliseconds(400)), Le(absl::Milliseconds(521))));
}

TEST(AdmissionTest, NobodyIsSentAwayForLong) {
  Admission admission({});
  const auto delay =
      RetryDelayOf(admission.Admit(InTime(absl::Milliseconds(50), absl::Minutes(10))).status());
  ASSERT_TRUE(delay.has_value());
  EXPECT_THAT(*delay, AllOf(Ge(absl::Seconds(30)), Le(absl::Seconds(39))));
}

TEST(AdmissionTest, WhatNeverFitsIsNotToldToComeAgain) {
  AdmissionOptions options;
  options.max_bytes = 100;
  Admission admission(options);
  EXPECT_TRUE(admission.Admit(Images(1, 100)).ok());
  const absl::Status status = admission.Admit(Images(1, 101)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "REQUEST_TOO_LARGE");
  EXPECT_FALSE(RetryDelayOf(status).has_value());
}

TEST(AdmissionTest, RemembersTheMostBytesThatRequestsHeld) {
  Admission admission{AdmissionOptions()};
  {
    auto first = admission.Admit(Images(1, 100));
    auto second = admission.Admit(Images(1, 50));
    ASSERT_TRUE(first.ok() && second.ok());
    EXPECT_TRUE((*second)->Grow(25).ok());
    first->reset();
    EXPECT_EQ(admission.TakeMostBytes(), 175);
    EXPECT_EQ(admission.TakeMostBytes(), 75) << "since the last time";
  }
  EXPECT_EQ(admission.TakeMostBytes(), 75);
  EXPECT_EQ(admission.TakeMostBytes(), 0);
}

TEST(AdmissionTest, WhoWaitsForAModelLeavesItsPlaceToOthers) {
  AdmissionOptions options;
  options.max_waiting_images = 8;
  options.max_bytes = 400;
  Admission admission(options);
  auto first = admission.Admit(Images(3, 40));
  auto second = admission.Admit(Images(2, 40));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ((*first)->Park("a@1"), absl::OkStatus());
  EXPECT_EQ(admission.waiting_images(), 2);
  const absl::Status full = (*second)->Park("a@1");
  EXPECT_EQ(ErrorInfoOf(full).reason(), "QUEUE_FULL") << "half of the images are the most";
  EXPECT_TRUE(RetryDelayOf(full).has_value());
  EXPECT_EQ(admission.waiting_images(), 2);
  EXPECT_EQ((*second)->Park("b@1"), absl::OkStatus()) << "each model has its own";
  EXPECT_TRUE(admission.Admit(Images(8)).ok());
  auto third = admission.Admit(Images(1, 30));
  ASSERT_TRUE(third.ok());
  EXPECT_EQ(ErrorInfoOf((*third)->Park("c@1")).reason(), "QUEUE_FULL")
      << "a quarter of the bytes is the most for all models";
  second->reset();
  EXPECT_EQ((*third)->Park("a@1"), absl::OkStatus());
  EXPECT_EQ(admission.waiting_images(), 0);
  (*first)->Unpark();
  (*first)->Unpark();
  EXPECT_EQ(admission.waiting_images(), 3);
  (*first)->LeaveQueue(1);
  EXPECT_EQ((*first)->Grow(10), absl::OkStatus());
  first->reset();
  third->reset();
  EXPECT_EQ(admission.waiting_images(), 0);
  EXPECT_FALSE(admission.AwaitEmpty(absl::ZeroDuration())) << "others may come";
  admission.Close();
  EXPECT_TRUE(admission.AwaitEmpty(absl::ZeroDuration()));
}

// Bulk work that has asked to be let in, by number.
class BulkTest : public testing::Test {
 protected:
  BulkTest() {
    options_.max_waiting_images = 100;
    options_.max_waiting_images_for_bulk = 4;
    options_.max_bytes = 1000;
    admission_ = std::make_unique<Admission>(options_);
  }
  void Ask(int number, int64_t images, int64_t bytes = 0) {
    admission_->AdmitInTurn(
        images, bytes, [this, number](absl::StatusOr<std::unique_ptr<Admission::Ticket>> ticket) {
          if (ticket.ok()) {
            tickets_.push_back(*std::move(ticket));
            admitted_.push_back(number);
          } else {
            turned_away_.push_back(number);
            why_ = ticket.status();
          }
        });
  }

  // Lets others in, whose tickets stay.
  void EndAll() { std::exchange(tickets_, {}); }

  AdmissionOptions options_;
  std::unique_ptr<Admission> admission_;
  std::vector<std::unique_ptr<Admission::Ticket>> tickets_;
  std::vector<int> admitted_, turned_away_;
  absl::Status why_;  // the last one was turned away
};

TEST_F(BulkTest, WaitsForItsTurnInsteadOfBeingRefused) {
  Ask(1, 3);
  Ask(2, 2);
  Ask(3, 1);  // would fit, but it is not its turn
  EXPECT_THAT(admitted_, ElementsAre(1));
  tickets_[0]->LeaveQueue(1);
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
  tickets_[0]->LeaveQueue(2);
  EXPECT_THAT(admitted_, ElementsAre(1, 2, 3));
}

TEST_F(BulkTest, LeavesRoomForOthers) {
  Ask(1, 4, 400);
  Ask(2, 4, 200);
  EXPECT_THAT(admitted_, ElementsAre(1));
  EXPECT_TRUE(admission_->Admit(Images(50)).ok());
  tickets_[0]->LeaveQueue(4);
  EXPECT_THAT(admitted_, ElementsAre(1)) << "half of the bytes are for others";
  EndAll();
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
}

TEST_F(BulkTest, WhatWaitsForAModelLeavesItsTurnToOthers) {
  Ask(1, 4, 100);
  Ask(2, 4, 100);
  Ask(3, 4, 100);
  EXPECT_THAT(admitted_, ElementsAre(1));
  EXPECT_EQ(tickets_[0]->Park("a@1"), absl::OkStatus());
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
  tickets_[0]->Unpark();
  EXPECT_EQ(admission_->waiting_images(), 8);
  Ask(4, 1);
  EXPECT_THAT(admitted_, ElementsAre(1, 2)) << "too many wait again";
  EndAll();
  EXPECT_THAT(admitted_, ElementsAre(1, 2, 3));
  EndAll();
  EXPECT_THAT(admitted_, ElementsAre(1, 2, 3, 4));
}

TEST_F(BulkTest, NotAllMayWaitForModelsAtOnce) {
  for (int i = 1; i <= 9; ++i) Ask(i, 2, 10);
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
  for (size_t i = 0; i < tickets_.size(); ++i) {
    EXPECT_EQ(tickets_[i]->Park(absl::StrCat("model@", i)), absl::OkStatus());
  }
  EXPECT_THAT(admitted_, ElementsAre(1, 2, 3, 4)) << "as many are parked, as many in the queue";
  EXPECT_EQ(admission_->waiting_images(), 4);
  for (const auto& ticket : tickets_) ticket->Unpark();
  EXPECT_EQ(admission_->waiting_images(), 8);
  while (!tickets_.empty()) EndAll();
  EXPECT_EQ(admitted_.size(), 9);
}

TEST_F(BulkTest, ComesInHoweverManyOthersWait) {
  const auto others = admission_->Admit(Images(50));
  ASSERT_TRUE(others.ok());
  Ask(1, 3);
  Ask(2, 2);
  EXPECT_THAT(admitted_, ElementsAre(1)) << "and only as many as are allowed to wait";
  EXPECT_EQ(admission_->waiting_images(), 53);
  EndAll();
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
}

TEST_F(BulkTest, MoreImagesThanMayWaitComeInAlone) {
  Ask(1, 1);
  Ask(2, 50);
  EXPECT_THAT(admitted_, ElementsAre(1));
  EndAll();
  EXPECT_THAT(admitted_, ElementsAre(1, 2));
}

TEST_F(BulkTest, MayGrowWhereOthersHoldAllBytes) {
  Ask(1, 1, 100);
  const auto others = admission_->Admit(Images(1, 900));
  ASSERT_TRUE(others.ok());
  EXPECT_EQ(ErrorInfoOf((*others)->Grow(10)).reason(), "QUEUE_FULL");
  EXPECT_EQ(tickets_[0]->Grow(10), absl::OkStatus());
}

TEST_F(BulkTest, WhatNeverFitsIsTurnedAway) {
  Ask(1, 1, 501);
  EXPECT_THAT(turned_away_, ElementsAre(1));
  EXPECT_EQ(ErrorInfoOf(why_).reason(), "REQUEST_TOO_LARGE");
  Ask(2, 1, 500);
  EXPECT_THAT(admitted_, ElementsAre(2));
}

TEST_F(BulkTest, IsTurnedAwayWhenTheServerStops) {
  Ask(1, 4);
  Ask(2, 4);
  const auto expect_says_so = [](const absl::Status& status) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "SHUTTING_DOWN");
  };
  admission_->Close();
  EXPECT_THAT(turned_away_, ElementsAre(2));
  expect_says_so(why_);
  Ask(3, 1);
  EXPECT_THAT(turned_away_, ElementsAre(2, 3));
  expect_says_so(why_);
  EXPECT_FALSE(admission_->AwaitEmpty(absl::ZeroDuration()));
  EndAll();
  EXPECT_TRUE(admission_->AwaitEmpty(absl::ZeroDuration()));
  expect_says_so(admission_->Admit(Images(1)).status());
}

}  // namespace
}  // namespace cytopress
