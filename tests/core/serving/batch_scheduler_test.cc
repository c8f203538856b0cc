#include "core/serving/batch_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "tests/core/serving/fakes.h"
#include "tests/fake_clock.h"

namespace cytopress {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A task with the promise of its end. The first pixels of its images are first, first + 1, ...
struct Sent {
  explicit Sent(int images, int first = 0) : task(std::make_shared<BatchTask>()) {
    task->images = images;
    task->pixels.assign(images * kFakeImageBytes, 0);
    for (int i = 0; i < images; ++i) task->pixels[i * kFakeImageBytes] = first + i;
    task->probabilities.resize(images * kFakeClasses);
    task->on_left_queue = [this](int count) { left_queue += count; };
    task->done = [this](const absl::Status& status) { done.Set(status); };
  }

  std::vector<int> Classes() const {
    std::vector<int> classes;
    for (int i = 0; i < task->images; ++i) {
      int best = -1;
      for (int c = 0; c < kFakeClasses; ++c) {
        if (task->probabilities[i * kFakeClasses + c] == 1) best = c;
      }
      classes.push_back(best);
    }
    return classes;
  }

  std::shared_ptr<BatchTask> task;
  std::atomic<int> left_queue{0};
  Promised<absl::Status> done;
};

class BatchSchedulerTest : public testing::Test {
 protected:
  void Make(int engines, int preferred_batch) {
    scheduler_ = std::make_unique<BatchScheduler>(
        PuppetEngines(&puppet_, engines, preferred_batch), [](int, absl::Duration) {}, &clock_);
  }
  // Puts a batch of one image into the engine, where it stays.
  std::unique_ptr<Sent> Occupy() {
    puppet_.Hold();
    auto sent = std::make_unique<Sent>(1);
    const size_t before = puppet_.batches().size();
    scheduler_->Enqueue(sent->task);
    EXPECT_TRUE(puppet_.AwaitBatches(before + 1));
    return sent;
  }

  FakeClock clock_;
  Puppet puppet_;
  std::unique_ptr<BatchScheduler> scheduler_;
};

TEST_F(BatchSchedulerTest, ALoneRequestNeedsNoCompany) {
  Make(1, 8);
  Sent sent(1, 3);
  scheduler_->Enqueue(sent.task);
  EXPECT_EQ(sent.done.Get(), absl::OkStatus());
  EXPECT_THAT(sent.Classes(), ElementsAre(3));
  EXPECT_THAT(puppet_.batches(), ElementsAre(1));
}

TEST_F(BatchSchedulerTest, WhatWaitsSharesTheNextBatch) {
  Make(1, 8);
  const std::unique_ptr<Sent> first = Occupy();
  Sent second(1, 1), third(2, 2), fourth(1, 4);
  for (Sent* sent : {&second, &third, &fourth}) scheduler_->Enqueue(sent->task);
  puppet_.LetAllGo();
  for (Sent* sent : {&second, &third, &fourth}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
  EXPECT_THAT(second.Classes(), ElementsAre(1));
  EXPECT_THAT(third.Classes(), ElementsAre(2, 3));
  EXPECT_THAT(fourth.Classes(), ElementsAre(0));
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 4));
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, WhatCameFirstIsComputedFirst) {
  Make(1, 1);
  const std::unique_ptr<Sent> first = Occupy();
  Sent second(1, 1), third(1, 2);
  scheduler_->Enqueue(second.task);
  scheduler_->Enqueue(third.task);
  puppet_.LetOneGo();
  ASSERT_TRUE(puppet_.AwaitBatches(2));
  EXPECT_EQ(second.left_queue, 1);
  EXPECT_EQ(third.left_queue, 0);
  puppet_.LetAllGo();
  for (Sent* sent : {first.get(), &second, &third}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, ALargeRequestIsCutAtThePreferredBatch) {
  Make(1, 4);
  Sent sent(10);
  scheduler_->Enqueue(sent.task);
  EXPECT_EQ(sent.done.Get(), absl::OkStatus());
  EXPECT_THAT(sent.Classes(), ElementsAre(0, 1, 2, 3, 0, 1, 2, 3, 0, 1));
  EXPECT_THAT(puppet_.batches(), ElementsAre(4, 4, 2));
  EXPECT_EQ(sent.left_queue, 10);
}

TEST_F(BatchSchedulerTest, TheEndOfALargeRequestSharesItsBatch) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent large(6), small(3, 2);
  scheduler_->Enqueue(large.task);
  scheduler_->Enqueue(small.task);
  puppet_.LetAllGo();
  EXPECT_EQ(large.done.Get(), absl::OkStatus());
  EXPECT_EQ(small.done.Get(), absl::OkStatus());
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 4, 4, 1));
  EXPECT_THAT(small.Classes(), ElementsAre(2, 3, 0));
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, EnginesTakePartsOfOneRequestAtTheSameTime) {
  Make(2, 4);
  puppet_.Hold();
  Sent sent(8);
  scheduler_->Enqueue(sent.task);
  EXPECT_TRUE(puppet_.AwaitBatches(2));
  clock_.Advance(absl::Seconds(3));
  puppet_.LetAllGo();
  EXPECT_EQ(sent.done.Get(), absl::OkStatus());
  EXPECT_THAT(puppet_.batches(), ElementsAre(4, 4));
  EXPECT_EQ(sent.task->compute, absl::Seconds(3)) << "both engines at once count once";
}

TEST_F(BatchSchedulerTest, DropsWhatHasExpiredBeforeItIsComputed) {
  Make(1, 8);
  const std::unique_ptr<Sent> first = Occupy();
  Sent late(2), patient(1, 1);
  late.task->deadline = clock_.Steady() + absl::Seconds(1);
  patient.task->deadline = clock_.Steady() + absl::Seconds(10);
  scheduler_->Enqueue(late.task);
  scheduler_->Enqueue(patient.task);
  clock_.Advance(absl::Seconds(2));
  puppet_.LetAllGo();
  EXPECT_EQ(late.done.Get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(patient.done.Get(), absl::OkStatus());
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 1));
  EXPECT_EQ(late.left_queue, 2);
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, DropsWhatWasCancelledBeforeItIsComputed) {
  Make(1, 8);
  const std::unique_ptr<Sent> first = Occupy();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  Sent sent(3);
  sent.task->cancelled = cancelled;
  scheduler_->Enqueue(sent.task);
  *cancelled = true;
  puppet_.LetAllGo();
  EXPECT_EQ(sent.done.Get().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(puppet_.batches(), ElementsAre(1));
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, CancellingStopsALargeRequestBetweenItsBatches) {
  Make(1, 4);
  puppet_.Hold();
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  Sent sent(12);
  sent.task->cancelled = cancelled;
  scheduler_->Enqueue(sent.task);
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  *cancelled = true;
  puppet_.LetAllGo();
  EXPECT_EQ(sent.done.Get().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(puppet_.batches(), ElementsAre(4));
  EXPECT_EQ(sent.left_queue, 12);
}

TEST_F(BatchSchedulerTest, AnErrorReachesEveryRequestOfTheBatchAndNoOther) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent second(2), third(2), fourth(4);
  for (Sent* sent : {&second, &third, &fourth}) scheduler_->Enqueue(sent->task);
  puppet_.LetOneGo();
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
  ASSERT_TRUE(puppet_.AwaitBatches(2));
  puppet_.FailNext(absl::InternalError("broken"));
  puppet_.LetAllGo();
  EXPECT_EQ(second.done.Get(), absl::InternalError("broken"));
  EXPECT_EQ(third.done.Get(), absl::InternalError("broken"));
  EXPECT_EQ(fourth.done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, AnErrorSparesTheRestOfALargeRequest) {
  Make(1, 4);
  puppet_.FailNext(absl::InternalError("broken"));
  Sent sent(12);
  scheduler_->Enqueue(sent.task);
  EXPECT_EQ(sent.done.Get(), absl::InternalError("broken"));
  EXPECT_THAT(puppet_.batches(), ElementsAre(4));
}

// An engine, or the buffer of several tasks, that finds no memory.
class OutOfMemoryEngine : public PuppetEngine {
 public:
  using PuppetEngine::PuppetEngine;
  absl::Status Classify(absl::Span<const uint8_t>, int, absl::Span<float>) override {
    throw std::bad_alloc();
  }
};

// Has no number for an image whose first pixel is 255.
class OverflowingEngine : public PuppetEngine {
 public:
  using PuppetEngine::PuppetEngine;
  absl::Status Classify(absl::Span<const uint8_t> pixels, int count,
                        absl::Span<float> probabilities) override {
    absl::Status status = PuppetEngine::Classify(pixels, count, probabilities);
    for (int i = 0; i < count; ++i) {
      if (pixels[i * kFakeImageBytes] == 255) {
        probabilities[i * kFakeClasses] = std::numeric_limits<float>::quiet_NaN();
      }
    }
    return status;
  }
};

TEST_F(BatchSchedulerTest, ProbabilitiesThatAreNoNumbersAreAnErrorOfTheirRequestAlone) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<OverflowingEngine>(&puppet_, 8));
  BatchScheduler scheduler(
      std::move(engines), [](int, absl::Duration) {}, &clock_, ImageTimes{}, "cells@3");
  puppet_.Hold();
  Sent first(1), bad(2, 254), good(1, 1);
  scheduler.Enqueue(first.task);
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  scheduler.Enqueue(bad.task);
  scheduler.Enqueue(good.task);
  puppet_.LetAllGo();
  EXPECT_EQ(first.done.Get(), absl::OkStatus());
  EXPECT_EQ(bad.done.Get().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(bad.done.Get().message()), HasSubstr("cells@3"));
  EXPECT_EQ(good.done.Get(), absl::OkStatus());
  EXPECT_THAT(good.Classes(), ElementsAre(1));
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 3));
}

TEST_F(BatchSchedulerTest, ALackOfMemoryIsAnErrorOfTheBatch) {
  std::vector<std::unique_ptr<Engine>> engines;
  engines.push_back(std::make_unique<OutOfMemoryEngine>(&puppet_, 4));
  BatchScheduler scheduler(
      std::move(engines), [](int, absl::Duration) {}, &clock_);
  for (int i = 0; i < 2; ++i) {
    Sent sent(2);
    scheduler.Enqueue(sent.task);
    EXPECT_EQ(sent.done.Get().code(), absl::StatusCode::kResourceExhausted);
  }
}

TEST_F(BatchSchedulerTest, EndsWithoutAnyRequest) {
  Make(3, 4);
  scheduler_.reset();
  EXPECT_THAT(puppet_.batches(), IsEmpty());
}

TEST_F(BatchSchedulerTest, MeasuresWhatItComputes) {
  Make(2, 4);
  EXPECT_EQ(scheduler_->load().images, 0);
  EXPECT_EQ(scheduler_->load().per_image, absl::ZeroDuration()) << "nothing is known yet";
  puppet_.Hold();
  Sent sent(4);
  scheduler_->Enqueue(sent.task);
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  EXPECT_EQ(scheduler_->load().images, 4) << "those in an engine count";
  clock_.Advance(absl::Milliseconds(80));
  puppet_.LetAllGo();
  EXPECT_EQ(sent.done.Get(), absl::OkStatus());
  EXPECT_EQ(scheduler_->load().images, 0);
  // 20 ms an image, and two engines share the work.
  EXPECT_EQ(scheduler_->load().per_image, absl::Milliseconds(10));
  EXPECT_EQ(scheduler_->BatchTime(4), absl::Milliseconds(80));
}

TEST_F(BatchSchedulerTest, KnowsHowFarItsEnginesAre) {
  BatchScheduler scheduler(
      PuppetEngines(&puppet_, 2, 4), [](int, absl::Duration) {}, &clock_,
      ImageTimes{/*in_full_batch=*/0.02, /*alone=*/0.02});
  EXPECT_EQ(scheduler.load().capacity_images, 8);
  EXPECT_EQ(scheduler.load().until_free, absl::ZeroDuration());
  puppet_.Hold();
  Sent first(4);
  scheduler.Enqueue(first.task);
  ASSERT_TRUE(puppet_.AwaitBatches(1));
  EXPECT_EQ(scheduler.load().waiting, 0);
  EXPECT_EQ(scheduler.load().until_free, absl::Milliseconds(40)) << "80 ms of one of two";
  clock_.Advance(absl::Milliseconds(30));
  Sent second(2);
  scheduler.Enqueue(second.task);
  ASSERT_TRUE(puppet_.AwaitBatches(2));
  EXPECT_EQ(scheduler.load().until_free, absl::Milliseconds(45)) << "50 ms and 40 ms";
  Sent third(3);
  scheduler.Enqueue(third.task);
  EXPECT_EQ(scheduler.load().images, 9);
  EXPECT_EQ(scheduler.load().waiting, 3);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(scheduler.load().until_free, absl::ZeroDuration()) << "any moment now";
  puppet_.LetAllGo();
  for (Sent* sent : {&first, &second, &third}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, WhatWasDroppedIsNoLoad) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent late(3);
  late.task->deadline = clock_.Steady();
  scheduler_->Enqueue(late.task);
  EXPECT_EQ(scheduler_->load().images, 4);
  puppet_.LetAllGo();
  EXPECT_EQ(late.done.Get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
  EXPECT_EQ(scheduler_->load().images, 0);
}

TEST_F(BatchSchedulerTest, GoesByWhatItWasToldUntilItHasMeasured) {
  BatchScheduler scheduler(
      PuppetEngines(&puppet_, 2, 4), [](int, absl::Duration) {}, &clock_,
      ImageTimes{/*in_full_batch=*/0.002, /*alone=*/0.006});
  EXPECT_EQ(scheduler.load().per_image, absl::Milliseconds(1));
  EXPECT_EQ(scheduler.BatchTime(1), absl::Milliseconds(6));
  EXPECT_EQ(scheduler.BatchTime(4), absl::Milliseconds(8));
}

TEST_F(BatchSchedulerTest, SmallBatchesDoNotSayWhatFullOnesTake) {
  Make(1, 4);
  puppet_.Hold();
  int batches = 0;
  const auto compute = [&](int images, absl::Duration time) {
    Sent sent(images);
    scheduler_->Enqueue(sent.task);
    ASSERT_TRUE(puppet_.AwaitBatches(++batches));
    clock_.Advance(time);
    puppet_.LetOneGo();
    EXPECT_EQ(sent.done.Get(), absl::OkStatus());
  };
  compute(1, absl::Milliseconds(30));
  EXPECT_EQ(scheduler_->load().per_image, absl::Milliseconds(30)) << "all that is known";
  compute(4, absl::Milliseconds(40));
  for (int i = 0; i < 100; ++i) compute(1, absl::Milliseconds(30));
  EXPECT_EQ(scheduler_->load().per_image, absl::Milliseconds(10));
  Sent small(1);
  scheduler_->Enqueue(small.task);
  ASSERT_TRUE(puppet_.AwaitBatches(++batches));
  EXPECT_EQ(scheduler_->load().until_free, absl::Milliseconds(30));
  EXPECT_EQ(scheduler_->BatchTime(1), absl::Milliseconds(30));
  EXPECT_EQ(scheduler_->BatchTime(2), absl::Milliseconds(20)) << "half full";
  EXPECT_EQ(scheduler_->BatchTime(3), absl::Milliseconds(40)) << "as long as four";
  EXPECT_EQ(scheduler_->BatchTime(100), absl::Milliseconds(40));
  puppet_.LetAllGo();
  EXPECT_EQ(small.done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, BulkWorkTakesTheRoomThatCostsOthersNothing) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent bulk(6), urgent(3, 1), late_bulk(1);
  bulk.task->bulk = late_bulk.task->bulk = true;
  scheduler_->Enqueue(bulk.task);
  scheduler_->Enqueue(late_bulk.task);
  scheduler_->Enqueue(urgent.task);
  EXPECT_EQ(scheduler_->load().images, 4) << "nobody has to wait for bulk work that waits";
  puppet_.LetOneGo();
  ASSERT_TRUE(puppet_.AwaitBatches(2));
  EXPECT_EQ(urgent.left_queue, 3);
  EXPECT_EQ(bulk.left_queue, 1) << "three images take as long as four";
  EXPECT_EQ(scheduler_->load().images, 4) << "but for what is in an engine";
  puppet_.LetAllGo();
  for (Sent* sent : {&bulk, &urgent, &late_bulk}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 4, 4, 2));
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
  EXPECT_EQ(scheduler_->load().images, 0);
}

TEST_F(BatchSchedulerTest, ALoneRequestNeedsNoCompanyOfBulkWork) {
  Make(1, 8);
  const std::unique_ptr<Sent> first = Occupy();
  Sent bulk(8), urgent(1);
  bulk.task->bulk = true;
  scheduler_->Enqueue(bulk.task);
  scheduler_->Enqueue(urgent.task);
  puppet_.LetAllGo();
  for (Sent* sent : {&bulk, &urgent}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
  EXPECT_THAT(puppet_.batches(), ElementsAre(1, 1, 8));
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, BulkWorkGoesOnHoweverBusyTheServerIs) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent urgent(4 * 20), bulk(3);
  bulk.task->bulk = true;
  size_t batches_before_bulk = 0;
  bulk.task->on_left_queue = [&](int) { batches_before_bulk = puppet_.batches().size(); };
  scheduler_->Enqueue(urgent.task);
  scheduler_->Enqueue(bulk.task);
  puppet_.LetAllGo();
  for (Sent* sent : {&bulk, &urgent}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
  EXPECT_EQ(batches_before_bulk, 1 + 8);
  EXPECT_EQ(puppet_.batches().size(), 1u + 8 + 1 + 12) << "with others in its room";
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, ExpiredBulkWorkIsDroppedWhileOthersAreComputed) {
  Make(1, 4);
  const std::unique_ptr<Sent> first = Occupy();
  Sent urgent(8), patient(1), expired(2);
  patient.task->bulk = expired.task->bulk = true;
  expired.task->deadline = clock_.Steady() + absl::Milliseconds(1);
  for (Sent* sent : {&urgent, &patient, &expired}) scheduler_->Enqueue(sent->task);
  clock_.Advance(absl::Milliseconds(1));
  puppet_.LetOneGo();
  EXPECT_EQ(expired.done.Get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(expired.left_queue, 2);
  EXPECT_EQ(patient.left_queue, 0);
  puppet_.LetAllGo();
  for (Sent* sent : {&urgent, &patient}) EXPECT_EQ(sent->done.Get(), absl::OkStatus());
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

TEST_F(BatchSchedulerTest, WhatExpiredIsNotCalledCancelled) {
  Make(1, 8);
  const std::unique_ptr<Sent> first = Occupy();
  Sent sent(3);
  sent.task->cancelled = std::make_shared<std::atomic<bool>>(true);  // as gRPC does
  sent.task->deadline = clock_.Steady();
  scheduler_->Enqueue(sent.task);
  puppet_.LetAllGo();
  EXPECT_EQ(sent.done.Get().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(first->done.Get(), absl::OkStatus());
}

}  // namespace
}  // namespace cytopress
