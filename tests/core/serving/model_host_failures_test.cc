// Models that cannot be loaded: who is told, who tries again, and who makes room for them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "tests/core/serving/model_host_fixture.h"
#include "tests/eventually.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST_F(ModelHostTest, AFailedLoadIsTriedAgainAfterAWhile) {
  Make(2);
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 1) << "the second answer came without another attempt";
  EXPECT_THAT(Loaded(), IsEmpty());
  loader_.Fail(absl::OkStatus());
  clock_.Advance(absl::Seconds(6));
  EXPECT_EQ(Use("a"), absl::OkStatus());
  EXPECT_EQ(loader_.loads("a@1"), 2);
}

TEST_F(ModelHostTest, WaitsLongerAfterEachFailure) {
  Make(2);
  loader_.Fail(absl::DataLossError("damaged"));
  Use("a").IgnoreError();
  int loads = 1;
  for (const int seconds : {5, 10, 20, 40, 80, 160, 300, 300}) {
    clock_.Advance(absl::Seconds(seconds) - absl::Milliseconds(1));
    Use("a").IgnoreError();
    EXPECT_EQ(loader_.loads("a@1"), loads);
    clock_.Advance(absl::Milliseconds(1));
    Use("a").IgnoreError();
    EXPECT_EQ(loader_.loads("a@1"), ++loads) << "after " << seconds << " s";
  }
}

TEST_F(ModelHostTest, ADamagedVersionPushesNobodyOutASecondTime) {
  Make(2);
  loader_.FailOne("a@2", absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(1), 1);
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(Use("b"), absl::OkStatus());
  EXPECT_EQ(Answering(2), 1);
  AwaitUnloaded("b@1");
  ASSERT_EQ(Use("b"), absl::OkStatus());
  EXPECT_THAT(Loaded(), ElementsAre("a", "b")) << "version 1 stood in: it did not make room";
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Minutes(10));
    EXPECT_EQ(Answering(2), 1);
    ASSERT_EQ(Use("b"), absl::OkStatus());
  }
  EXPECT_EQ(loader_.loads("a@2"), 1);
  EXPECT_EQ(loader_.loads("b@1"), 2);
  loader_.FailOne("a@2", absl::OkStatus());
  host_->Unload({"b", 1});
  EXPECT_TRUE(Eventually([this] { return Answering(2) == 2; })) << "once there is room";
}

TEST_F(ModelHostTest, NobodyMakesRoomForWhatCannotBeReadNow) {
  Make(1);
  EXPECT_TRUE(Use("a").ok());
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Use("b"), absl::UnavailableError("not mounted"));
  EXPECT_EQ(loader_.loads("b@1"), 0);
  EXPECT_THAT(Loaded(), ElementsAre("a"));
  // It was not the model's fault: the next try neither waits nor lacks room.
  loader_.FailLooks(absl::OkStatus());
  EXPECT_TRUE(Use("b").ok());
  EXPECT_THAT(Loaded(), ElementsAre("b"));
}

TEST_F(ModelHostTest, ADamagedVersionStaysOneWhileNothingCanBeRead) {
  Make(2);
  loader_.FailOne("a@1", absl::DataLossError("damaged"));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  clock_.Advance(absl::Seconds(5));
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Use("a"), absl::UnavailableError("not mounted"));
  loader_.FailLooks(absl::OkStatus());
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 2);
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Use("a"), absl::DataLossError("damaged"));
  EXPECT_EQ(loader_.loads("a@1"), 2) << "it waits twice as long after its second failure";
}

TEST_F(ModelHostTest, TheOldVersionAnswersOnWhenTheNewOneCannotBeRead) {
  Make(1);
  EXPECT_EQ(Answering(1), 1);
  loader_.FailLooks(absl::UnavailableError("not mounted"));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(Use("b"), absl::UnavailableError("not mounted")) << "it comes after the new version";
  EXPECT_EQ(loader_.loads("a@2"), 0);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1));
}

TEST_F(ModelHostTest, WhatFailedForAReasonThatMayPassIsGivenRoomAgain) {
  for (const absl::Status& failure :
       {absl::ResourceExhaustedError("no memory"), absl::UnknownError("Input/output error"),
        absl::DeadlineExceededError("Connection timed out")}) {
    Make(2);
    const int loads = loader_.loads("b@1");
    loader_.FailOne("a@2", failure);
    EXPECT_EQ(Answering(1), 1);
    ASSERT_EQ(Use("b"), absl::OkStatus());
    EXPECT_EQ(Answering(2), 1);
    AwaitUnloaded("b@1");
    ASSERT_EQ(Use("b"), absl::OkStatus());
    loader_.FailOne("a@2", absl::OkStatus());
    clock_.Advance(absl::Seconds(5));
    AwaitLoaded(2);
    EXPECT_EQ(loader_.loads("b@1"), loads + 2) << failure;
    host_.reset();
    absl::MutexLock lock(&mutex_);
    unloaded_.clear();
  }
}

TEST_F(ModelHostTest, TheOnlyModelMakesRoomAgainForWhatMayPass) {
  Make(1);
  loader_.FailOne("a@2", absl::UnknownError("Input/output error"));
  EXPECT_EQ(Answering(1), 1);
  EXPECT_EQ(Answering(2), 1);
  for (int loads = 2; loads <= 3; ++loads) {
    ASSERT_TRUE(loader_.AwaitLoads("a@1", loads)) << "it came back";
    EXPECT_EQ(Answering(2), 1);
    EXPECT_EQ(loader_.loads("a@2"), loads - 1);
    clock_.Advance(absl::Seconds(10));
    EXPECT_EQ(Answering(2), 1);
  }
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 4));
  loader_.FailOne("a@2", absl::OkStatus());
  clock_.Advance(absl::Seconds(20));
  AwaitLoaded(2);
  EXPECT_THAT(LoadedVersions(), ElementsAre(2));
}

TEST_F(ModelHostTest, WhoTakesTheOldVersionWaitsUntilItIsBack) {
  Make(1);
  loader_.FailOne("a@2", absl::UnknownError("Input/output error"));
  EXPECT_EQ(Answering(1), 1);
  loader_.Hold(true);
  EXPECT_EQ(Answering(2), 1);
  ASSERT_TRUE(loader_.AwaitLoads("a@2", 1));
  const auto before = AskForNewest(2);
  auto by_number = std::make_shared<Answer>();
  EXPECT_EQ(host_->Acquire({"a", 2},
                           [by_number](absl::StatusOr<ModelHandle> model) {
                             by_number->Set(std::move(model));
                           }),
            nullptr);
  loader_.HoldLooks(true);
  loader_.Hold(false);
  EXPECT_EQ(by_number->Get().status(), absl::UnknownError("Input/output error"));
  EXPECT_FALSE(before->IsSet());
  const auto meanwhile = AskForNewest(2);
  EXPECT_FALSE(meanwhile->IsSet());
  loader_.HoldLooks(false);
  for (const auto& answer : {before, meanwhile}) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    EXPECT_EQ((*answer->Get())->version.version, 1);
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ModelHostTest, TheOnlyModelComesBackWhenTheNewVersionIsDamaged) {
  Make(1);
  loader_.FailOne("a@2", absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(1), 1);
  EXPECT_EQ(Answering(2), 1);
  ASSERT_TRUE(loader_.AwaitLoads("a@1", 2));
  ASSERT_EQ(Use("a"), absl::OkStatus());
  clock_.Advance(absl::Seconds(10));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(Answering(2), 1);
  EXPECT_EQ(loader_.loads("a@1"), 2);
}

TEST_F(ModelHostTest, TheOldVersionStaysWhenTheNewOneIsDamaged) {
  Make(4);
  EXPECT_EQ(Answering(1), 1);
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(2), 1);
  // Answered when the load has ended.
  auto by_number = std::make_shared<Answer>();
  EXPECT_EQ(host_->Acquire({"a", 2},
                           [by_number](absl::StatusOr<ModelHandle> model) {
                             by_number->Set(std::move(model));
                           }),
            nullptr);
  EXPECT_EQ(by_number->Get().status(), absl::DataLossError("damaged"));
  EXPECT_EQ(Answering(2), 1);
  EXPECT_THAT(LoadedVersions(), ElementsAre(1));
}

}  // namespace
}  // namespace cytopress
