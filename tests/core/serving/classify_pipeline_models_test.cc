// Requests for models that are looked for, loaded, replaced or deleted meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/error_details.h"
#include "tests/core/serving/classify_pipeline_fixture.h"
#include "tests/core/serving/fakes.h"
#include "tests/eventually.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;

TEST_F(ClassifyPipelineTest, SaysThatAModelIsNotThere) {
  EXPECT_EQ(Send({Raw(one_)}, "missing")->Get().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClassifyPipelineTest, SaysThatAModelCannotBeLoaded) {
  loader_.Fail(absl::DataLossError("damaged"));
  EXPECT_EQ(Send({Raw(one_)})->Get().status(), absl::DataLossError("damaged"));
}

TEST_F(ClassifyPipelineTest, ManyRequestsAskTheRegistryOnce) {
  options_.versions_fresh_for = absl::InfiniteDuration();
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(Send({Raw(one_)})->Get().ok());
  EXPECT_EQ(loader_.looks(), 1 + 1) << "and the host, before it loads";
}

TEST_F(ClassifyPipelineTest, ARegistryThatStallsHoldsUpNoModelThatIsInMemory) {
  options_.versions_fresh_for = absl::ZeroDuration();  // every answer is old at once
  options_.decode_threads = 1;
  options_.admission.max_waiting_images = 4;
  ASSERT_TRUE(Send({Raw(one_)})->Get().ok());
  loader_.HoldLooks(true);
  const auto looking = Send({Raw(one_)});
  ASSERT_TRUE(loader_.AwaitLooks(2 + 1));
  EXPECT_TRUE(Send({Raw(two_)})->Get().ok()) << "decoded by who sends it";
  EXPECT_TRUE(Send({Raw(two_), Raw(three_)})->Get().ok()) << "by a decoder";
  const auto unknown = Send({Raw(one_)}, "another");
  EXPECT_TRUE(Send({Raw(one_), Raw(two_), Raw(three_)})->Get().ok())
      << "who waits for a look takes no place in the queue";
  EXPECT_FALSE(looking->IsSet());
  EXPECT_FALSE(unknown->IsSet());
  loader_.HoldLooks(false);
  for (const auto& answer : {looking, unknown}) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ClassifyPipelineTest, ARegistryThatStallsAPreloadHoldsUpNoDecoder) {
  options_.versions_fresh_for = absl::InfiniteDuration();
  options_.decode_threads = 1;
  ASSERT_TRUE(Send({Raw(one_)})->Get().ok());
  const int looks = loader_.looks();
  loader_.HoldLooks(true);
  const auto loaded = std::make_shared<Promised<absl::Status>>();
  pipeline().Preload({"m", 0}, [loaded](const absl::Status& status) { loaded->Set(status); });
  ASSERT_TRUE(loader_.AwaitLooks(looks + 1));
  EXPECT_TRUE(Send({Raw(one_), Raw(two_)})->Get().ok());
  EXPECT_FALSE(loaded->IsSet());
  loader_.HoldLooks(false);
  EXPECT_EQ(loaded->Get(), absl::OkStatus());
}

TEST_F(ClassifyPipelineTest, WithoutARegistryWhatIsInMemoryAnswersOn) {
  options_.versions_fresh_for = absl::ZeroDuration();  // every answer is old at once
  ASSERT_TRUE(Send({Raw(one_)}, "")->Get().ok());
  ASSERT_TRUE(Send({Raw(one_)}, "m")->Get().ok());
  // Then nothing is known of the registry any more but that the default has this name.
  loader_.NoteChange();
  const absl::Status gone = absl::UnavailableError("the models folder cannot be read");
  loader_.FailLooks(gone);
  const auto answered_by = [this](const ModelVersion& model) {
    ClassifyTask task;
    task.model = model;
    task.images = {Raw(one_)};
    const auto answer = Send(std::move(task));
    const absl::StatusOr<ClassifyOutcome>& outcome = answer->Get();
    const std::string by =
        outcome.ok() ? ToString(outcome->model->version) : outcome.status().ToString();
    answer->Get() = absl::CancelledError();
    return by;
  };
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(answered_by({"m", 0}), "m@1");
    EXPECT_EQ(answered_by({"m", 1}), "m@1");
    EXPECT_EQ(answered_by({"", 0}), "default@1");
    EXPECT_EQ(answered_by({"m", 2}), gone.ToString()) << "who names a version means no other";
    EXPECT_EQ(answered_by({"cold", 0}), gone.ToString());
  }
  EXPECT_EQ(loader_.loads("m@1"), 1);
  EXPECT_EQ(loader_.loads("cold@1"), 0);
}

TEST_F(ClassifyPipelineTest, WithoutARegistryNothingMakesRoomForWhatWasKnown) {
  options_.versions_fresh_for = absl::ZeroDuration();
  options_.models.max_loaded = 1;
  ASSERT_TRUE(Send({Raw(one_)}, "before")->Get().ok());
  ASSERT_TRUE(Send({Raw(one_)}, "now")->Get().ok());
  loader_.FailLooks(absl::UnavailableError("the models folder cannot be read"));
  EXPECT_EQ(Send({Raw(one_)}, "before")->Get().status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Send({Raw(one_)}, "")->Get().status().code(), absl::StatusCode::kUnavailable)
      << "nobody has asked before which model that is";
  EXPECT_TRUE(Send({Raw(one_)}, "now")->Get().ok());
  EXPECT_EQ(loader_.loads("before@1"), 1);
  EXPECT_EQ(loader_.loads("now@1"), 1);
  loader_.FailLooks(absl::OkStatus());
  EXPECT_TRUE(Send({Raw(one_)}, "before")->Get().ok()) << "it is back, and so is the model";
}

TEST_F(ClassifyPipelineTest, WaitsForAModelWithoutHoldingUpOthers) {
  options_.admission.max_waiting_images = 6;
  const auto warm = Send({Raw(one_)}, "warm");
  ASSERT_TRUE(warm->Get().ok());
  loader_.Hold(true);
  std::vector<std::shared_ptr<Answer>> cold;
  for (int i = 0; i < 3; ++i) cold.push_back(Send({Raw(two_)}, "cold"));
  ASSERT_TRUE(loader_.AwaitLoads("cold@1", 1));
  const auto meanwhile = Send({Raw(three_)}, "warm");
  ASSERT_TRUE(meanwhile->Get().ok());
  for (const auto& answer : cold) EXPECT_FALSE(answer->IsSet());
  loader_.Hold(false);
  for (const auto& answer : cold) {
    ASSERT_TRUE(answer->Get().ok());
    EXPECT_THAT(Classes(*answer->Get()), ElementsAre(2));
    answer->Get() = absl::CancelledError();
  }
  warm->Get() = absl::CancelledError();
  meanwhile->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, AFloodForAModelThatIsLoadedLeavesTheQueueToOthers) {
  options_.admission.max_waiting_images = 8;
  ASSERT_TRUE(Send({Raw(one_)}, "warm")->Get().ok());
  loader_.Hold(true);
  ClassifyTask task;
  task.model.name = "cold";
  task.images.assign(4, Raw(two_));
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  task.cancelled = cancelled;
  const auto cold = Send(std::move(task));
  ASSERT_TRUE(loader_.AwaitLoads("cold@1", 1));
  EXPECT_EQ(pipeline().waiting_images(), 0);
  const auto refused = Send({Raw(two_)}, "cold");
  EXPECT_EQ(ErrorInfoOf(refused->Get().status()).reason(), "QUEUE_FULL");
  EXPECT_EQ(observer_.refused(), 1);
  // A refusal is answered before what the request held is given back.
  ASSERT_TRUE(Eventually([this] { return pipeline().waiting_images() == 0; }));
  const auto warm = Send(std::vector<InputImage>(8, Raw(three_)), "warm");
  ASSERT_TRUE(warm->Get().ok()) << warm->Get().status();
  warm->Get() = absl::CancelledError();
  // Where nobody waits any more there is room.
  *cancelled = true;
  const auto next = Send({Raw(two_)}, "cold");
  EXPECT_EQ(cold->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(next->IsSet());
  loader_.Hold(false);
  ASSERT_TRUE(next->Get().ok()) << next->Get().status();
  next->Get() = absl::CancelledError();
  EXPECT_EQ(observer_.batched(), 1 + 8 + 1);
}

TEST_F(ClassifyPipelineTest, BulkWorkForAModelThatIsLoadedLeavesOthersTheirTurn) {
  options_.admission.max_waiting_images_for_bulk = 4;
  ASSERT_TRUE(Send({Raw(one_)}, "warm")->Get().ok());
  loader_.Hold(true);
  const auto send_bulk = [this](const std::string& model) {
    ClassifyTask task;
    task.model.name = model;
    task.images.assign(4, Raw(two_));
    task.bulk = true;
    return Send(std::move(task));
  };
  std::vector<std::shared_ptr<Answer>> answers;
  answers.push_back(send_bulk("cold"));
  answers.push_back(send_bulk("warm"));
  EXPECT_TRUE(answers.back()->Get().ok());
  EXPECT_FALSE(answers[0]->IsSet());
  loader_.Hold(false);
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(ClassifyPipelineTest, DropsWhatHasExpiredWhileItsModelWasLoaded) {
  loader_.Hold(true);
  ClassifyTask task;
  task.model.name = "m";
  task.images = {Raw(one_)};
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  task.cancelled = cancelled;
  const auto answer = Send(std::move(task));
  ASSERT_TRUE(loader_.AwaitLoads("m@1", 1));
  *cancelled = true;
  loader_.Hold(false);
  EXPECT_EQ(answer->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(observer_.batched(), 0);
}

TEST_F(ClassifyPipelineTest, TheNewestIsAnsweredByTheOneBeforeUntilItIsLoaded) {
  const auto version_of = [this] {
    const auto answer = Send({Raw(one_)});
    const int64_t version = answer->Get().ok() ? answer->Get()->model->version.version : -1;
    answer->Get() = absl::CancelledError();
    return version;
  };
  EXPECT_EQ(version_of(), 1);
  loader_.Hold(true);
  loader_.SetNewest(2);
  EXPECT_EQ(version_of(), 1);
  loader_.Hold(false);
  Promised<absl::Status> loaded;
  pipeline().Preload({"m", 0}, [&](const absl::Status& status) { loaded.Set(status); });
  EXPECT_EQ(loaded.Get(), absl::OkStatus());
  EXPECT_EQ(version_of(), 2);

  // Version 2 is deleted: it answers on until version 1 is back.
  loader_.Hold(true);
  loader_.SetNewest(1);
  pipeline().OnDeleted({"m", 2});
  ASSERT_TRUE(loader_.AwaitLoads("m@1", 2));
  EXPECT_EQ(version_of(), 2);
  loader_.Hold(false);
  ASSERT_TRUE(Eventually([this] { return pipeline().models()->Find({"m", 1}) != nullptr; }));
  EXPECT_EQ(version_of(), 1);
}

TEST_F(ClassifyPipelineTest, WhereAVersionWasDeletedBeforeItsLoadTheOneBeforeAnswers) {
  loader_.SetNewest(2);
  loader_.FailOne("m@2", absl::NotFoundError("m@2 was deleted"));
  loader_.Hold(true);
  const auto answer = Send({Raw(one_)});
  ASSERT_TRUE(loader_.AwaitLoads("m@2", 1));
  loader_.SetNewest(1);
  loader_.Hold(false);
  ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
  EXPECT_EQ(answer->Get()->model->version.version, 1);
  answer->Get() = absl::CancelledError();
}

TEST_F(ClassifyPipelineTest, WhatIsDeletedAgainAndAgainIsNotLookedForWithoutEnd) {
  loader_.FailOne("m@1", absl::NotFoundError("m@1 was deleted"));
  EXPECT_EQ(Send({Raw(one_)})->Get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loader_.looks(), 3 + 1) << "and the host, before it loads";
  // Who asks for a version by its number means no other.
  ClassifyTask task;
  task.model = {"m", 1};
  task.images = {Raw(one_)};
  EXPECT_EQ(Send(std::move(task))->Get().status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(loader_.looks(), 5);
}

}  // namespace
}  // namespace cytopress
