#include "server/worker/worker_loop.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"
#include "server/worker/checkpoint_folders.h"

namespace cytopress {
namespace {

namespace fs = std::filesystem;

}  // namespace

WorkerLoop::WorkerLoop(const WorkerOptions& options, RunJob run_job, JobStore* store, Clock* clock,
                       const SteadyNotification* shutdown)
    : options_(options),
      run_job_(std::move(run_job)),
      store_(store),
      clock_(clock),
      shutdown_(shutdown) {}

absl::Status WorkerLoop::Run() {
  absl::Duration next_cleaning = clock_->Steady();
  while (!shutdown_->HasBeenNotified()) {
    if (const absl::Duration now = clock_->Steady(); now >= next_cleaning) {
      RemoveLeftovers(options_.work_folder, store_);
      next_cleaning = now + kCleaningInterval;
    }
    const absl::StatusOr<bool> ran = RunNext();
    if (options_.once || !device_.ok()) return ran.status();
    if (lease_log_.Failed(ran.status()) || !*ran) {
      shutdown_->WaitFor(options_.attempt.times.poll);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> WorkerLoop::RunNext() {
  // Each is a write that must reach the disk; the look at the queue is not, while it is empty.
  if (const absl::Duration now = clock_->Steady(); now >= next_beat_) {
    CYTOPRESS_RETURN_IF_ERROR(store_->Heartbeat(options_.name, options_.attempt.device, ""));
    next_beat_ = now + options_.attempt.times.heartbeat;
  }
  CYTOPRESS_RETURN_IF_ERROR(options_.check());
  CYTOPRESS_ASSIGN_OR_RETURN(
      const std::optional<LeasedJob> leased,
      store_->AcquireLease(options_.name, options_.attempt.device, options_.attempt.times.lease));
  if (!leased.has_value()) return false;
  RunLeased(*leased);
  next_beat_ = -absl::InfiniteDuration();  // say at once that it is done
  // The next job would fail by it, and those after that one.
  CYTOPRESS_RETURN_IF_ERROR(device_);
  return true;
}

void WorkerLoop::RunLeased(const LeasedJob& leased) {
  const std::string& job_id = leased.lease.job_id;
  spdlog::info("{}: attempt {} of {}", job_id, leased.job.attempt(), leased.job.max_attempts());
  const absl::Status beat =
      store_->Heartbeat(options_.name, options_.attempt.device, leased.lease.job_id);
  if (!beat.ok()) spdlog::warn("heartbeat: {}", beat.ToString());
  JobAttempt attempt(leased, options_.attempt, store_, clock_, shutdown_);
  absl::Status started = attempt.Start();
  if (!started.ok()) {
    return Conclude(std::move(started), &attempt);
  }
  const absl::StatusOr<JobOutcome> outcome = RunInItsFolder(leased, &attempt);
  // The attempt counts even where the device is lost, as where a worker crashes: the job may be to
  // blame, and would otherwise cost one worker after the other.
  Conclude(outcome, &attempt);
  if (!outcome.ok()) device_ = options_.check_device();
}

absl::StatusOr<JobOutcome> WorkerLoop::RunInItsFolder(const LeasedJob& leased,
                                                      JobAttempt* attempt) {
  const std::string& job_id = leased.lease.job_id;
  const JobTask task{job_id, leased.job.spec(), leased.job.attempt(),
                     CheckpointFolder(options_.work_folder, job_id)};
  absl::Status made = MakeDirectories(task.work_folder);
  absl::StatusOr<JobOutcome> outcome = made.ok() ? run_job_(task, attempt) : std::move(made);
  // Neither the specification nor the data are to blame for a file that is missing with its folder.
  std::error_code error;
  if (!absl::IsNotFound(outcome.status()) || fs::is_directory(task.work_folder, error)) {
    return outcome;
  }
  return absl::UnavailableError(absl::StrCat("the folder of checkpoints ", task.work_folder,
                                             " is gone: ", outcome.status().ToString()));
}

void WorkerLoop::Conclude(const absl::StatusOr<JobOutcome>& outcome, JobAttempt* attempt) {
  const std::string& job_id = attempt->lease().job_id;
  const StopReason reason = attempt->stop_reason();
  if (reason == StopReason::kLostLease) {
    // Its checkpoints stay: whoever has the job now may be using them.
    spdlog::warn("{}: dropped, the lease is lost", job_id);
    return;
  }
  const absl::Status said = attempt->Finish([&](const Lease& lease) {
    if (outcome.ok()) return store_->Succeed(lease, outcome->model, outcome->parent_model);
    if (absl::IsCancelled(outcome.status()) && reason == StopReason::kCancel) {
      return store_->AcknowledgeCancel(lease);
    }
    if (absl::IsCancelled(outcome.status()) && reason == StopReason::kShutdown) {
      return store_->Release(lease);
    }
    return store_->Fail(lease, outcome.status().ToString(), IsRetryable(outcome.status()));
  });
  spdlog::info("{}: {}", job_id, outcome.ok() ? outcome->model : outcome.status().ToString());
  if (!said.ok()) spdlog::error("{}: its end is not stored: {}", job_id, said.ToString());
  RemoveIfEnded(options_.work_folder, job_id, store_).IgnoreError();  // later, then
}

}  // namespace cytopress
