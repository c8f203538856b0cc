#include "server/worker/worker_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "core/base/steady_notification.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

v1::JobSpec SomeSpec() {
  v1::JobSpec spec;
  spec.set_model_name("blood");
  spec.mutable_dataset()->set_uri("synthetic");
  return spec;
}

v1::Progress At(const std::string& stage, int epoch, int64_t step) {
  v1::Progress progress;
  progress.set_stage(stage);
  progress.set_epoch(epoch);
  progress.set_step(step);
  return progress;
}

absl::StatusOr<JobOutcome> WaitForStop(JobAttempt* attempt) {
  if (!Eventually([&] { return attempt->ShouldStop(); })) {
    return absl::DeadlineExceededError("nobody stopped the job");
  }
  return absl::CancelledError("stopped");
}

class WorkerLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_ + "/work");
    JobStoreOptions store_options;
    store_options.pause_after_failure = absl::ZeroDuration();
    absl::StatusOr<std::unique_ptr<JobStore>> store =
        OpenJobStore("sqlite://" + folder_ + "/jobs.db", &clock_, store_options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    options_.name = "w1";
    options_.work_folder = folder_ + "/work";
    options_.once = true;
    options_.attempt.tick = absl::Milliseconds(1);
  }
  void TearDown() override { store_.reset(); }

  std::string Submit() { return store_->Submit(SomeSpec(), "")->id(); }
  v1::Job Get(const std::string& id) { return *store_->Get(id); }

  absl::Status Run(RunJob run_job) { return RunOn(store_.get(), std::move(run_job)); }
  absl::Status RunOn(JobStore* store, RunJob run_job) {
    return WorkerLoop(options_, std::move(run_job), store, &clock_, &shutdown_).Run();
  }

  // As the pipeline does: checkpoints in the task's folder.
  static void WriteCheckpoint(const JobTask& task) {
    std::filesystem::create_directories(task.work_folder);
    std::ofstream(task.work_folder + "/checkpoint") << "weights";
  }
  bool HasCheckpoint(const std::string& id) {
    return std::filesystem::exists(std::filesystem::path(folder_) / "work" / id / "checkpoint");
  }

  FakeClock clock_;
  SteadyNotification shutdown_;
  WorkerOptions options_;
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  std::unique_ptr<JobStore> store_;
};

TEST_F(WorkerLoopTest, RunsAJobToItsModel) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
              EXPECT_EQ(task.job_id, id);
              EXPECT_EQ(task.attempt, 1);
              EXPECT_EQ(task.spec.recipe().train().epochs(), 12);
              EXPECT_EQ(Get(id).state(), v1::JOB_STATE_RUNNING);
              EXPECT_EQ(store_->ListWorkers()->at(0).job_id, id);
              WriteCheckpoint(task);
              EXPECT_EQ(attempt->OnProgress(At("train", 1, 1)), absl::OkStatus());
              v1::LedgerEntry entry;
              entry.set_stage("train");
              EXPECT_EQ(attempt->OnLedger(entry), absl::OkStatus());
              return JobOutcome{"blood@2", "blood@1"};
            }),
            absl::OkStatus());
  const v1::Job job = Get(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(job.model(), "blood@2");
  EXPECT_EQ(job.parent_model(), "blood@1");
  EXPECT_EQ(job.ledger_size(), 1);
  EXPECT_EQ(job.progress().stage(), "train");
  EXPECT_FALSE(HasCheckpoint(id));
}

TEST_F(WorkerLoopTest, OnceEndsWhenThereIsNoJob) {
  EXPECT_EQ(Run([](const JobTask&, JobAttempt*) -> absl::StatusOr<JobOutcome> {
              ADD_FAILURE();
              return absl::InternalError("no job was submitted");
            }),
            absl::OkStatus());
  EXPECT_EQ(store_->ListWorkers()->size(), 1u);  // it was seen
}

TEST_F(WorkerLoopTest, LeavesJobsToOthersWhileItCouldNotDoThem) {
  const std::string id = Submit();
  const auto run = [&](const JobTask&, JobAttempt*) -> absl::StatusOr<JobOutcome> {
    shutdown_.Notify();
    return JobOutcome{"blood@1", ""};
  };
  options_.check = [] { return absl::UnavailableError("not mounted"); };
  EXPECT_TRUE(absl::IsUnavailable(Run(run)));
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  options_.once = false;
  options_.attempt.times.poll = absl::Milliseconds(1);
  int checks = 0;
  options_.check = [&] {
    return ++checks < 4 ? absl::UnavailableError("not mounted") : absl::OkStatus();
  };
  EXPECT_EQ(Run(run), absl::OkStatus());
  EXPECT_EQ(checks, 4);
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).attempt(), 1);
}

TEST_F(WorkerLoopTest, ALostDeviceEndsTheWorkerBeforeItCostsAnotherJob) {
  const std::string id = Submit();
  const std::string next = Submit();
  options_.once = false;
  options_.check_device = [] { return absl::UnavailableError("cuda:0 is lost"); };
  EXPECT_EQ(Run([&](const JobTask&, JobAttempt*) -> absl::StatusOr<JobOutcome> {
              return absl::InternalError("CUDA error: an illegal memory access");
            }),
            absl::UnavailableError("cuda:0 is lost"));
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 1) << "it may be to blame";
  EXPECT_EQ(Get(next).attempt(), 0);
}

TEST_F(WorkerLoopTest, TheDeviceIsLookedAtAfterAFailureOnly) {
  Submit();
  const std::string next = Submit();
  options_.once = false;
  int checks = 0;
  options_.check_device = [&] {
    ++checks;
    return absl::OkStatus();
  };
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt*) -> absl::StatusOr<JobOutcome> {
              if (task.job_id != next) return absl::InvalidArgumentError("no such data");
              shutdown_.Notify();
              return JobOutcome{"blood@1", ""};
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(next).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(checks, 1);
}

// Counts the heartbeats and the looks at the queue.
class BeatCounter : public ForwardingJobStore {
 public:
  explicit BeatCounter(JobStore* to) : ForwardingJobStore(to) {}
  absl::Status Heartbeat(const std::string& worker, const std::string& device,
                         const std::string& job_id) override {
    ++beats_;
    return ForwardingJobStore::Heartbeat(worker, device, job_id);
  }
  absl::StatusOr<std::optional<LeasedJob>> AcquireLease(const std::string& worker,
                                                        const std::string& device,
                                                        absl::Duration duration) override {
    ++looks_;
    return ForwardingJobStore::AcquireLease(worker, device, duration);
  }
  int beats() const { return beats_; }
  int looks() const { return looks_; }

 private:
  std::atomic<int> beats_{0};
  std::atomic<int> looks_{0};
};

TEST_F(WorkerLoopTest, AnIdleWorkerBeatsNowAndThen) {
  options_.once = false;
  options_.attempt.times.poll = absl::Milliseconds(1);
  BeatCounter store(store_.get());
  std::thread loop([&] {
    EXPECT_EQ(
        RunOn(&store, [](const JobTask&, JobAttempt*) { return absl::InternalError("no job"); }),
        absl::OkStatus());
  });
  EXPECT_TRUE(Eventually([&] { return store.looks() >= 5; }));
  EXPECT_EQ(store.beats(), 1);
  clock_.Advance(absl::Seconds(5));
  EXPECT_TRUE(Eventually([&] { return store.beats() == 2; }));
  shutdown_.Notify();
  loop.join();
}

TEST_F(WorkerLoopTest, WithoutOnceItRunsJobAfterJobUntilShutdown) {
  options_.once = false;
  options_.attempt.times.poll = absl::Milliseconds(1);
  std::atomic<int> runs{0};
  std::thread loop([&] {
    EXPECT_EQ(Run([&](const JobTask&, JobAttempt*) -> absl::StatusOr<JobOutcome> {
                ++runs;
                return JobOutcome{"blood@1", ""};
              }),
              absl::OkStatus());
  });
  Submit();
  EXPECT_TRUE(Eventually([&] { return runs == 1; }));
  Submit();
  EXPECT_TRUE(Eventually([&] { return runs == 2; }));
  shutdown_.Notify();
  loop.join();
}

TEST_F(WorkerLoopTest, ProgressIsThrottledButNotAtBoundaries) {
  const std::string id = Submit();
  const auto revision = [&] { return *store_->Revision(id); };
  EXPECT_EQ(Run([&](const JobTask&, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
              int64_t last = revision();
              const auto writes = [&](const v1::Progress& progress) {
                EXPECT_EQ(attempt->OnProgress(progress), absl::OkStatus());
                const bool grown = revision() > last;
                last = revision();
                return grown;
              };
              EXPECT_TRUE(writes(At("train", 1, 1)));
              for (int step = 2; step < 50; ++step) EXPECT_FALSE(writes(At("train", 1, step)));
              clock_.Advance(absl::Milliseconds(500));
              EXPECT_TRUE(writes(At("train", 1, 50)));
              EXPECT_TRUE(writes(At("train", 2, 1)));
              v1::Progress validated = At("train", 2, 2);
              validated.set_validation_accuracy(0.5);
              EXPECT_TRUE(writes(validated));
              EXPECT_TRUE(writes(At("prune", 0, 0)));
              EXPECT_FALSE(writes(At("prune", 0, 1)));
              return JobOutcome{"blood@1", ""};
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).progress().step(), 1);  // the last one was not lost
}

TEST_F(WorkerLoopTest, CancelEndsTheJobAndRemovesItsCheckpoints) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt* attempt) {
              WriteCheckpoint(task);
              EXPECT_TRUE(store_->Cancel(id).ok());
              return WaitForStop(attempt);
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_CANCELLED);
  EXPECT_FALSE(HasCheckpoint(id));
}

TEST_F(WorkerLoopTest, ShutdownGivesTheJobBackWithItsCheckpoints) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt* attempt) {
              WriteCheckpoint(task);
              shutdown_.Notify();
              return WaitForStop(attempt);
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0);
  EXPECT_TRUE(HasCheckpoint(id));
}

TEST_F(WorkerLoopTest, LostLeaseStopsTheWorkAndLeavesTheCheckpoints) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
              WriteCheckpoint(task);
              EXPECT_EQ(store_->ReapWorker("w1")->size(), 1u);
              EXPECT_EQ(attempt->OnLedger(v1::LedgerEntry()).code(), absl::StatusCode::kAborted);
              EXPECT_EQ(attempt->stop_reason(), StopReason::kLostLease);
              return WaitForStop(attempt);
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 1);
  EXPECT_TRUE(HasCheckpoint(id));
}

TEST_F(WorkerLoopTest, KeeperNoticesALostLeaseByItself) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask&, JobAttempt* attempt) {
              EXPECT_EQ(store_->ReapWorker("w1")->size(), 1u);
              clock_.Advance(options_.attempt.times.lease / 3);
              return WaitForStop(attempt);
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).attempt(), 1);
}

TEST_F(WorkerLoopTest, LeaseIsKeptForAsLongAsTheJobRuns) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask&, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
              for (int i = 0; i < 10; ++i) {
                clock_.Advance(options_.attempt.times.lease / 3);
                EXPECT_TRUE(Eventually(
                    [&] { return store_->ListWorkers()->at(0).last_seen == clock_.Now(); }));
                EXPECT_TRUE(store_->ReapExpired()->empty());
              }
              EXPECT_FALSE(attempt->ShouldStop());
              return JobOutcome{"blood@1", ""};
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_SUCCEEDED);
}

class FailureTest : public WorkerLoopTest,
                    public testing::WithParamInterface<std::pair<absl::StatusCode, bool>> {};

TEST_P(FailureTest, FinalOrRetried) {
  const auto [code, retried] = GetParam();
  const std::string id = Submit();
  const absl::Status failure(code, "what went wrong");
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt*) -> absl::StatusOr<JobOutcome> {
              WriteCheckpoint(task);
              return failure;
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), retried ? v1::JOB_STATE_QUEUED : v1::JOB_STATE_FAILED);
  EXPECT_THAT(Get(id).error(), HasSubstr("what went wrong"));
  EXPECT_EQ(HasCheckpoint(id), retried);
}

INSTANTIATE_TEST_SUITE_P(Codes, FailureTest,
                         testing::Values(std::make_pair(absl::StatusCode::kInvalidArgument, false),
                                         std::make_pair(absl::StatusCode::kFailedPrecondition,
                                                        false),
                                         std::make_pair(absl::StatusCode::kNotFound, false),
                                         std::make_pair(absl::StatusCode::kResourceExhausted, true),
                                         std::make_pair(absl::StatusCode::kInternal, true),
                                         std::make_pair(absl::StatusCode::kUnavailable, true),
                                         // Nobody asked for it, so it is a failure like any other.
                                         std::make_pair(absl::StatusCode::kCancelled, true)));

TEST_F(WorkerLoopTest, LastRetryRemovesTheCheckpoints) {
  const std::string id = Submit();
  const RunJob fail = [](const JobTask& task, JobAttempt*) -> absl::StatusOr<JobOutcome> {
    WriteCheckpoint(task);
    return absl::InternalError("again");
  };
  ASSERT_EQ(Run(fail), absl::OkStatus());
  ASSERT_EQ(Run(fail), absl::OkStatus());
  EXPECT_TRUE(HasCheckpoint(id));
  ASSERT_EQ(Run(fail), absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_FAILED);
  EXPECT_FALSE(HasCheckpoint(id));
}

TEST_F(WorkerLoopTest, OnlyLeftoversOfItsOwnEndedJobsAreRemoved) {
  const std::string ended = Submit();
  ASSERT_TRUE(store_->Cancel(ended).ok());
  v1::JobSpec gpu = SomeSpec();
  gpu.set_device("cuda:0");
  const std::string waiting = store_->Submit(gpu, "")->id();
  for (const std::string& id :
       {ended, waiting, std::string("job-of-another-database"), std::string("mine")}) {
    WriteCheckpoint({id, SomeSpec(), 1, options_.work_folder + "/" + id});
  }
  ASSERT_EQ(Run([](const JobTask&, JobAttempt*) { return absl::InternalError("none"); }),
            absl::OkStatus());
  EXPECT_FALSE(HasCheckpoint(ended));
  EXPECT_TRUE(HasCheckpoint(waiting));
  EXPECT_TRUE(HasCheckpoint("job-of-another-database"));  // where it may be running
  EXPECT_TRUE(HasCheckpoint("mine"));                     // not a job's
}

TEST_F(WorkerLoopTest, AVanishedWorkFolderIsNoFaultOfTheJob) {
  const std::string id = Submit();
  EXPECT_EQ(Run([&](const JobTask& task, JobAttempt*) -> absl::StatusOr<JobOutcome> {
              EXPECT_TRUE(std::filesystem::is_directory(task.work_folder));
              std::filesystem::remove_all(task.work_folder);
              return absl::NotFoundError("cannot create checkpoint.pt");
            }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_THAT(Get(id).error(), HasSubstr("is gone: NOT_FOUND: cannot create checkpoint.pt"));
}

// As a database that is gone after it has stored something and before it could say so.
class UnheardStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;
  absl::Status Start(const Lease& lease) override {
    return Unheard(ForwardingJobStore::Start(lease));
  }
  absl::Status AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) override {
    return Unheard(ForwardingJobStore::AppendLedger(lease, entry));
  }
  absl::Status Succeed(const Lease& lease, const std::string& model,
                       const std::string& parent) override {
    return Unheard(ForwardingJobStore::Succeed(lease, model, parent));
  }

 private:
  absl::Status Unheard(absl::Status status) {
    return ++calls_ % 2 == 1 ? absl::UnavailableError("connection lost") : status;
  }
  int calls_ = 0;
};

TEST_F(WorkerLoopTest, WhatWasStoredUnheardMayBeSaidAgain) {
  const std::string id = Submit();
  UnheardStore store(store_.get());
  v1::LedgerEntry line;
  line.set_stage("train");
  EXPECT_EQ(RunOn(&store,
                  [&](const JobTask&, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
                    EXPECT_EQ(attempt->OnLedger(line), absl::OkStatus());
                    return JobOutcome{"blood@1", ""};
                  }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).attempt(), 1);
  EXPECT_EQ(Get(id).ledger_size(), 1);
}

// Fails the first calls of what must not be lost.
class FlakyStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;
  absl::Status AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) override {
    if (ledger_failures_-- > 0) return absl::ResourceExhaustedError("disk full");
    return ForwardingJobStore::AppendLedger(lease, entry);
  }
  absl::Status ReportProgress(const Lease&, const v1::Progress&) override {
    return absl::UnavailableError("locked");
  }
  absl::Status Succeed(const Lease& lease, const std::string& model,
                       const std::string& parent) override {
    if (success_failures_-- > 0) return absl::UnavailableError("locked");
    return ForwardingJobStore::Succeed(lease, model, parent);
  }

 private:
  int ledger_failures_ = 1;
  int success_failures_ = 2;
};

// Takes no ledger line; each refusal takes four seconds.
class SlowlyFailingStore : public ForwardingJobStore {
 public:
  SlowlyFailingStore(JobStore* to, FakeClock* clock) : ForwardingJobStore(to), clock_(clock) {}
  absl::Status AppendLedger(const Lease&, const v1::LedgerEntry&) override {
    clock_->Advance(absl::Seconds(4));
    return ++calls_ < 6 ? absl::UnavailableError("locked") : absl::OkStatus();
  }
  int calls() const { return calls_; }

 private:
  FakeClock* const clock_;
  int calls_ = 0;
};

TEST_F(WorkerLoopTest, PatienceWithTheStoreEnds) {
  Submit();
  SlowlyFailingStore failing(store_.get(), &clock_);
  options_.attempt.patience = absl::Seconds(10);
  EXPECT_EQ(RunOn(&failing,
                  [&](const JobTask&, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
                    EXPECT_EQ(attempt->OnLedger(v1::LedgerEntry()),
                              absl::UnavailableError("locked"));
                    return absl::InternalError("no more of this");
                  }),
            absl::OkStatus());
  EXPECT_EQ(failing.calls(), 3) << "after 4, 8 and 12 seconds";
}

TEST_F(WorkerLoopTest, BusyStoreCostsProgressButNoResult) {
  const std::string id = Submit();
  FlakyStore flaky(store_.get());
  EXPECT_EQ(RunOn(&flaky,
                  [&](const JobTask&, JobAttempt* attempt) -> absl::StatusOr<JobOutcome> {
                    EXPECT_EQ(attempt->OnProgress(At("train", 1, 1)), absl::OkStatus());
                    EXPECT_EQ(attempt->OnLedger(v1::LedgerEntry()), absl::OkStatus());
                    return JobOutcome{"blood@1", ""};
                  }),
            absl::OkStatus());
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(Get(id).ledger_size(), 1);
}

}  // namespace
}  // namespace cytopress
