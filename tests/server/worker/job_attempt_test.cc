// Work that does not stop when it is told to. worker_loop_test.cc has what else an attempt does.
#include "server/worker/job_attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>

#include "core/base/steady_notification.h"
#include "tests/captured_log.h"
#include "tests/eventually.h"
#include "tests/server/worker/counting_clock.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::HasSubstr;
using testing::Not;

class JobAttemptTest : public testing::Test {
 protected:
  void SetUp() override {
    store_ = *OpenJobStore("sqlite://" + temporary_.PathOf("jobs.db"), &clock_);
    v1::JobSpec spec;
    spec.set_model_name("blood");
    spec.mutable_dataset()->set_uri("synthetic");
    id_ = store_->Submit(spec, "")->id();
    leased_ = **store_->AcquireLease("w1", options_.device, options_.times.lease);
    options_.tick = absl::Milliseconds(1);
    options_.on_hang = [this] {
      at_its_end_ = Get();
      ended_.Notify();
    };
  }

  v1::Job Get() { return *store_->Get(id_); }

  std::unique_ptr<JobAttempt> Start(JobStore* store) {
    auto attempt = std::make_unique<JobAttempt>(leased_, options_, store, &clock_, &shutdown_);
    EXPECT_EQ(attempt->Start(), absl::OkStatus());
    return attempt;
  }

  // Returns when the keeper, too, knows that the work is to stop.
  void WaitForStop(const JobAttempt& attempt) {
    ASSERT_TRUE(Eventually([&] { return attempt.ShouldStop(); }));
    clock_.AdvanceAndTick(absl::ZeroDuration());
  }

  // Goes on although it is told to stop, until the process is to end.
  void Hang(const JobAttempt& attempt) {
    WaitForStop(attempt);
    clock_.AdvanceAndTick(options_.stop_patience - absl::Seconds(1));
    EXPECT_FALSE(ended_.HasBeenNotified()) << "it has a second left";
    clock_.Advance(absl::Seconds(1));
    EXPECT_TRUE(ended_.WaitFor(kPatience));
  }

  CountingClock clock_;
  const TemporaryFolder temporary_;
  std::unique_ptr<JobStore> store_;
  AttemptOptions options_;
  SteadyNotification shutdown_;
  std::string id_;
  LeasedJob leased_;
  SteadyNotification ended_;
  v1::Job at_its_end_;  // when the process is to end
};

TEST_F(JobAttemptTest, WorkThatIsCancelledAndHangsIsAcknowledgedAndEnded) {
  const CapturedLog log;
  const std::unique_ptr<JobAttempt> attempt = Start(store_.get());
  v1::Progress progress;
  progress.set_stage("train");
  EXPECT_EQ(attempt->OnProgress(progress), absl::OkStatus());
  EXPECT_TRUE(store_->Cancel(id_).ok());
  Hang(*attempt);
  EXPECT_EQ(at_its_end_.state(), v1::JOB_STATE_CANCELLED);
  EXPECT_THAT(log.text(), HasSubstr("error: " + id_ +
                                    ": has not stopped in stage train: it was told to 10m ago; the "
                                    "worker ends at once"));
}

TEST_F(JobAttemptTest, WorkThatHangsAtShutdownIsGivenBackAndEnded) {
  const CapturedLog log;
  const std::unique_ptr<JobAttempt> attempt = Start(store_.get());
  shutdown_.Notify();
  Hang(*attempt);
  EXPECT_EQ(at_its_end_.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(at_its_end_.attempt(), 0);
  EXPECT_THAT(log.text(), HasSubstr(": has not stopped before its first progress: "));
}

TEST_F(JobAttemptTest, WorkThatHangsWithoutItsLeaseIsEndedAndNothingIsWritten) {
  const CapturedLog log;
  const std::unique_ptr<JobAttempt> attempt = Start(store_.get());
  EXPECT_EQ(store_->ReapWorker("w1")->size(), 1u);
  const int64_t revision = *store_->Revision(id_);
  clock_.Advance(options_.times.renew_after());
  Hang(*attempt);
  EXPECT_EQ(at_its_end_.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(at_its_end_.attempt(), 1);
  EXPECT_EQ(*store_->Revision(id_), revision);
  EXPECT_THAT(log.text(), Not(HasSubstr("its end is not stored"))) << "it did not even try";
}

// Acknowledges at the second try; the first one takes as long as it is told.
class AbsentStore : public ForwardingJobStore {
 public:
  AbsentStore(JobStore* to, CountingClock* clock, absl::Duration duration)
      : ForwardingJobStore(to), clock_(clock), duration_(duration) {}
  absl::Status AcknowledgeCancel(const Lease& lease) override {
    if (calls_++ > 0) return ForwardingJobStore::AcknowledgeCancel(lease);
    if (duration_ > absl::ZeroDuration()) clock_->AdvanceAndTick(duration_);
    return absl::UnavailableError("connection lost");
  }

 private:
  CountingClock* const clock_;
  const absl::Duration duration_;
  std::atomic<int> calls_{0};
};

TEST_F(JobAttemptTest, WorkThatHangsIsEndedThoughTheStoreIsAway) {
  AbsentStore absent(store_.get(), &clock_, absl::ZeroDuration());
  const std::unique_ptr<JobAttempt> attempt = Start(&absent);
  EXPECT_TRUE(store_->Cancel(id_).ok());
  Hang(*attempt);
  EXPECT_EQ(at_its_end_.state(), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(store_->ReapWorker("w1")->size(), 1u);  // as whoever sees it end
  EXPECT_EQ(Get().state(), v1::JOB_STATE_CANCELLED);
}

TEST_F(JobAttemptTest, WorkThatHasReturnedAndWaitsForTheStoreDoesNotHang) {
  options_.patience = 2 * options_.stop_patience;
  AbsentStore absent(store_.get(), &clock_, options_.stop_patience);
  const std::unique_ptr<JobAttempt> attempt = Start(&absent);
  EXPECT_TRUE(store_->Cancel(id_).ok());
  WaitForStop(*attempt);
  EXPECT_EQ(attempt->Finish([&](const Lease& lease) { return absent.AcknowledgeCancel(lease); }),
            absl::OkStatus());
  EXPECT_FALSE(ended_.HasBeenNotified());
  EXPECT_EQ(Get().state(), v1::JOB_STATE_CANCELLED);
}

}  // namespace
}  // namespace cytopress
