// What is refused because its answer would come too late.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "core/image/image.h"
#include "core/serving/classify_pipeline.h"
#include "core/serving/error_details.h"
#include "tests/core/serving/classify_pipeline_fixture.h"
#include "tests/core/serving/fakes.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

// A fake clock tells how long batches take.
class FakeTimeTest : public ClassifyPipelineTest {
 protected:
  FakeTimeTest() {
    options_.decode_threads = 1;
    // However time passes, a lone image is decoded where it is sent.
    options_.versions_fresh_for = absl::InfiniteDuration();
    options_.admission.max_waiting_images = 100;
    pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader_, &observer_, &clock_);
    puppet_.Hold();
  }

  // The clock must outlive the pipeline.
  ~FakeTimeTest() override {
    puppet_.LetAllGo();
    pipeline_.reset();
  }

  // One image that wants its answer within `budget`.
  std::shared_ptr<Answer> SendWithin(absl::Duration budget,
                                     std::shared_ptr<const std::atomic<bool>> cancelled = nullptr) {
    ClassifyTask task;
    task.model.name = "m";
    task.images = {Raw(one_)};
    task.deadline = clock_.Now() + budget;
    task.cancelled = std::move(cancelled);
    return Send(std::move(task));
  }

  FakeClock clock_;
};

// Every batch takes 40 ms, as was measured when the model was loaded.
class FreshModelTest : public FakeTimeTest {
 protected:
  FreshModelTest() {
    loader_.SetTimes(ImageTimes{/*in_full_batch=*/0.040 / kFakeBatch, /*alone=*/0.040});
  }
};

TEST_F(FreshModelTest, WhatSharesABatchIsNotRefusedForWhatItWouldTakeAlone) {
  std::vector<std::shared_ptr<Answer>> answers = {SendWithin(absl::Seconds(10))};
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  // The batch before, their own, and half as much to be safe.
  for (int i = 0; i < kFakeBatch; ++i) answers.push_back(SendWithin(3 * absl::Milliseconds(40)));
  EXPECT_EQ(observer_.refused(), 0);
  puppet_.LetAllGo();
  for (const auto& answer : answers) {
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
}

// Two batches of one image have been computed, in 40 ms each.
class PredictionTest : public FakeTimeTest {
 protected:
  PredictionTest() {
    for (int i = 1; i <= 2; ++i) {
      const auto answer = Send({Raw(one_)});
      EXPECT_TRUE(puppet_.AwaitBatches(i));
      clock_.Advance(absl::Milliseconds(40));
      puppet_.LetOneGo();
      EXPECT_TRUE(answer->Get().ok());
      answer->Get() = absl::CancelledError();
    }
  }

  // Two more batches: an image in time and one too late.
  void AnswerOneLate() {
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
  }
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
  ASSERT_NO_FATAL_FAILURE(AnswerOneLate());
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

TEST_F(PredictionTest, WhatEndsForAnotherReasonDoesNotMakeItLessCareful) {
  ASSERT_NO_FATAL_FAILURE(AnswerOneLate());
  const double margin = pipeline().prediction_margin();
  EXPECT_GT(margin, 1.5);
  const auto computing = SendWithin(absl::Seconds(10));
  ASSERT_TRUE(puppet_.AwaitBatches(5));
  InputImage bad;
  bad.bytes = "no picture";
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Send({bad})->Get().status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(SendWithin(absl::Seconds(10), std::make_shared<std::atomic<bool>>(true))
                  ->Get()
                  .status()
                  .code(),
              absl::StatusCode::kCancelled);
  }
  EXPECT_EQ(pipeline().prediction_margin(), margin);
  puppet_.LetAllGo();
  ASSERT_TRUE(computing->Get().ok());
  computing->Get() = absl::CancelledError();
}

TEST_F(PredictionTest, WhoGivesUpAfterThePredictedTimeMakesItMoreCareful) {
  const auto computing = SendWithin(absl::Seconds(10));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  const auto gives_up = std::make_shared<std::atomic<bool>>(false);
  const auto given_up = SendWithin(absl::Seconds(10), gives_up);  // predicted: 120 ms
  clock_.Advance(absl::Milliseconds(121));
  *gives_up = true;
  puppet_.LetAllGo();
  EXPECT_EQ(given_up->Get().status().code(), absl::StatusCode::kCancelled);
  EXPECT_GT(pipeline().prediction_margin(), 1.5);
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
  EXPECT_EQ(observer_.classified_bulk(), 200);
  EXPECT_EQ(observer_.classified(), 2) << "those that the means come from";
}

TEST_F(PredictionTest, AnAnswerSaysWhereItsTimeWent) {
  const auto first = SendWithin(absl::Seconds(10));
  ASSERT_TRUE(puppet_.AwaitBatches(3));
  const auto second = SendWithin(absl::Seconds(10));
  clock_.Advance(absl::Milliseconds(30));
  puppet_.LetOneGo();
  ASSERT_TRUE(first->Get().ok()) << first->Get().status();
  ASSERT_TRUE(puppet_.AwaitBatches(4));
  clock_.Advance(absl::Milliseconds(70));
  puppet_.LetOneGo();
  ASSERT_TRUE(second->Get().ok()) << second->Get().status();
  const auto expect = [](const ClassifyTiming& timing, int queue_ms, int compute_ms) {
    EXPECT_EQ(timing.queue, absl::Milliseconds(queue_ms));
    EXPECT_EQ(timing.decode, absl::ZeroDuration());
    EXPECT_EQ(timing.compute, absl::Milliseconds(compute_ms));
  };
  expect(first->Get()->timing, 0, 30);
  expect(second->Get()->timing, 30, 70);
  for (const auto& answer : {first, second}) answer->Get() = absl::CancelledError();
}

// Time passes by the looks that one thread takes at it.
class LookedAtClock : public Clock {
 public:
  absl::Time Now() const override { return absl::FromUnixSeconds(1700000000); }
  absl::Duration Steady() const override {
    absl::MutexLock lock(&mutex_);
    if (std::this_thread::get_id() == thread_) now_ += step_;
    return now_;
  }
  void set_step(absl::Duration step) {
    absl::MutexLock lock(&mutex_);
    step_ = step;
  }

 private:
  const std::thread::id thread_ = std::this_thread::get_id();
  mutable absl::Mutex mutex_;
  mutable absl::Duration now_ ABSL_GUARDED_BY(mutex_) = absl::Hours(1);
  absl::Duration step_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
};

// A lone small image is decoded by the thread that sends it, between two looks at the clock.
class DecodingTest : public ClassifyPipelineTest {
 protected:
  ~DecodingTest() override {
    puppet_.LetAllGo();
    LetDecoderGo();
    pipeline_.reset();
  }

  void Start(int decode_threads) {
    options_.decode_threads = decode_threads;
    options_.versions_fresh_for = absl::InfiniteDuration();
    pipeline_ = std::make_unique<ClassifyPipeline>(options_, &loader_, &observer_, &clock_);
    ASSERT_TRUE(Send({Raw(one_)})->Get().ok());
  }
  InputImage Encoded() const {
    InputImage image;
    image.bytes = png_;
    return image;
  }
  // Sends an image that takes so long to decode.
  void Decode(absl::Duration time) {
    clock_.set_step(time);
    const auto answer = Send({Encoded()});
    clock_.set_step(absl::ZeroDuration());
    ASSERT_TRUE(answer->Get().ok()) << answer->Get().status();
    answer->Get() = absl::CancelledError();
  }
  // Without the margin, of a request with so many bytes to decode. Something is computed.
  absl::Duration Predicted(double files) const {
    const auto bytes = static_cast<int64_t>(files * static_cast<double>(png_.size()));
    return pipeline_->PredictedTime({"m", 0}, 1, bytes) / pipeline_->prediction_margin();
  }

  const std::string png_ = *EncodePng({2, 2, 1, std::vector<uint8_t>(4, 1)});
  LookedAtClock clock_;
};

TEST_F(DecodingTest, ItsOwnIsPartOfThePrediction) {
  int batches = 0;
  for (const int threads : {1, 4}) {
    SCOPED_TRACE(threads);
    Start(threads);
    Decode(absl::Milliseconds(8));
    puppet_.Hold();
    const auto computing = Send({Raw(one_)});
    ASSERT_TRUE(puppet_.AwaitBatches(batches += 3));
    const auto decoding = [this] { return Predicted(10) - Predicted(0); };
    const auto expect = [&](double milliseconds) {
      EXPECT_NEAR(absl::ToDoubleMilliseconds(decoding()), milliseconds, 1e-3);
    };
    expect(80.0 / threads);
    puppet_.LetAllGo();
    ASSERT_TRUE(computing->Get().ok());
    computing->Get() = absl::CancelledError();
    // A twentieth of the mean, and no more than four times the mean.
    Decode(absl::Seconds(8));
    puppet_.Hold();
    const auto again = Send({Raw(one_)});
    ASSERT_TRUE(puppet_.AwaitBatches(batches += 2));
    expect(80.0 * (0.95 + 0.05 * 4) / threads);
    puppet_.LetAllGo();
    ASSERT_TRUE(again->Get().ok());
    again->Get() = absl::CancelledError();
  }
}

TEST_F(DecodingTest, ThatOfOthersIsPartOfThePrediction) {
  Start(1);
  Decode(absl::Milliseconds(8));
  HoldDecoder();
  EXPECT_EQ(Predicted(0), absl::ZeroDuration());
  const auto waiting = Send({Encoded(), Encoded(), Encoded()});
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Predicted(0)), 24, 1e-3);
  EXPECT_NEAR(absl::ToDoubleMilliseconds(Predicted(1)), 24 + 8, 1e-3);
}

}  // namespace
}  // namespace cytopress
