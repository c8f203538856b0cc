// The durable job queue. docs/job-states.md specifies the states, their transitions and the lease.
#ifndef CYTOPRESS_CORE_JOBS_JOB_STORE_H_
#define CYTOPRESS_CORE_JOBS_JOB_STORE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// The right to work on a job until it expires. Every write of a worker carries it; the store
// answers ABORTED once another worker holds the job or the lease was reaped (fencing), and the
// worker must drop its work.
struct Lease {
  std::string job_id;
  std::string worker;
  int64_t fence = 0;  // grows with every lease of the job
};

struct LeasedJob {
  Lease lease;
  v1::Job job;
};

struct ListJobsQuery {
  std::vector<v1::JobState> states;  // empty = all
  std::string model_name;            // empty = all
  std::string request_id;            // empty = all; else there is one at most
  int page_size = 50;                // REQUIRES: at least 1
  // Of a page with more than one job.
  int64_t max_page_bytes = std::numeric_limits<int64_t>::max();
  std::string page_token;
};

struct ListJobsPage {
  std::vector<v1::Job> jobs;  // newest first
  std::string next_page_token;
};

struct WorkerInfo {
  std::string name;
  std::string device;
  std::string job_id;  // empty when idle
  absl::Time last_seen;
};

struct QueueStats {
  std::map<v1::JobState, int64_t> jobs_by_state;
  int64_t depth = 0;                                 // queued
  absl::Duration oldest_age = absl::ZeroDuration();  // of the oldest queued job
};

// The registry in which the jobs of a database publish their models.
struct RegistryNote {
  std::string id;     // ModelRegistry::Identity
  std::string place;  // for people: where it was found first
};

// Thread-safe. Every call is one transaction that is durable when it returns OK. UNAVAILABLE when
// the database cannot be reached or stays locked.
class JobStore {
 public:
  virtual ~JobStore() = default;

  // For clients. Jobs come with Job::waiting_reason.
  // ALREADY_EXISTS when `request_id` (may be empty) was used with another spec.
  virtual absl::StatusOr<v1::Job> Submit(const v1::JobSpec& spec,
                                         const std::string& request_id) = 0;
  virtual absl::StatusOr<v1::Job> Get(const std::string& id) = 0;
  // Leaves out jobs whose row is damaged, of which Get is DATA_LOSS.
  virtual absl::StatusOr<ListJobsPage> List(const ListJobsQuery& query) = 0;
  // Queued: CANCELLED at once. Leased or running: sets cancel_requested. FAILED_PRECONDITION for a
  // job that has succeeded or failed.
  virtual absl::StatusOr<v1::Job> Cancel(const std::string& id) = 0;
  // Grows with every change of the job; for watching.
  virtual absl::StatusOr<int64_t> Revision(const std::string& id) = 0;

  // For workers. Start, AppendLedger and Succeed may be said twice: a worker that got no answer
  // does not know whether it was heard.

  // Leases the oldest queued job whose device fits ("" fits any worker, else it must be equal);
  // QUEUED -> LEASED, attempt + 1. nullopt when there is none. A job whose row is damaged fails
  // instead, and the next one is taken.
  virtual absl::StatusOr<std::optional<LeasedJob>> AcquireLease(const std::string& worker,
                                                                const std::string& device,
                                                                absl::Duration duration) = 0;
  // Extends the lease; true when the job should stop because a cancel was requested.
  virtual absl::StatusOr<bool> RenewLease(const Lease& lease, absl::Duration duration) = 0;
  // LEASED -> RUNNING.
  virtual absl::Status Start(const Lease& lease) = 0;
  virtual absl::Status ReportProgress(const Lease& lease, const v1::Progress& progress) = 0;
  virtual absl::Status AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) = 0;
  // RUNNING -> SUCCEEDED. `model` and `parent_model` ("name@version"; parent may be empty).
  virtual absl::Status Succeed(const Lease& lease, const std::string& model,
                               const std::string& parent_model) = 0;
  // -> FAILED, or back to QUEUED when `retryable` and attempts are left; then nobody gets the job
  // before JobStoreOptions::pause_after_failure has passed.
  virtual absl::Status Fail(const Lease& lease, const std::string& error, bool retryable) = 0;
  // -> CANCELLED.
  virtual absl::Status AcknowledgeCancel(const Lease& lease) = 0;
  // -> QUEUED without costing the attempt: the worker was asked to shut down.
  virtual absl::Status Release(const Lease& lease) = 0;

  // Expired leases: back to QUEUED, or FAILED when no attempts are left, or CANCELLED when a cancel
  // was requested, or FAILED when its row is damaged. Returns the ids.
  virtual absl::StatusOr<std::vector<std::string>> ReapExpired() = 0;
  // The same for all leases of one worker, whose process is known to be dead.
  virtual absl::StatusOr<std::vector<std::string>> ReapWorker(const std::string& worker) = 0;
  // The same, without costing the attempts: it was ended on purpose.
  virtual absl::StatusOr<std::vector<std::string>> ReleaseWorker(const std::string& worker) = 0;

  // How many jobs are queued that AcquireLease would give to a worker with that device. Cheap,
  // however many jobs there have been.
  virtual absl::StatusOr<int64_t> QueuedFor(const std::string& device) = 0;

  // What the first caller with an id has noted, for ever; before that, an empty one.
  virtual absl::StatusOr<RegistryNote> NoteRegistry(const RegistryNote& mine) = 0;

  // For monitoring.
  virtual absl::Status Heartbeat(const std::string& worker, const std::string& device,
                                 const std::string& job_id) = 0;
  virtual absl::StatusOr<std::vector<WorkerInfo>> ListWorkers() = 0;
  virtual absl::StatusOr<QueueStats> Stats() = 0;
  // Ledger lines of all jobs after the `after`-th, oldest first, with their numbers; at most 1000 a
  // call, so ask again from the last number until there is none. Damaged lines are left out. For
  // metrics.
  virtual absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> LedgerSince(
      int64_t after) = 0;
  // The number of the ledger's last line, damaged or not; 0 without any. Cheap, however long it is.
  virtual absl::StatusOr<int64_t> LastLedgerLine() = 0;
};

struct JobStoreOptions {
  int max_attempts = 3;
  // Before the second attempt at a job that failed by what may pass; twice that before the third,
  // and so on. A full disk or a lack of memory would meet the next attempt at once.
  absl::Duration pause_after_failure = absl::Seconds(10);
  // Whoever only takes jobs from it would wait for ever at a database that a wrong URL made.
  bool create = true;
};

// `url` is "sqlite:///path/to/file.db" (WAL) or "postgresql://host/database". `clock` must outlive
// the store. NOT_FOUND when there is no such database and it is not to be created.
absl::StatusOr<std::unique_ptr<JobStore>> OpenJobStore(const std::string& url, Clock* clock,
                                                       const JobStoreOptions& options = {});

// The path in "sqlite:///path/to/file.db"; nullopt of a URL that begins otherwise.
std::optional<std::string> DatabaseFile(absl::string_view url);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_JOB_STORE_H_
