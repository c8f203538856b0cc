// The supervisor with real worker processes.
#include "server/supervisor/worker_supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/supervisor/cores.h"
#include "server/worker/checkpoint_folders.h"
#include "server/worker/process_lock.h"
#include "tests/captured_log.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"
#include "tests/server/worker/counting_clock.h"
#include "tests/server/worker/forwarding_job_store.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

class SupervisorTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.worker_program = SCRIPTED_WORKER;
    options_.database_url = "sqlite://" + folder_ + "/jobs.db";
    options_.models_folder = folder_ + "/models";
    options_.work_folder = folder_ + "/work";
    options_.log_folder = folder_ + "/logs";
    options_.times.poll = absl::Milliseconds(5);
    options_.times.heartbeat = absl::Milliseconds(20);
    options_.first_backoff = absl::Milliseconds(5);
    options_.last_backoff = absl::Milliseconds(40);
    store_ = *OpenJobStore(options_.database_url, RealClock());
  }
  void TearDown() override {
    supervisor_.reset();
    store_.reset();
  }

  void Start() {
    supervisor_ = std::make_unique<WorkerSupervisor>(options_, store_.get(), RealClock());
    ASSERT_EQ(supervisor_->Start(), absl::OkStatus());
  }

  std::string Submit(const std::string& act, const std::string& device = "") {
    v1::JobSpec spec;
    spec.set_model_name(act);
    spec.mutable_dataset()->set_uri("synthetic");
    spec.set_device(device);
    const std::string id = store_->Submit(spec, "")->id();
    if (supervisor_ != nullptr) supervisor_->Notify();
    return id;
  }

  v1::Job Get(const std::string& id) { return *store_->Get(id); }
  bool Reaches(const std::string& id, v1::JobState state) {
    return Eventually([&] { return Get(id).state() == state; });
  }
  SlotInfo Slot(size_t i = 0) { return supervisor_->Slots().at(i); }
  // A slot tells of its process at the end of a tick: the database may tell of its job before.
  bool SlotIsEmpty() {
    return Eventually([&] { return Slot().pid == 0; });
  }
  bool HasStarted(int processes) {
    return Eventually([&] { return Slot().started == processes; });
  }
  pid_t RunningPid() {
    pid_t pid = 0;
    EXPECT_TRUE(Eventually([&] { return (pid = Slot().pid) != 0; }));
    return pid;
  }

  SupervisorOptions options_;
  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("state");  // not there yet
  std::unique_ptr<JobStore> store_;
  std::unique_ptr<WorkerSupervisor> supervisor_;
};

TEST_F(SupervisorTest, EmptyQueueHasNoProcessButAWorkerThatIsUp) {
  Start();
  ASSERT_TRUE(Eventually([&] { return store_->ListWorkers()->size() == 1; }));
  const absl::Time first = store_->ListWorkers()->at(0).last_seen;
  EXPECT_TRUE(Eventually([&] { return store_->ListWorkers()->at(0).last_seen > first; }));
  EXPECT_EQ(store_->ListWorkers()->at(0).name, "local-1");
  EXPECT_EQ(store_->ListWorkers()->at(0).device, "cpu");
  EXPECT_EQ(Slot().pid, 0);
  EXPECT_EQ(Slot().started, 0);
}

TEST_F(SupervisorTest, EachJobGetsAProcessThatEndsWithIt) {
  Start();
  const std::string first = Submit("publish");
  const std::string second = Submit("publish");
  EXPECT_TRUE(Reaches(first, v1::JOB_STATE_SUCCEEDED));
  EXPECT_TRUE(Reaches(second, v1::JOB_STATE_SUCCEEDED));
  EXPECT_TRUE(HasStarted(2));
  EXPECT_TRUE(SlotIsEmpty());
  EXPECT_EQ(Slot().crashes, 0);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/logs/worker-local-1.log"));
}

TEST_F(SupervisorTest, JobsOfOtherDevicesStartNothing) {
  Start();
  Submit("publish", "cuda:0");
  const std::string ours = Submit("publish", "cpu");
  EXPECT_TRUE(Reaches(ours, v1::JOB_STATE_SUCCEEDED));
  EXPECT_TRUE(HasStarted(1));
  EXPECT_TRUE(SlotIsEmpty());
  EXPECT_EQ(Slot().started, 1);
  EXPECT_EQ(store_->Stats()->depth, 1);
}

TEST_F(SupervisorTest, SlotsWorkBesideEachOther) {
  options_.workers = 2;
  Start();
  const std::string a = Submit("wait");
  const std::string b = Submit("wait");
  EXPECT_TRUE(Reaches(a, v1::JOB_STATE_RUNNING));
  EXPECT_TRUE(Reaches(b, v1::JOB_STATE_RUNNING));
  EXPECT_NE(Get(a).worker(), Get(b).worker());
  EXPECT_TRUE(Eventually([&] { return Slot(0).started == 1 && Slot(1).started == 1; }));
}

// What follows `flag` on the command line of a process.
std::string ArgumentOf(pid_t pid, const std::string& flag) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/cmdline"));
  std::string argument;
  while (std::getline(file, argument, '\0') && argument != flag) continue;
  std::getline(file, argument, '\0');
  return argument;
}

TEST_F(SupervisorTest, WorkersShareTheCoresEqually) {
  const std::vector<int> cores = OtherCores({});
  const auto threads_of_a_worker = [&] {
    Start();
    const std::string id = Submit("wait");
    EXPECT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
    pid_t pid = 0;
    EXPECT_TRUE(Eventually([&] {
      for (const SlotInfo& slot : supervisor_->Slots()) pid = std::max(pid, slot.pid);
      return pid != 0;
    }));
    const std::string threads = ArgumentOf(pid, "--threads");
    supervisor_.reset();
    EXPECT_TRUE(store_->Cancel(id).ok());
    return threads;
  };
  options_.workers = 2;
  EXPECT_EQ(threads_of_a_worker(), absl::StrCat(std::max<size_t>(1, cores.size() / 2)));
  options_.cores = {cores.front()};
  EXPECT_EQ(threads_of_a_worker(), "1");
}

TEST_F(SupervisorTest, WorkersGetTheirShareOfTheMachineAndOfTheDisk) {
  options_.cores = {OtherCores({}).back()};
  const std::string log = folder_ + "/logs/worker-local-1.log";
  std::filesystem::create_directories(folder_ + "/logs");
  std::ofstream(log) << std::string(500, 'x');
  Start();
  const std::string id = Submit("wait");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  const pid_t pid = RunningPid();
  EXPECT_EQ(getpriority(PRIO_PROCESS, pid), std::min(19, getpriority(PRIO_PROCESS, 0) + 10));
  EXPECT_EQ(sched_getscheduler(pid), SCHED_BATCH);
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(pid, sizeof(cores), &cores), 0);
  EXPECT_EQ(CPU_COUNT(&cores), 1);
  EXPECT_TRUE(CPU_ISSET(options_.cores[0], &cores));
  EXPECT_FALSE(std::filesystem::exists(log + ".1")) << "the log may be longer";
}

TEST_F(SupervisorTest, KilledWorkersJobIsTakenBackAndRunAgain) {
  Start();
  const std::string id = Submit("wait");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  const pid_t killed = RunningPid();
  ASSERT_GT(killed, 0);
  ASSERT_EQ(kill(killed, SIGKILL), 0);
  EXPECT_TRUE(Eventually([&] { return Get(id).attempt() == 2; }));
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  EXPECT_TRUE(Eventually([&] { return Slot().pid != 0 && Slot().pid != killed; }));
  EXPECT_EQ(Slot().crashes, 1);
}

TEST_F(SupervisorTest, JobThatCrashesItsWorkersFails) {
  Start();
  const std::string id = Submit("crash");
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_FAILED));
  EXPECT_THAT(Get(id).error(), HasSubstr("attempt 3 of 3: the worker local-1 stopped"));
  // It is the job's fault, not the worker's.
  const absl::Time last = store_->ListWorkers()->at(0).last_seen;
  EXPECT_TRUE(Eventually([&] { return store_->ListWorkers()->at(0).last_seen > last; }));
  // The next one is served all the same.
  EXPECT_TRUE(Reaches(Submit("publish"), v1::JOB_STATE_SUCCEEDED));
}

TEST_F(SupervisorTest, CheckpointsGoWithJobsThatEndWithoutTheirWorker) {
  const std::string cancelled = Submit("publish");
  ASSERT_TRUE(store_->Cancel(cancelled).ok());
  std::filesystem::create_directories(CheckpointFolder(options_.work_folder, cancelled));
  Start();
  EXPECT_TRUE(Eventually(
      [&] { return !std::filesystem::exists(CheckpointFolder(options_.work_folder, cancelled)); }));
  const std::string crashed = Submit("crash");
  ASSERT_TRUE(Reaches(crashed, v1::JOB_STATE_FAILED));
  EXPECT_TRUE(Eventually(
      [&] { return !std::filesystem::exists(CheckpointFolder(options_.work_folder, crashed)); }));
}

TEST_F(SupervisorTest, WorkersThatCannotStartAreStartedEverMoreSlowly) {
  options_.worker_program = "/bin/false";
  options_.first_backoff = absl::Milliseconds(20);
  options_.last_backoff = absl::Hours(1);
  Start();
  const absl::Time begin = absl::Now();
  const std::string id = Submit("publish");
  EXPECT_TRUE(Eventually([&] { return Slot().crashes >= 5; }));
  EXPECT_GE(absl::Now() - begin, absl::Milliseconds(20 + 40 + 80 + 160));
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0);
}

// The supervisor's time passes only when it is told to.
class PacedSupervisorTest : public SupervisorTest {
 protected:
  void SetUp() override {
    SupervisorTest::SetUp();
    store_ = *OpenJobStore(options_.database_url, &clock_);
    options_.first_backoff = absl::Seconds(1);
    options_.last_backoff = absl::Seconds(3);
  }
  void StartPaced() {
    supervisor_ = std::make_unique<WorkerSupervisor>(options_, store_.get(), &clock_);
    ASSERT_EQ(supervisor_->Start(), absl::OkStatus());
  }
  bool HasCrashed(int times) {
    return Eventually([&] { return Slot().pid == 0 && Slot().crashes == times; });
  }

  CountingClock clock_;
};

TEST_F(PacedSupervisorTest, WorkersThatCannotStartAreNotUp) {
  options_.worker_program = "/bin/false";
  options_.last_backoff = options_.first_backoff = absl::Hours(1);
  StartPaced();
  ASSERT_TRUE(Eventually([&] { return store_->ListWorkers()->size() == 1; }));
  const absl::Time before = store_->ListWorkers()->at(0).last_seen;
  clock_.AdvanceAndTick(options_.times.heartbeat);
  EXPECT_GT(store_->ListWorkers()->at(0).last_seen, before) << "it would work";
  Submit("publish");
  ASSERT_TRUE(HasCrashed(1));
  const absl::Time last = store_->ListWorkers()->at(0).last_seen;
  for (int i = 0; i < 3; ++i) clock_.AdvanceAndTick(options_.times.heartbeat);
  EXPECT_EQ(store_->ListWorkers()->at(0).last_seen, last);
}

// Takes no heartbeat.
class DeafJobStore : public ForwardingJobStore {
 public:
  using ForwardingJobStore::ForwardingJobStore;
  absl::Status Heartbeat(const std::string&, const std::string&, const std::string&) override {
    ++heartbeats;
    return absl::UnavailableError("no answer");
  }

  std::atomic<int> heartbeats{0};
};

TEST_F(PacedSupervisorTest, ADatabaseThatIsAwayIsWaitedForOnceABeat) {
  DeafJobStore deaf(store_.get());
  options_.workers = 3;
  WorkerSupervisor supervisor(options_, &deaf, &clock_);
  ASSERT_EQ(supervisor.Start(), absl::OkStatus());
  ASSERT_TRUE(Eventually([&] { return deaf.heartbeats > 0; }));
  clock_.AdvanceAndTick(options_.times.heartbeat);
  EXPECT_EQ(deaf.heartbeats.load(), 2);
}

TEST_F(PacedSupervisorTest, WhyAWorkerCannotWorkIsLoggedOnce) {
  options_.worker_program = folder_ + "/fails";
  std::ofstream(options_.worker_program)
      << "#!/bin/sh\necho \"[$(date +%s.%N)] [cytopress-worker] [error] no CUDA device\"\nexit 1\n";
  std::filesystem::permissions(options_.worker_program, std::filesystem::perms::owner_all);
  const CapturedLog log;
  StartPaced();
  Submit("publish");
  ASSERT_TRUE(HasCrashed(1));
  for (const int crashes : {2, 3}) {
    clock_.AdvanceAndTick(options_.last_backoff);
    ASSERT_TRUE(HasCrashed(crashes));
  }
  supervisor_.reset();
  const std::string line = "error: worker local-1: exit code 1: no CUDA device; its log is ";
  const std::string text = log.text();
  EXPECT_THAT(text, HasSubstr(line));
  EXPECT_EQ(text.find("no CUDA device"), text.rfind("no CUDA device")) << text;
}

TEST_F(SupervisorTest, TheLogSaysHowAJobEnded) {
  const CapturedLog log;
  Start();
  const std::string id = Submit("publish");
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_SUCCEEDED));
  EXPECT_TRUE(HasStarted(1));
  EXPECT_TRUE(SlotIsEmpty());
  supervisor_.reset();
  EXPECT_THAT(log.text(), HasSubstr("worker local-1: exit code 0: " + id + ": published@1"));
}

TEST_F(PacedSupervisorTest, AWorkerThatFailedAfterItsJobHadEndedIsUp) {
  // Never leases the job, and so has none in hand when it ends.
  options_.worker_program = folder_ + "/sleeps";
  std::ofstream(options_.worker_program) << "#!/bin/sh\nexec sleep 1000\n";
  std::filesystem::permissions(options_.worker_program, std::filesystem::perms::owner_all);
  options_.last_backoff = options_.first_backoff = absl::Hours(1);
  StartPaced();
  Submit("publish");
  ASSERT_TRUE(Eventually([&] { return Slot().pid != 0; }));
  clock_.Advance(options_.last_backoff + absl::Seconds(1));
  ASSERT_EQ(kill(Slot().pid, SIGKILL), 0);
  ASSERT_TRUE(HasCrashed(1));
  const absl::Time before = store_->ListWorkers()->at(0).last_seen;
  clock_.AdvanceAndTick(options_.times.heartbeat);
  EXPECT_GT(store_->ListWorkers()->at(0).last_seen, before);
}

TEST_F(PacedSupervisorTest, ThePauseAfterACrashDoublesUpToTheLongest) {
  options_.worker_program = "/bin/false";
  StartPaced();
  Submit("publish");
  int crashes = 1;
  for (const int seconds : {1, 2, 3, 3, 3}) {
    ASSERT_TRUE(HasCrashed(crashes));
    clock_.AdvanceAndTick(absl::Seconds(seconds) - absl::Milliseconds(1));
    EXPECT_EQ(Slot().started, crashes) << "not yet";
    clock_.AdvanceAndTick(absl::Milliseconds(1));
    EXPECT_EQ(Slot().started, ++crashes);
  }
}

TEST_F(PacedSupervisorTest, AWorkerThatRanLongBeginsWithTheShortestPauseAgain) {
  StartPaced();
  const std::string id = Submit("wait");
  int started = 0;
  const auto kill_worker = [&](absl::Duration ran) {
    ++started;
    ASSERT_TRUE(Eventually([&] { return Slot().started == started && Slot().pid != 0; }));
    ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
    clock_.Advance(ran);
    ASSERT_EQ(kill(Slot().pid, SIGKILL), 0);
  };
  kill_worker(absl::ZeroDuration());
  ASSERT_TRUE(HasCrashed(1));
  clock_.AdvanceAndTick(absl::Seconds(1));
  kill_worker(absl::ZeroDuration());
  ASSERT_TRUE(HasCrashed(2));
  clock_.AdvanceAndTick(absl::Seconds(2));
  kill_worker(options_.last_backoff + absl::Seconds(1));
  EXPECT_TRUE(HasCrashed(1));
}

TEST_F(SupervisorTest, CancelReachesTheProcess) {
  Start();
  const std::string id = Submit("wait");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  ASSERT_TRUE(store_->Cancel(id).ok());
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_CANCELLED));
  EXPECT_TRUE(SlotIsEmpty());
  EXPECT_EQ(Slot().crashes, 0);
}

TEST_F(SupervisorTest, StopGivesTheJobBackWithoutCost) {
  Start();
  const std::string id = Submit("wait");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  const pid_t pid = RunningPid();
  supervisor_->Stop();
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0);
  EXPECT_EQ(Slot().pid, 0);
  EXPECT_EQ(kill(pid, 0), -1);  // no such process
  supervisor_->Stop();
}

TEST_F(SupervisorTest, BeginStopGivesTheJobBackAsWell) {
  Start();
  const std::string id = Submit("wait");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  supervisor_->BeginStop();
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_QUEUED));
  EXPECT_TRUE(SlotIsEmpty());
  EXPECT_EQ(Slot().started, 1);
}

TEST_F(SupervisorTest, StopKillsAWorkerThatDoesNotListen) {
  options_.shutdown_grace = absl::Milliseconds(50);
  Start();
  const std::string id = Submit("stubborn");
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  supervisor_->Stop();
  EXPECT_EQ(Slot().pid, 0);
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(Get(id).attempt(), 0) << "the job is not to blame for the server's end";
}

TEST_F(SupervisorTest, DeadWorkerOfAnEarlierServerIsReapedAtTheStart) {
  const std::string id = Submit("publish");
  ASSERT_TRUE((*store_->AcquireLease("local-1", "cpu", absl::Hours(1))).has_value());
  Start();
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_SUCCEEDED));
  EXPECT_EQ(Get(id).attempt(), 2);
}

TEST_F(SupervisorTest, LivingWorkerOfAnEarlierServerIsWaitedFor) {
  const std::string id = Submit("publish");
  const Lease lease = (*store_->AcquireLease("local-1", "cpu", absl::Hours(1)))->lease;
  {
    const absl::StatusOr<ProcessLock> alive = ProcessLock::Take(options_.work_folder, "local-1");
    ASSERT_TRUE(alive.ok());
    options_.workers = 2;  // the second slot shows that the supervisor is at work
    Start();
    EXPECT_TRUE(Reaches(Submit("publish"), v1::JOB_STATE_SUCCEEDED));
    EXPECT_EQ(Get(id).state(), v1::JOB_STATE_LEASED);
    EXPECT_EQ(store_->Release(lease), absl::OkStatus());
  }
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_SUCCEEDED));
  EXPECT_EQ(Get(id).attempt(), 1);
}

TEST_F(SupervisorTest, WorkerEndsWithAKilledServer) {
  const std::string id = Submit("wait");
  store_.reset();  // SQLite's connections must not be carried across a fork
  const pid_t server = fork();
  if (server == 0) {
    std::unique_ptr<JobStore> store = *OpenJobStore(options_.database_url, RealClock());
    WorkerSupervisor supervisor(options_, store.get(), RealClock());
    if (!supervisor.Start().ok()) _exit(1);
    while (true) pause();
  }
  store_ = *OpenJobStore(options_.database_url, RealClock());
  ASSERT_TRUE(Reaches(id, v1::JOB_STATE_RUNNING));
  ASSERT_EQ(kill(server, SIGKILL), 0);
  ASSERT_EQ(waitpid(server, nullptr, 0), server);
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_QUEUED));
  EXPECT_EQ(Get(id).attempt(), 0);  // the orphan gave it back
}

TEST_F(SupervisorTest, ExpiredLeasesOfRemoteWorkersAreReaped) {
  const std::string id = Submit("publish", "cuda:0");
  ASSERT_TRUE((*store_->AcquireLease("remote", "cuda:0", absl::Milliseconds(1))).has_value());
  options_.workers = 0;
  options_.reap_interval = absl::Milliseconds(5);
  options_.times.lease = absl::Milliseconds(50);  // which workers have after the server's start
  Start();
  EXPECT_TRUE(Reaches(id, v1::JOB_STATE_QUEUED));
}

// Lets time pass when the supervisor looks at the queue, which is the last that it does in a tick.
class TimeMachine : public ForwardingJobStore {
 public:
  TimeMachine(JobStore* to, FakeClock* clock) : ForwardingJobStore(to), clock_(clock) {}
  absl::StatusOr<int64_t> QueuedFor(const std::string& device) override {
    {
      absl::MutexLock lock(&mutex_);
      clock_->Advance(std::exchange(jump_, absl::ZeroDuration()));
      ++looks_;
    }
    return ForwardingJobStore::QueuedFor(device);
  }
  // Returns when a whole tick has come after it.
  void Jump(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    jump_ = by;
    const int next = looks_ + 2;
    const auto reached = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return looks_ >= next; };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&reached), kPatience));
  }

 private:
  FakeClock* const clock_;
  absl::Mutex mutex_;
  absl::Duration jump_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  int looks_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST_F(SupervisorTest, ASuspendedMachineCostsNoWorkerItsLease) {
  FakeClock clock;
  store_ = *OpenJobStore(options_.database_url, &clock);
  TimeMachine time(store_.get(), &clock);
  const std::string id = Submit("publish", "cuda:0");
  const Lease lease = (*store_->AcquireLease("other", "cuda:0", options_.times.lease))->lease;
  supervisor_ = std::make_unique<WorkerSupervisor>(options_, &time, &clock);
  ASSERT_EQ(supervisor_->Start(), absl::OkStatus());
  time.Jump(absl::Hours(1));
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_LEASED);
  time.Jump(options_.times.lease / 3);
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_LEASED);
  EXPECT_TRUE(store_->RenewLease(lease, options_.times.lease).ok());
  // One who does not renew it loses it all the same.
  for (int i = 0; i < 4; ++i) time.Jump(options_.times.lease / 3);
  EXPECT_EQ(Get(id).state(), v1::JOB_STATE_QUEUED);
  supervisor_.reset();
}

TEST_F(SupervisorTest, RefusesWhatCannotWork) {
  options_.worker_program = folder_ + "/nothing";
  const absl::Status missing = WorkerSupervisor(options_, store_.get(), RealClock()).Start();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr("nothing"));
  options_.workers = -1;
  EXPECT_EQ(WorkerSupervisor(options_, store_.get(), RealClock()).Start().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cytopress
