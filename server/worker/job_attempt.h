// One attempt at a job while a worker holds its lease: keeps the lease, passes progress and ledger
// lines to the store, and knows when the work must stop.
#ifndef CYTOPRESS_SERVER_WORKER_JOB_ATTEMPT_H_
#define CYTOPRESS_SERVER_WORKER_JOB_ATTEMPT_H_

#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/problem_log.h"
#include "core/base/steady_notification.h"
#include "core/jobs/job_store.h"
#include "core/jobs/lease_times.h"

namespace cytopress {

struct AttemptOptions {
  std::string device = "cpu";
  LeaseTimes times;
  // How often the keeper looks for a cancel request and whether the lease is due.
  absl::Duration tick = absl::Seconds(1);
  // How long a write that must not be lost is tried again while the store is unavailable or full.
  absl::Duration patience = absl::Seconds(60);
  // How long work that was told to stop may go on before it counts as hanging.
  absl::Duration stop_patience = absl::Minutes(10);
  // Ends the process: nothing else ends work that hangs. Called by the keeper, once, after the job
  // was given up; the lease is not kept any more.
  std::function<void()> on_hang = [] {};
};

enum class StopReason {
  kNone,
  kCancel,     // a client asked
  kLostLease,  // another worker has the job, or will have
  kShutdown,   // the worker was told to end
};

// Thread-safe. A thread of its own keeps the lease from construction to Finish or destruction, and
// notices when the work hangs.
class JobAttempt {
 public:
  // All pointers must outlive the attempt.
  JobAttempt(const LeasedJob& leased, const AttemptOptions& options, JobStore* store, Clock* clock,
             const SteadyNotification* shutdown);
  ~JobAttempt();
  JobAttempt(const JobAttempt&) = delete;
  JobAttempt& operator=(const JobAttempt&) = delete;

  // For the pipeline. Progress that the store cannot take now is dropped; a ledger line is tried
  // until the store takes it or patience ends. ABORTED once the lease is lost.
  absl::Status OnProgress(const v1::Progress& progress);
  absl::Status OnLedger(const v1::LedgerEntry& entry);
  bool ShouldStop() const { return stop_reason() != StopReason::kNone; }

  StopReason stop_reason() const;

  // The work has returned. Writes the last progress, ends the keeper, and makes the ending `write`
  // (Succeed, Fail, ...), again and again while the store is unavailable or full.
  absl::Status Finish(const std::function<absl::Status(const Lease&)>& write);

  // LEASED -> RUNNING.
  absl::Status Start();

  const Lease& lease() const { return lease_; }

 private:
  void KeepLease();
  // One look. Moves `renewed_at` to `now` when it has renewed.
  void LookAfterLease(absl::Duration now, absl::Duration* renewed_at, ProblemLog* log);
  // Says of work that has hung since it was told to stop, `waited` ago, how it ended; then on_hang.
  void GiveUp(absl::Duration waited);
  bool HasReturned() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Renews, or only looks for a cancel request when the lease is not due yet.
  absl::StatusOr<bool> CancelRequested(bool renew);
  void Stop(StopReason reason) ABSL_LOCKS_EXCLUDED(mutex_);
  void EndKeeper();
  // Notes when `status` says that the lease is gone.
  absl::Status Noted(absl::Status status);
  absl::Status WithPatience(const std::function<absl::Status()>& write);
  // True when `progress` is due; then it counts as written.
  bool IsDue(const v1::Progress& progress) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FlushProgress() ABSL_LOCKS_EXCLUDED(mutex_);

  const Lease lease_;
  const AttemptOptions options_;
  JobStore* const store_;
  Clock* const clock_;
  const SteadyNotification* const shutdown_;
  const absl::Duration leased_at_;  // steady time
  SteadyNotification ended_;

  mutable absl::Mutex mutex_;
  StopReason reason_ ABSL_GUARDED_BY(mutex_) = StopReason::kNone;
  bool returned_ ABSL_GUARDED_BY(mutex_) = false;
  v1::Progress latest_ ABSL_GUARDED_BY(mutex_);
  bool unwritten_ ABSL_GUARDED_BY(mutex_) = false;
  bool written_once_ ABSL_GUARDED_BY(mutex_) = false;
  v1::Progress written_ ABSL_GUARDED_BY(mutex_);
  absl::Duration written_at_ ABSL_GUARDED_BY(mutex_);

  std::thread keeper_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_JOB_ATTEMPT_H_
