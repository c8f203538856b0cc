// What a worker does all day: lease a job, run it, say how it ended. Knows nothing of LibTorch:
// what running a job means is given to it.
#ifndef CYTOPRESS_SERVER_WORKER_WORKER_LOOP_H_
#define CYTOPRESS_SERVER_WORKER_WORKER_LOOP_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/problem_log.h"
#include "core/base/steady_notification.h"
#include "core/jobs/job_store.h"
#include "server/worker/job_attempt.h"

namespace cytopress {

struct WorkerOptions {
  std::string name;         // unique among the workers of one database
  std::string work_folder;  // checkpoints of a job are in <work_folder>/<job id>
  bool once = false;        // end after one job, or when there is none
  // Asked before each look at the queue: while a job could not be done here, it is left to others.
  std::function<absl::Status()> check = [] { return absl::OkStatus(); };
  // Asked after each attempt that failed: an error means that only another process can compute on
  // the device again.
  std::function<absl::Status()> check_device = [] { return absl::OkStatus(); };
  AttemptOptions attempt;
};

struct JobTask {
  std::string job_id;
  v1::JobSpec spec;
  int attempt = 1;
  std::string work_folder;
};

struct JobOutcome {
  std::string model;         // "name@version"
  std::string parent_model;  // may be empty
};

// Works on `task` until it is done or `attempt` says stop; then CANCELLED.
using RunJob = std::function<absl::StatusOr<JobOutcome>(const JobTask& task, JobAttempt* attempt)>;

// Used by one thread.
class WorkerLoop {
 public:
  // `store`, `clock` and `shutdown` must outlive the loop.
  WorkerLoop(const WorkerOptions& options, RunJob run_job, JobStore* store, Clock* clock,
             const SteadyNotification* shutdown);

  // Until `shutdown` is notified or, with `once`, after one job. A job that fails is no error of
  // the loop; OK means that the worker ended as it should. With `once` an unreachable store, or
  // what options.check answers, is an error, otherwise the loop waits. A device that is lost ends
  // the loop with the error of options.check_device.
  absl::Status Run();

 private:
  // True when a job was run.
  absl::StatusOr<bool> RunNext();
  void RunLeased(const LeasedJob& leased);
  // A folder that vanishes while the job runs is an error that may pass.
  absl::StatusOr<JobOutcome> RunInItsFolder(const LeasedJob& leased, JobAttempt* attempt);
  void Conclude(const absl::StatusOr<JobOutcome>& outcome, JobAttempt* attempt);

  const WorkerOptions options_;
  const RunJob run_job_;
  JobStore* const store_;
  Clock* const clock_;
  const SteadyNotification* const shutdown_;
  absl::Duration next_beat_ = -absl::InfiniteDuration();  // steady time
  absl::Status device_;                                   // of options_.check_device
  ProblemLog lease_log_{"no lease"};
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_WORKER_LOOP_H_
