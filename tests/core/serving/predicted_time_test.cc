// What is refused because its answer would come too late.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/serving/classify_pipeline.h"
#include "core/serving/error_details.h"
#include "tests/core/serving/classify_pipeline_fixture.h"
#include "tests/core/serving/fakes.h"

namespace cytopress {
namespace {

// A fake clock tells how long batches take: 40 ms each, of one image.
class PredictionTest : public ClassifyPipelineTest {
 protected:
  PredictionTest() {
    options_.decode_threads = 1;
    options_.admission.max_waiting_images = 100;
    pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader_, &observer_, &clock_);
    puppet_.Hold();
    for (int i = 1; i <= 2; ++i) {
      const auto answer = Send({Raw(one_)});
      EXPECT_TRUE(puppet_.AwaitBatches(i));
      clock_.Advance(absl::Milliseconds(40));
      puppet_.LetOneGo();
      EXPECT_TRUE(answer->Get().ok());
      answer->Get() = absl::CancelledError();
    }
  }

  // The clock must outlive the pipeline.
  ~PredictionTest() override {
    puppet_.LetAllGo();
    pipeline_.reset();
  }

  // One image that wants its answer within `budget`.
  std::shared_ptr<Answer> SendWithin(absl::Duration budget) {
    ClassifyTask task;
    task.model.name = "m";
    task.images = {Raw(one_)};
    task.deadline = clock_.Now() + budget;
    return Send(std::move(task));
  }

  FakeClock clock_;
};

TEST_F(PredictionTest, RefusesAtOnceWhatWouldMissItsDeadline) {
  EXPECT_EQ(pipeline().PredictedTime({"m", 0}, 1, 0), absl::ZeroDuration()) << "nothing waits";
  const auto computing = SendWithin(absl::Milliseconds(1000));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  // One before it and its own batch, 80 ms, and half as much to be safe.
  EXPECT_EQ(pipeline().PredictedTime({"m", 0}, 1, 0), absl::Milliseconds(120));
  const auto refused = SendWithin(absl::Milliseconds(119));
  ASSERT_TRUE(refused->IsSet()) << "the answer must not wait";
  EXPECT_EQ(ErrorInfoOf(refused->Get().status()).reason(), "DEADLINE_UNREACHABLE");
  EXPECT_EQ(observer_.refused(), 1);
  const auto admitted = SendWithin(absl::Milliseconds(120));
  EXPECT_FALSE(admitted->IsSet());
  EXPECT_EQ(SendWithin(absl::Milliseconds(120))->Get().status().code(),
            absl::StatusCode::kResourceExhausted)
      << "one more is before it now";
  puppet_.LetAllGo();
  for (const auto& answer : {computing, admitted}) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(PredictionTest, ThoseInTheSameBatchAreNotBeforeIt) {
  const auto predicted = [&] { return pipeline().PredictedTime({"m", 0}, 1, 0); };
  std::vector<std::shared_ptr<Answer>> answers = {SendWithin(absl::Seconds(10))};
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  clock_.Advance(absl::Milliseconds(30));
  EXPECT_EQ(predicted(), 1.5 * absl::Milliseconds(10 + 40)) << "the rest of the one before";
  for (const int batch : {1, 2, 4, 4}) {  // three images take as long as four
    EXPECT_EQ(predicted(), 1.5 * absl::Milliseconds(10 + 40 * batch));
    answers.push_back(SendWithin(absl::Seconds(10)));
  }
  EXPECT_EQ(predicted(), 1.5 * absl::Milliseconds(10 + 40 * kFakeBatch + 40)) << "the next batch";
  puppet_.LetAllGo();
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

TEST_F(PredictionTest, AnswersThatComeLateMakeItMoreCareful) {
  const auto computing = SendWithin(absl::Milliseconds(1000));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  const auto late = SendWithin(absl::Milliseconds(120));
  clock_.Advance(absl::Milliseconds(40));
  puppet_.LetOneGo();
  ASSERT_TRUE(puppet_.AwaitBatches(4));
  clock_.Advance(absl::Milliseconds(81));
  puppet_.LetOneGo();
  ASSERT_TRUE(computing->Get().ok());
  computing->Get() = absl::CancelledError();
  EXPECT_EQ(late->Get().status().code(), absl::StatusCode::kDeadlineExceeded)
      << "nobody waits for it any more";
  // Until batches take 40 ms in the mean again; an idle server predicts nothing that could be
  // wrong.
  int batches = 4;
  for (int i = 0; i < 60; ++i) {
    const auto answer = SendWithin(absl::Milliseconds(1000));
    ASSERT_TRUE(puppet_.AwaitBatches(++batches));
    clock_.Advance(absl::Milliseconds(40));
    puppet_.LetOneGo();
    ASSERT_TRUE(answer->Get().ok());
    answer->Get() = absl::CancelledError();
  }
  const auto last = SendWithin(absl::Milliseconds(1000));
  ASSERT_TRUE(puppet_.AwaitBatches(++batches));
  EXPECT_NEAR(absl::ToDoubleMilliseconds(pipeline().PredictedTime({"m", 0}, 1, 0)), 121.6, 0.5);
  puppet_.LetAllGo();
  ASSERT_TRUE(last->Get().ok());
  last->Get() = absl::CancelledError();
}

TEST_F(PredictionTest, FullBatchesOfAStreamSayNothingOfALoneImages) {
  const auto send_bulk = [this] {
    ClassifyTask task;
    task.model.name = "m";
    task.images.assign(kFakeBatch, Raw(two_));
    task.bulk = true;
    return Send(std::move(task));
  };
  int batches = 2;
  std::shared_ptr<Answer> bulk = send_bulk();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(puppet_.AwaitBatches(++batches));
    const auto next = send_bulk();
    clock_.Advance(absl::Milliseconds(80));
    puppet_.LetOneGo();
    ASSERT_TRUE(bulk->Get().ok());
    bulk->Get() = absl::CancelledError();
    bulk = next;
  }
  ASSERT_TRUE(puppet_.AwaitBatches(++batches));
  EXPECT_EQ(pipeline().PredictedTime({"m", 0}, 1, 0), 1.5 * absl::Milliseconds(80 + 40))
      << "the one that is computed, and one of its own";
  puppet_.LetAllGo();
  ASSERT_TRUE(bulk->Get().ok());
  bulk->Get() = absl::CancelledError();
}

TEST_F(PredictionTest, WhatHadExpiredBeforeDoesNotMakeItMoreCareful) {
  const auto computing = SendWithin(absl::Seconds(10));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(SendWithin(-absl::Milliseconds(1))->Get().status().code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_EQ(pipeline().prediction_margin(), 1.5);
  puppet_.LetAllGo();
  ASSERT_TRUE(computing->Get().ok());
  computing->Get() = absl::CancelledError();
}

TEST_F(PredictionTest, AnIdleServerTriesWhateverItBelieves) {
  const auto answer = SendWithin(absl::Milliseconds(1));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  puppet_.LetAllGo();
  EXPECT_TRUE(answer->Get().ok());
  answer->Get() = absl::CancelledError();
}

TEST_F(PredictionTest, BulkWorkIsNeverRefused) {
  std::vector<std::shared_ptr<Answer>> answers;
  for (int i = 0; i < 200; ++i) {
    ClassifyTask task;
    task.model.name = "m";
    task.images = {Raw(two_)};
    task.deadline = clock_.Now() + absl::Milliseconds(1);
    task.bulk = true;
    answers.push_back(Send(std::move(task)));
  }
  EXPECT_LE(pipeline().waiting_images(), 256);
  puppet_.LetAllGo();
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
  EXPECT_EQ(observer_.refused(), 0);
}

}  // namespace
}  // namespace cytopress
