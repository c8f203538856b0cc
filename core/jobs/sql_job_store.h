// The job store on an SQL database, through SOCI.
//
// A store owns a few connections. Reads run beside each other and beside a write; the writes of one
// process take turns at a mutex, which is fairer than to let them meet at the database's own lock,
// where only processes meet. No exception leaves this class.
// Thread-safe.
#ifndef CYTOPRESS_CORE_JOBS_SQL_JOB_STORE_H_
#define CYTOPRESS_CORE_JOBS_SQL_JOB_STORE_H_

#include <soci/soci.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "core/jobs/job_store.h"
#include "core/jobs/sql_dialect.h"
#include "core/jobs/sql_rows.h"

namespace cytopress {

class SqlJobStore : public JobStore {
 public:
  static absl::StatusOr<std::unique_ptr<JobStore>> Open(std::unique_ptr<SqlDialect> dialect,
                                                        Clock* clock,
                                                        const JobStoreOptions& options);

  absl::StatusOr<v1::Job> Submit(const v1::JobSpec& spec, const std::string& request_id) override;
  absl::StatusOr<v1::Job> Get(const std::string& id) override;
  absl::StatusOr<ListJobsPage> List(const ListJobsQuery& query) override;
  absl::StatusOr<v1::Job> Cancel(const std::string& id) override;
  absl::StatusOr<int64_t> Revision(const std::string& id) override;

  absl::StatusOr<std::optional<LeasedJob>> AcquireLease(const std::string& worker,
                                                        const std::string& device,
                                                        absl::Duration duration) override;
  absl::StatusOr<bool> RenewLease(const Lease& lease, absl::Duration duration) override;
  absl::Status Start(const Lease& lease) override;
  absl::Status ReportProgress(const Lease& lease, const v1::Progress& progress) override;
  absl::Status AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) override;
  absl::Status Succeed(const Lease& lease, const std::string& model,
                       const std::string& parent_model) override;
  absl::Status Fail(const Lease& lease, const std::string& error, bool retryable) override;
  absl::Status AcknowledgeCancel(const Lease& lease) override;
  absl::Status Release(const Lease& lease) override;

  absl::StatusOr<std::vector<std::string>> ReapExpired() override;
  absl::StatusOr<std::vector<std::string>> ReapWorker(const std::string& worker) override;
  absl::StatusOr<std::vector<std::string>> ReleaseWorker(const std::string& worker) override;

  absl::StatusOr<int64_t> QueuedFor(const std::string& device) override;

  absl::StatusOr<RegistryNote> NoteRegistry(const RegistryNote& mine) override;

  absl::Status Heartbeat(const std::string& worker, const std::string& device,
                         const std::string& job_id) override;
  absl::StatusOr<std::vector<WorkerInfo>> ListWorkers() override;
  absl::StatusOr<QueueStats> Stats() override;
  absl::StatusOr<std::vector<std::pair<int64_t, v1::LedgerEntry>>> LedgerSince(
      int64_t after) override;
  absl::StatusOr<int64_t> LastLedgerLine() override;

 private:
  using Body = absl::FunctionRef<absl::Status(soci::session&)>;
  using Begin = void (SqlDialect::*)(soci::session&) const;
  using Change = absl::FunctionRef<absl::Status(soci::session&, JobRow*)>;

  SqlJobStore(std::unique_ptr<SqlDialect> dialect, Clock* clock, const JobStoreOptions& options);

  // Run `body` in one transaction: committed when it returns OK, rolled back otherwise.
  absl::Status Read(Body body);
  absl::Status Write(Body body) ABSL_LOCKS_EXCLUDED(write_mutex_);
  absl::Status InTransaction(Begin begin, Body body);
  // Connects a session anew that has lost its connection.
  void BeginOn(soci::session& sql, Begin begin) const;

  static std::vector<WorkerInfo> LoadWorkers(soci::session& sql);
  // ABORTED when `lease` is no longer the job's.
  absl::StatusOr<JobRow> LoadLeased(soci::session& sql, const Lease& lease) const;
  // Loads the job of `lease`, changes and saves it.
  absl::Status ChangeLeased(const Lease& lease, Change change);
  // Gives the queued job `id` to `worker`.
  absl::StatusOr<LeasedJob> LeaseJob(soci::session& sql, const std::string& id,
                                     const std::string& worker, absl::Duration duration) const;
  using TakeBack = absl::Status (SqlJobStore::*)(JobRow* row) const;

  // Takes the jobs of `worker` ("": of any) for which `condition` holds back from it.
  absl::StatusOr<std::vector<std::string>> Reap(const std::string& condition,
                                                const std::string& worker, TakeBack take_back);
  absl::Status ReapJob(soci::session& sql, const std::string& id, TakeBack take_back) const;
  // Of a job whose attempts so far have failed.
  absl::Duration PauseAfter(int attempts) const;
  // A condition in SQL: the job's pause, if it had one, is over at `now`.
  std::string PauseIsOver(absl::Time now) const;
  // Keeps a row that is damaged in the way of `why` from standing in that of others.
  void FailDamaged(soci::session& sql, const std::string& id, const absl::Status& why) const;

  // Checks that the move is legal, and makes it.
  absl::Status Move(JobRow* row, v1::JobState to) const;
  // Its attempt failed with `error`.
  absl::Status Requeue(JobRow* row, const std::string& error) const;
  // Its worker is lost.
  absl::Status RequeueLost(JobRow* row) const;
  // Its worker was told to end; the attempt does not count.
  absl::Status GiveBack(JobRow* row) const;

  const std::unique_ptr<SqlDialect> dialect_;
  Clock* const clock_;
  const JobStoreOptions options_;
  soci::connection_pool pool_;
  absl::Mutex write_mutex_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_SQL_JOB_STORE_H_
