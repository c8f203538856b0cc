// What workers see: leases, fencing, and every move of the state machine.
#include <functional>
#include <set>
#include <thread>

#include "core/jobs/job_state.h"
#include "tests/core/jobs/job_store_fixture.h"

namespace cytopress {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class LeaseTest : public JobStoreTest {
 protected:
  // A job brought to `state`, and the lease that brought it there.
  Lease JobIn(v1::JobState state) {
    const std::string id = Submit();
    if (state == v1::JOB_STATE_QUEUED) {
      const Lease lease = Acquire();
      EXPECT_EQ(store_->Release(lease), absl::OkStatus());
      return lease;
    }
    const Lease lease = Acquire();
    if (state == v1::JOB_STATE_LEASED) return lease;
    EXPECT_EQ(store_->Start(lease), absl::OkStatus());
    if (state == v1::JOB_STATE_SUCCEEDED) {
      EXPECT_EQ(store_->Succeed(lease, "blood@1", ""), absl::OkStatus());
    } else if (state == v1::JOB_STATE_FAILED) {
      EXPECT_EQ(store_->Fail(lease, "broken", false), absl::OkStatus());
    } else if (state == v1::JOB_STATE_CANCELLED) {
      EXPECT_TRUE(store_->Cancel(id).ok());
      EXPECT_EQ(store_->AcknowledgeCancel(lease), absl::OkStatus());
    }
    return lease;
  }

  // Asks for the move to `to` in each way the interface offers.
  static bool MayBeSaidTwice(v1::JobState state) {
    return state == v1::JOB_STATE_RUNNING || state == v1::JOB_STATE_SUCCEEDED ||
           state == v1::JOB_STATE_CANCELLED;
  }

  std::vector<absl::Status> TryMove(const Lease& lease, v1::JobState to) {
    switch (to) {
      case v1::JOB_STATE_QUEUED:
        return {store_->Release(lease)};
      case v1::JOB_STATE_RUNNING:
        return {store_->Start(lease)};
      case v1::JOB_STATE_SUCCEEDED:
        return {store_->Succeed(lease, "blood@1", "")};
      case v1::JOB_STATE_FAILED:
        return {store_->Fail(lease, "broken", false)};
      case v1::JOB_STATE_CANCELLED: {
        // Not CancelJob, which asks the worker of a held job instead of making the move.
        const absl::Status asked = store_->Cancel(lease.job_id).status();
        if (IsHeld(StateOf(lease.job_id))) return {asked, store_->AcknowledgeCancel(lease)};
        return {asked};
      }
      default: {  // LEASED: the queue hands this very job out, or has none
        const absl::StatusOr<std::optional<LeasedJob>> leased =
            store_->AcquireLease("w1", "cpu", kLease);
        EXPECT_TRUE(leased.ok()) << leased.status();
        if (leased->has_value()) return {absl::OkStatus()};
        return {absl::FailedPreconditionError("no queued job")};
      }
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, LeaseTest, Backends(), BackendName);

TEST_P(LeaseTest, TheStoreMakesExactlyTheListedMoves) {
  for (v1::JobState from : AllJobStates()) {
    for (v1::JobState to : AllJobStates()) {
      SCOPED_TRACE(absl::StrCat(std::string(StateName(from)), " -> ", std::string(StateName(to))));
      const Lease lease = JobIn(from);
      ASSERT_EQ(StateOf(lease.job_id), from);
      const std::vector<absl::Status> results = TryMove(lease, to);
      const absl::Status& last = results.back();
      if (IsLegalTransition(from, to)) {
        EXPECT_EQ(last, absl::OkStatus());
        EXPECT_EQ(StateOf(lease.job_id), to);
      } else if (from == to && MayBeSaidTwice(to)) {
        EXPECT_EQ(last, absl::OkStatus());  // and is no move
      } else {
        EXPECT_EQ(last.code(), absl::StatusCode::kFailedPrecondition) << last;
        EXPECT_EQ(StateOf(lease.job_id), from);
        if (to != v1::JOB_STATE_LEASED) {
          EXPECT_THAT(last.message(), HasSubstr(std::string(StateName(from))));
          EXPECT_THAT(last.message(), HasSubstr(std::string(StateName(to))));
        }
      }
      // Leave nothing queued or held for the next pair.
      const absl::StatusOr<v1::Job> end = store_->Cancel(lease.job_id);
      if (end.ok() && IsHeld(end->state())) {
        ASSERT_TRUE(store_->ReapWorker("w1").ok());
      }
    }
  }
}

TEST_P(LeaseTest, TerminalStatesHaveNoWayOut) {
  for (v1::JobState from : AllJobStates()) {
    bool leads_out = false;
    for (v1::JobState to : AllJobStates()) leads_out |= IsLegalTransition(from, to);
    EXPECT_EQ(leads_out, !IsTerminal(from)) << StateName(from);
  }
}

TEST_P(LeaseTest, OldestFittingJobIsLeasedFirst) {
  v1::JobSpec gpu = SomeSpec();
  gpu.set_device("cuda:0");
  const std::string gpu_job = Submit(gpu);
  const std::string first = Submit();
  const std::string second = Submit();
  EXPECT_EQ(Acquire("w1", "cpu").job_id, first);
  EXPECT_EQ(Acquire("w1", "cpu").job_id, second);
  EXPECT_FALSE(store_->AcquireLease("w1", "cpu", kLease)->has_value());
  EXPECT_FALSE(store_->AcquireLease("w1", "cuda:1", kLease)->has_value());
  EXPECT_EQ(Acquire("w2", "cuda:0").job_id, gpu_job);
}

TEST_P(LeaseTest, ARunFromLeaseToModel) {
  const std::string id = Submit();
  const Lease lease = Acquire();
  EXPECT_EQ(Get(id).worker(), "w1");
  EXPECT_EQ(Get(id).attempt(), 1);
  clock_.Advance(absl::Seconds(1));
  ASSERT_EQ(store_->Start(lease), absl::OkStatus());
  v1::Progress progress;
  progress.set_stage("train");
  progress.set_loss(0.25);
  progress.set_eta_seconds(-1);
  ASSERT_EQ(store_->ReportProgress(lease, progress), absl::OkStatus());
  v1::LedgerEntry entry;
  entry.set_stage("train");
  entry.set_validation_accuracy(0.96);
  ASSERT_EQ(store_->AppendLedger(lease, entry), absl::OkStatus());
  clock_.Advance(absl::Seconds(9));
  ASSERT_EQ(store_->Succeed(lease, "blood@2", "blood@1"), absl::OkStatus());
  const v1::Job job = Get(id);
  EXPECT_EQ(job.progress().SerializeAsString(), progress.SerializeAsString());
  ASSERT_EQ(job.ledger_size(), 1);
  EXPECT_EQ(job.ledger(0).validation_accuracy(), 0.96);
  EXPECT_EQ(job.ledger(0).attempt(), 1);
  EXPECT_EQ(job.model(), "blood@2");
  EXPECT_EQ(job.parent_model(), "blood@1");
  EXPECT_EQ(job.started().seconds() - job.created().seconds(), 1);
  EXPECT_EQ(job.finished().seconds() - job.created().seconds(), 10);
}

TEST_P(LeaseTest, ExpiredLeaseGoesBackToTheQueueAndTheOldWorkerIsFencedOff) {
  const std::string id = Submit();
  const Lease old = AcquireAndStart("w1");
  clock_.Advance(kLease - absl::Seconds(1));
  EXPECT_TRUE(store_->ReapExpired()->empty());
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(*store_->ReapExpired(), ElementsAre(id));
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
  const auto expect_all_aborted = [&] {
    const absl::StatusCode aborted = absl::StatusCode::kAborted;
    EXPECT_EQ(store_->RenewLease(old, kLease).status().code(), aborted);
    EXPECT_EQ(store_->Start(old).code(), aborted);
    EXPECT_EQ(store_->ReportProgress(old, v1::Progress()).code(), aborted);
    EXPECT_EQ(store_->AppendLedger(old, v1::LedgerEntry()).code(), aborted);
    EXPECT_EQ(store_->Succeed(old, "blood@1", "").code(), aborted);
    EXPECT_EQ(store_->Fail(old, "late", true).code(), aborted);
    EXPECT_EQ(store_->AcknowledgeCancel(old).code(), aborted);
    EXPECT_EQ(store_->Release(old).code(), aborted);
  };
  expect_all_aborted();
  // Even a new lease of the same worker is another lease.
  const Lease fresh = AcquireAndStart("w1");
  EXPECT_GT(fresh.fence, old.fence);
  expect_all_aborted();
  EXPECT_EQ(Get(id).attempt(), 2);
  EXPECT_EQ(store_->Succeed(fresh, "blood@1", ""), absl::OkStatus());
  EXPECT_EQ(Get(id).ledger_size(), 0);
}

TEST_P(LeaseTest, OnlyARunningJobHasProgressAndALedgerThatGrows) {
  for (const v1::JobState state : {v1::JOB_STATE_LEASED, v1::JOB_STATE_SUCCEEDED,
                                   v1::JOB_STATE_FAILED, v1::JOB_STATE_CANCELLED}) {
    SCOPED_TRACE(std::string(StateName(state)));
    const Lease lease = JobIn(state);
    v1::Progress progress;
    progress.set_stage("train");
    const absl::StatusCode refused = absl::StatusCode::kFailedPrecondition;
    EXPECT_EQ(store_->ReportProgress(lease, progress).code(), refused);
    EXPECT_EQ(store_->AppendLedger(lease, v1::LedgerEntry()).code(), refused);
    const absl::Status renewed = store_->RenewLease(lease, kLease).status();
    EXPECT_EQ(renewed.code(), state == v1::JOB_STATE_LEASED ? absl::StatusCode::kOk : refused);
    const v1::Job job = Get(lease.job_id);
    EXPECT_EQ(job.ledger_size(), 0);
    EXPECT_EQ(job.progress().stage(), "");
    if (state != v1::JOB_STATE_LEASED) continue;
    // Leaves nothing queued for the next.
    ASSERT_TRUE(store_->Cancel(lease.job_id).ok());
    ASSERT_TRUE(store_->ReapWorker("w1").ok());
  }
}

TEST_P(LeaseTest, TheModelOfAJobIsSaidOnce) {
  const Lease lease = JobIn(v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(store_->Succeed(lease, "blood@1", ""), absl::OkStatus()) << "as before";
  EXPECT_EQ(store_->Succeed(lease, "blood@2", "").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Get(lease.job_id).model(), "blood@1");
}

TEST_P(LeaseTest, AJobStartedWhenItsFirstAttemptDid) {
  const std::string id = Submit();
  AcquireAndStart();
  const auto started = Get(id).started();
  clock_.Advance(absl::Seconds(5));
  ASSERT_TRUE(store_->ReapWorker("w1").ok());
  AcquireAndStart();
  EXPECT_EQ(Get(id).attempt(), 2);
  EXPECT_EQ(Get(id).started().seconds(), started.seconds());
}

TEST_P(LeaseTest, RenewingKeepsTheLease) {
  Submit();
  const Lease lease = AcquireAndStart();
  for (int i = 0; i < 5; ++i) {
    clock_.Advance(absl::Seconds(20));
    EXPECT_EQ(*store_->RenewLease(lease, kLease), false);
    EXPECT_TRUE(store_->ReapExpired()->empty());
  }
}

TEST_P(LeaseTest, AnExpiredLeaseThatNobodyHasReapedMayBeRenewed) {
  Submit();
  const Lease lease = AcquireAndStart();
  clock_.Advance(kLease + absl::Seconds(1));
  EXPECT_EQ(*store_->RenewLease(lease, kLease), false);
  EXPECT_TRUE(store_->ReapExpired()->empty());
  EXPECT_EQ(store_->Succeed(lease, "blood@1", ""), absl::OkStatus());
}

TEST_P(LeaseTest, JobFailsWhenItsWorkerIsLostTooOften) {
  const std::string id = Submit();
  for (int attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
    AcquireAndStart();
    clock_.Advance(kLease);
    EXPECT_THAT(*store_->ReapExpired(), ElementsAre(id));
  }
  const v1::Job job = Get(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_FAILED);
  EXPECT_THAT(job.error(), HasSubstr("attempt 3 of 3: the worker w1 stopped without a word"));
  EXPECT_TRUE(job.has_finished());
}

TEST_P(LeaseTest, DeadWorkersJobsAreReapedAndOthersAreNot) {
  const std::string first = Submit();
  const std::string second = Submit();
  AcquireAndStart("w1");
  const Lease other = AcquireAndStart("w2");
  EXPECT_THAT(*store_->ReapWorker("w1"), ElementsAre(first));
  EXPECT_EQ(StateOf(first), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(StateOf(second), v1::JOB_STATE_RUNNING);
  EXPECT_TRUE(store_->RenewLease(other, kLease).ok());
  EXPECT_TRUE(store_->ReapWorker("w1")->empty());
  EXPECT_EQ(store_->ReapWorker("").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(LeaseTest, LostWorkerOfACancelledJobEndsIt) {
  const std::string id = Submit();
  AcquireAndStart();
  ASSERT_TRUE(store_->Cancel(id).ok());
  EXPECT_THAT(*store_->ReapWorker("w1"), ElementsAre(id));
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_CANCELLED);
}

TEST_P(LeaseTest, RetryableFailureGoesBackUntilAttemptsAreSpent) {
  const std::string id = Submit();
  for (int attempt = 1; attempt <= 2; ++attempt) {
    ASSERT_EQ(store_->Fail(AcquireAndStart(), "disk full", true), absl::OkStatus());
    EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
    EXPECT_EQ(Get(id).error(), "disk full");
    clock_.Advance(options_.pause_after_failure * attempt);
  }
  const Lease last = AcquireAndStart();
  EXPECT_EQ(Get(id).error(), "");  // of the attempt before
  ASSERT_EQ(store_->Fail(last, "disk full", true), absl::OkStatus());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_FAILED);
  EXPECT_EQ(Get(id).attempt(), 3);
}

TEST_P(LeaseTest, WhatFailedWaitsWhileOthersRun) {
  const std::string failed = Submit();
  ASSERT_EQ(store_->Fail(AcquireAndStart(), "disk full", true), absl::OkStatus());
  EXPECT_EQ(*store_->QueuedFor("cpu"), 0);
  EXPECT_FALSE(store_->AcquireLease("w2", "cpu", kLease)->has_value());
  const std::string other = Submit();
  EXPECT_EQ(Acquire("w2").job_id, other);
  clock_.Advance(options_.pause_after_failure);
  EXPECT_EQ(*store_->QueuedFor("cpu"), 1);
  ASSERT_EQ(store_->Fail(AcquireAndStart(), "disk full", true), absl::OkStatus());
  clock_.Advance(options_.pause_after_failure);
  EXPECT_FALSE(store_->AcquireLease("w1", "cpu", kLease)->has_value()) << "twice as long";
  clock_.Advance(options_.pause_after_failure);
  EXPECT_EQ(Acquire().job_id, failed);
}

TEST_P(LeaseTest, WhatFailedDoesNotWaitUntilAClockThatWasSetBackCatchesUp) {
  const std::string failed = Submit();
  ASSERT_EQ(store_->Fail(AcquireAndStart(), "disk full", true), absl::OkStatus());
  clock_.Advance(options_.pause_after_failure);
  ASSERT_EQ(store_->Fail(AcquireAndStart(), "disk full", true), absl::OkStatus());
  EXPECT_EQ(*store_->QueuedFor("cpu"), 0);
  clock_.Advance(-options_.pause_after_failure);  // by less than shows: its pause lasts longer
  EXPECT_EQ(*store_->QueuedFor("cpu"), 0);
  EXPECT_FALSE(store_->AcquireLease("w1", "cpu", kLease)->has_value());
  clock_.Advance(-absl::Hours(2));
  EXPECT_EQ(*store_->QueuedFor("cpu"), 1);
  EXPECT_EQ(Acquire().job_id, failed);
}

TEST_P(LeaseTest, FinalFailureIsNotRetried) {
  const std::string id = Submit();
  ASSERT_EQ(store_->Fail(Acquire(), "no such data set", false), absl::OkStatus());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_FAILED);
  EXPECT_EQ(Get(id).error(), "no such data set");
}

TEST_P(LeaseTest, ErrorsAreBoundedAndReadable) {
  const std::string id = Submit();
  ASSERT_EQ(store_->Fail(Acquire(), std::string(100000, 'x') + "\xff", false), absl::OkStatus());
  EXPECT_EQ(Get(id).error().size(), 4096u);
  const std::string other = Submit();
  ASSERT_EQ(store_->Fail(Acquire(), "bad \xff byte, good \xC3\xA9", false), absl::OkStatus());
  EXPECT_EQ(Get(other).error(), "bad \xEF\xBF\xBD byte, good \xC3\xA9");
}

TEST_P(LeaseTest, ReleaseDoesNotCostTheAttempt) {
  const std::string id = Submit();
  for (int i = 0; i < 5; ++i) ASSERT_EQ(store_->Release(AcquireAndStart()), absl::OkStatus());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0);
  const Lease lease = AcquireAndStart();
  ASSERT_TRUE(store_->Cancel(id).ok());
  ASSERT_EQ(store_->Release(lease), absl::OkStatus());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_CANCELLED);
}

TEST_P(LeaseTest, AWorkerEndedOnPurposeCostsNoAttempt) {
  const std::string id = Submit();
  const std::string cancelled = Submit();
  const Lease lease = AcquireAndStart();
  AcquireAndStart();
  ASSERT_TRUE(store_->Cancel(cancelled).ok());
  EXPECT_THAT(*store_->ReleaseWorker("w1"), ElementsAre(id, cancelled));
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0);
  EXPECT_EQ(Get(id).error(), "");
  EXPECT_EQ(StateOf(cancelled), v1::JOB_STATE_CANCELLED);
  EXPECT_EQ(store_->RenewLease(lease, kLease).status().code(), absl::StatusCode::kAborted);
}

TEST_P(LeaseTest, NobodyCancelsOnItsOwn) {
  const std::string id = Submit();
  EXPECT_EQ(store_->AcknowledgeCancel(AcquireAndStart()).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_RUNNING);
}

TEST_P(LeaseTest, SuccessWinsOverALateCancel) {
  const std::string id = Submit();
  const Lease lease = AcquireAndStart();
  ASSERT_TRUE(store_->Cancel(id).ok());
  EXPECT_EQ(store_->Succeed(lease, "blood@1", ""), absl::OkStatus());
  EXPECT_EQ(StateOf(id), v1::JOB_STATE_SUCCEEDED);
}

TEST_P(LeaseTest, ThreadsOfSeveralProcessesLeaseEachJobOnce) {
  constexpr int kJobs = 40;
  constexpr int kThreads = 8;
  for (int i = 0; i < kJobs; ++i) Submit();
  std::unique_ptr<JobStore> second = Open();
  absl::Mutex mutex;
  std::multiset<std::string> leased_ids;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    JobStore* store = t % 2 == 0 ? store_.get() : second.get();
    threads.emplace_back([&, store, t] {
      while (true) {
        const absl::StatusOr<std::optional<LeasedJob>> leased =
            store->AcquireLease(absl::StrCat("w", t), "cpu", kLease);
        if (!leased.ok()) ADD_FAILURE() << leased.status();
        if (!leased.ok() || !leased->has_value()) return;
        absl::MutexLock lock(&mutex);
        leased_ids.insert((**leased).lease.job_id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(leased_ids.size(), static_cast<size_t>(kJobs));
  EXPECT_EQ(std::set<std::string>(leased_ids.begin(), leased_ids.end()).size(),
            static_cast<size_t>(kJobs));
}

TEST_P(LeaseTest, ThreadsSubmittingOneRequestMakeOneJob) {
  std::unique_ptr<JobStore> second = Open();
  std::vector<std::string> ids(8);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < ids.size(); ++t) {
    JobStore* store = t % 2 == 0 ? store_.get() : second.get();
    threads.emplace_back([&ids, store, t] {
      const absl::StatusOr<v1::Job> job = store->Submit(SomeSpec(), "same");
      ids[t] = job.ok() ? job->id() : job.status().ToString();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(ids, testing::Each(ids[0]));
  EXPECT_EQ(store_->Stats()->depth, 1);
}

}  // namespace
}  // namespace cytopress
