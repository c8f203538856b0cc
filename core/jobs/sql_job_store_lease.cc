// What workers ask of the store: leases, progress, endings.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"
#include "core/jobs/sql_job_store.h"

namespace cytopress {
namespace {

constexpr size_t kMaxErrorBytes = 4096;
constexpr absl::Duration kForgetWorkersAfter = absl::Hours(24);

// Bounded, and valid UTF-8 whatever a library or a file name put into it: a Protobuf string field
// carries it to clients.
std::string PresentableError(const std::string& error) {
  using nlohmann::json;
  const json text = error.substr(0, kMaxErrorBytes);
  return json::parse(text.dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
}

absl::Status LostLease(const Lease& lease, const JobRow& row) {
  return absl::AbortedError(
      absl::StrCat("worker ", lease.worker, " has lost its lease of ", lease.job_id,
                   ", which is now ", StateName(row.job.state()),
                   row.job.worker().empty() ? "" : " and was last held by ", row.job.worker()));
}

absl::Status NotRunning(const JobRow& row, absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat(row.job.id(), " is ", StateName(row.job.state()), "; ", what));
}

}  // namespace

absl::Status SqlJobStore::Move(JobRow* row, v1::JobState to) const {
  const v1::JobState from = row->job.state();
  const bool has_ended = from == v1::JOB_STATE_SUCCEEDED || from == v1::JOB_STATE_FAILED;
  if (!IsLegalTransition(from, to)) {
    return absl::FailedPreconditionError(absl::StrCat(row->job.id(), has_ended ? " has " : " is ",
                                                      StateName(from), has_ended ? " already" : "",
                                                      " and cannot become ", StateName(to)));
  }
  row->job.set_state(to);
  if (IsTerminal(to)) *row->job.mutable_finished() = ToTimestamp(clock_->Now());
  if (!IsHeld(to)) row->lease_expires_us = 0;
  return absl::OkStatus();
}

absl::Status SqlJobStore::Requeue(JobRow* row, const std::string& error) const {
  if (row->job.cancel_requested()) return Move(row, v1::JOB_STATE_CANCELLED);
  row->job.set_error(PresentableError(error));
  const bool attempts_left = row->job.attempt() < row->job.max_attempts();
  return Move(row, attempts_left ? v1::JOB_STATE_QUEUED : v1::JOB_STATE_FAILED);
}

absl::Status SqlJobStore::RequeueLost(JobRow* row) const {
  const v1::Job& job = row->job;
  return Requeue(row, absl::StrCat("attempt ", job.attempt(), " of ", job.max_attempts(),
                                   ": the worker ", job.worker(), " stopped without a word"));
}

absl::Status SqlJobStore::GiveBack(JobRow* row) const {
  const bool cancel = IsHeld(row->job.state()) && row->job.cancel_requested();
  CYTOPRESS_RETURN_IF_ERROR(Move(row, cancel ? v1::JOB_STATE_CANCELLED : v1::JOB_STATE_QUEUED));
  row->job.set_attempt(row->job.attempt() - 1);
  return absl::OkStatus();
}

absl::StatusOr<JobRow> SqlJobStore::LoadLeased(soci::session& sql, const Lease& lease) const {
  CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadJob(sql, lease.job_id));
  if (row.fence != lease.fence || row.job.worker() != lease.worker) return LostLease(lease, row);
  return row;
}

absl::Status SqlJobStore::ChangeLeased(const Lease& lease, Change change) {
  return Write([&](soci::session& sql) -> absl::Status {
    CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadLeased(sql, lease));
    CYTOPRESS_RETURN_IF_ERROR(change(sql, &row));
    return SaveJob(sql, &row);
  });
}

void SqlJobStore::FailDamaged(soci::session& sql, const std::string& id,
                              const absl::Status& why) const {
  const std::string error = PresentableError(std::string(why.message()));
  spdlog::error("{} fails: {}", id, error);
  FailDamagedJob(sql, id, error, clock_->Now());
}

absl::StatusOr<LeasedJob> SqlJobStore::LeaseJob(soci::session& sql, const std::string& id,
                                                const std::string& worker,
                                                absl::Duration duration) const {
  CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadJob(sql, id));
  CYTOPRESS_RETURN_IF_ERROR(LoadLedger(sql, &row.job));
  CYTOPRESS_RETURN_IF_ERROR(Move(&row, v1::JOB_STATE_LEASED));
  row.job.set_worker(worker);
  row.job.set_attempt(row.job.attempt() + 1);
  row.lease_expires_us = ToMicros(clock_->Now() + duration);
  ++row.fence;
  CYTOPRESS_RETURN_IF_ERROR(SaveJob(sql, &row));
  return LeasedJob{Lease{id, worker, row.fence}, std::move(row.job)};
}

absl::Duration SqlJobStore::PauseAfter(int attempts) const {
  return options_.pause_after_failure * std::min(attempts, options_.max_attempts);
}

std::string SqlJobStore::PauseIsOver(absl::Time now) const {
  // What ends later than any pause can was written before the clock was set back.
  const absl::Time latest = now + PauseAfter(options_.max_attempts);
  return absl::StrCat("(not_before_us <= ", ToMicros(now), " OR not_before_us > ", ToMicros(latest),
                      ")");
}

absl::StatusOr<std::optional<LeasedJob>> SqlJobStore::AcquireLease(const std::string& worker,
                                                                   const std::string& device,
                                                                   absl::Duration duration) {
  std::optional<LeasedJob> leased;
  const std::string may_begin = PauseIsOver(clock_->Now());
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    while (true) {
      std::string id;
      const int queued = v1::JOB_STATE_QUEUED;
      sql << "SELECT id FROM jobs WHERE state = :state AND (device = '' OR device = :device) AND "
          << may_begin << " ORDER BY number LIMIT 1",
          soci::use(queued), soci::use(device), soci::into(id);
      if (id.empty()) return absl::OkStatus();
      absl::StatusOr<LeasedJob> job = LeaseJob(sql, id, worker, duration);
      if (job.ok()) {
        leased = *std::move(job);
        return absl::OkStatus();
      }
      if (!absl::IsDataLoss(job.status())) return job.status();
      FailDamaged(sql, id, job.status());
    }
  }));
  return leased;
}

absl::StatusOr<bool> SqlJobStore::RenewLease(const Lease& lease, absl::Duration duration) {
  bool stop = false;
  const int64_t expires_us = ToMicros(clock_->Now() + duration);
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    CYTOPRESS_ASSIGN_OR_RETURN(const JobRow row, LoadLeased(sql, lease));
    if (!IsHeld(row.job.state())) return NotRunning(row, "there is no lease to renew");
    stop = row.job.cancel_requested();
    // Not a change that anyone watches for, so the revision stays.
    sql << "UPDATE jobs SET lease_expires_us = :expires WHERE number = :number",
        soci::use(expires_us), soci::use(row.number);
    return absl::OkStatus();
  }));
  return stop;
}

absl::Status SqlJobStore::Start(const Lease& lease) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) -> absl::Status {
    if (row->job.state() == v1::JOB_STATE_RUNNING) return absl::OkStatus();  // said before
    CYTOPRESS_RETURN_IF_ERROR(Move(row, v1::JOB_STATE_RUNNING));
    row->job.clear_error();  // of the attempt before
    if (!row->job.has_started()) *row->job.mutable_started() = ToTimestamp(clock_->Now());
    return absl::OkStatus();
  });
}

absl::Status SqlJobStore::ReportProgress(const Lease& lease, const v1::Progress& progress) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) -> absl::Status {
    if (row->job.state() != v1::JOB_STATE_RUNNING) {
      return NotRunning(*row, "only a running job has progress");
    }
    *row->job.mutable_progress() = progress;
    return absl::OkStatus();
  });
}

absl::Status SqlJobStore::AppendLedger(const Lease& lease, const v1::LedgerEntry& entry) {
  return ChangeLeased(lease, [&](soci::session& sql, JobRow* row) -> absl::Status {
    if (row->job.state() != v1::JOB_STATE_RUNNING) {
      return NotRunning(*row, "only a running job's ledger grows");
    }
    v1::LedgerEntry line = entry;
    line.set_attempt(row->job.attempt());
    return AddLedgerEntry(sql, row->job.id(), line);
  });
}

absl::Status SqlJobStore::Succeed(const Lease& lease, const std::string& model,
                                  const std::string& parent_model) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) -> absl::Status {
    if (row->job.state() == v1::JOB_STATE_SUCCEEDED && row->job.model() == model) {
      return absl::OkStatus();  // said before
    }
    row->job.set_model(model);
    row->job.set_parent_model(parent_model);
    return Move(row, v1::JOB_STATE_SUCCEEDED);
  });
}

absl::Status SqlJobStore::Fail(const Lease& lease, const std::string& error, bool retryable) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) -> absl::Status {
    if (retryable) {
      row->not_before_us = ToMicros(clock_->Now() + PauseAfter(row->job.attempt()));
      return Requeue(row, error);
    }
    row->job.set_error(PresentableError(error));
    return Move(row, v1::JOB_STATE_FAILED);
  });
}

absl::Status SqlJobStore::AcknowledgeCancel(const Lease& lease) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) -> absl::Status {
    if (!row->job.cancel_requested()) return NotRunning(*row, "nobody asked to cancel it");
    return Move(row, v1::JOB_STATE_CANCELLED);
  });
}

absl::Status SqlJobStore::Release(const Lease& lease) {
  return ChangeLeased(lease, [&](soci::session&, JobRow* row) { return GiveBack(row); });
}

absl::StatusOr<std::vector<std::string>> SqlJobStore::Reap(const std::string& condition,
                                                           const std::string& worker,
                                                           TakeBack take_back) {
  std::vector<std::string> ids;
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    {
      soci::rowset<std::string> rows =
          (sql.prepare << "SELECT id FROM jobs WHERE state IN (" << v1::JOB_STATE_LEASED << ", "
                       << v1::JOB_STATE_RUNNING << ") AND (:worker = '' OR worker = :name) AND "
                       << condition << " ORDER BY number",
           soci::use(worker), soci::use(worker));
      ids.assign(rows.begin(), rows.end());
    }
    for (const std::string& id : ids) {
      const absl::Status reaped = ReapJob(sql, id, take_back);
      if (absl::IsDataLoss(reaped)) {
        FailDamaged(sql, id, reaped);
      } else {
        CYTOPRESS_RETURN_IF_ERROR(reaped);
      }
    }
    return absl::OkStatus();
  }));
  return ids;
}

absl::Status SqlJobStore::ReapJob(soci::session& sql, const std::string& id,
                                  TakeBack take_back) const {
  CYTOPRESS_ASSIGN_OR_RETURN(JobRow row, LoadJob(sql, id));
  CYTOPRESS_RETURN_IF_ERROR((this->*take_back)(&row));
  ++row.fence;  // the lost worker may still be alive: its writes must not pass
  return SaveJob(sql, &row);
}

absl::StatusOr<std::vector<std::string>> SqlJobStore::ReapExpired() {
  const absl::Time now = clock_->Now();
  const int64_t forgotten_us = ToMicros(now - kForgetWorkersAfter);
  CYTOPRESS_RETURN_IF_ERROR(Write([&](soci::session& sql) -> absl::Status {
    sql << "DELETE FROM workers WHERE last_seen_us < :time", soci::use(forgotten_us);
    return absl::OkStatus();
  }));
  return Reap(absl::StrCat("lease_expires_us <= ", ToMicros(now)), "", &SqlJobStore::RequeueLost);
}

absl::StatusOr<std::vector<std::string>> SqlJobStore::ReapWorker(const std::string& worker) {
  if (worker.empty()) return absl::InvalidArgumentError("the worker's name is empty");
  return Reap("1 = 1", worker, &SqlJobStore::RequeueLost);
}

absl::StatusOr<std::vector<std::string>> SqlJobStore::ReleaseWorker(const std::string& worker) {
  if (worker.empty()) return absl::InvalidArgumentError("the worker's name is empty");
  return Reap("1 = 1", worker, &SqlJobStore::GiveBack);
}

}  // namespace cytopress
