#include "server/worker/job_attempt.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/base/backoff.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

// Progress within an epoch is written at most this often.
constexpr absl::Duration kProgressInterval = absl::Milliseconds(500);
constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLongestRetry = absl::Seconds(5);

bool IsLostLease(const absl::Status& status) {
  return absl::IsAborted(status) || absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
}

}  // namespace

JobAttempt::JobAttempt(const LeasedJob& leased, const AttemptOptions& options, JobStore* store,
                       Clock* clock, const SteadyNotification* shutdown)
    : lease_(leased.lease),
      options_(options),
      store_(store),
      clock_(clock),
      shutdown_(shutdown),
      leased_at_(clock->Steady()),
      keeper_([this] { KeepLease(); }) {}

JobAttempt::~JobAttempt() { EndKeeper(); }

void JobAttempt::EndKeeper() {
  if (!keeper_.joinable()) return;
  ended_.Notify();
  keeper_.join();
}

void JobAttempt::Stop(StopReason reason) {
  absl::MutexLock lock(&mutex_);
  // A lost lease is the last word: nothing may be written after it.
  if (reason_ == StopReason::kNone || reason == StopReason::kLostLease) reason_ = reason;
}

StopReason JobAttempt::stop_reason() const {
  absl::MutexLock lock(&mutex_);
  if (reason_ == StopReason::kNone && shutdown_->HasBeenNotified()) return StopReason::kShutdown;
  return reason_;
}

absl::Status JobAttempt::Noted(absl::Status status) {
  if (absl::IsAborted(status)) Stop(StopReason::kLostLease);
  return status;
}

void JobAttempt::KeepLease() {
  absl::Duration renewed_at = leased_at_;
  absl::Duration told_at = absl::InfiniteDuration();  // to stop
  ProblemLog log(absl::StrCat("cannot keep the lease of ", lease_.job_id));
  do {
    // Read before the renewal, so that a slow store makes the next one earlier and not later.
    const absl::Duration now = clock_->Steady();
    if (stop_reason() != StopReason::kLostLease) LookAfterLease(now, &renewed_at, &log);
    if (stop_reason() != StopReason::kNone) {
      told_at = std::min(told_at, now);
      // What has returned may still wait for the store.
      if (now - told_at >= options_.stop_patience && !HasReturned()) return GiveUp(now - told_at);
    }
  } while (!ended_.WaitFor(options_.tick));
}

void JobAttempt::LookAfterLease(absl::Duration now, absl::Duration* renewed_at, ProblemLog* log) {
  const bool renew = now - *renewed_at >= options_.times.renew_after();
  const absl::StatusOr<bool> cancel = CancelRequested(renew);
  if (IsLostLease(cancel.status())) {
    spdlog::warn("{}", cancel.status().ToString());
    Stop(StopReason::kLostLease);
    return;
  }
  // The lease counts until somebody reaps it, so there is still a chance at the next tick.
  if (log->Failed(cancel.status())) return;
  if (renew) *renewed_at = now;
  if (*cancel) Stop(StopReason::kCancel);
}

bool JobAttempt::HasReturned() const {
  absl::MutexLock lock(&mutex_);
  return returned_;
}

void JobAttempt::GiveUp(absl::Duration waited) {
  std::string stage;
  {
    absl::MutexLock lock(&mutex_);
    stage = latest_.stage();
  }
  spdlog::error("{}: has not stopped {}: it was told to {} ago; the worker ends at once",
                lease_.job_id,
                stage.empty() ? "before its first progress" : absl::StrCat("in stage ", stage),
                absl::FormatDuration(absl::Trunc(waited, absl::Seconds(1))));
  // Once, without patience: a job that cannot be given up here is reaped.
  absl::Status said;
  const StopReason reason = stop_reason();
  if (reason == StopReason::kCancel) said = store_->AcknowledgeCancel(lease_);
  if (reason == StopReason::kShutdown) said = store_->Release(lease_);
  if (!said.ok()) spdlog::error("{}: its end is not stored: {}", lease_.job_id, said.ToString());
  options_.on_hang();
}

absl::StatusOr<bool> JobAttempt::CancelRequested(bool renew) {
  if (!renew) {
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Job job, store_->Get(lease_.job_id));
    return job.cancel_requested();
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const bool cancel, store_->RenewLease(lease_, options_.times.lease));
  CYTOPRESS_RETURN_IF_ERROR(store_->Heartbeat(lease_.worker, options_.device, lease_.job_id));
  return cancel;
}

absl::Status JobAttempt::WithPatience(const std::function<absl::Status()>& write) {
  const absl::Duration give_up = clock_->Steady() + options_.patience;
  for (int tries = 1;; ++tries) {
    absl::Status status = write();
    // RESOURCE_EXHAUSTED: the disk of the database is full.
    const bool may_pass = absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
    if (!may_pass || clock_->Steady() >= give_up) return status;
    spdlog::warn("{}: trying again: {}", lease_.job_id, status.ToString());
    absl::SleepFor(BackoffAfter(tries, kFirstRetry, kLongestRetry));
  }
}

bool JobAttempt::IsDue(const v1::Progress& progress) {
  const bool new_stage =
      progress.stage() != written_.stage() || progress.stage_index() != written_.stage_index();
  const bool epoch_boundary = progress.epoch() != written_.epoch() ||
                              progress.validation_accuracy() != written_.validation_accuracy();
  const bool long_ago = clock_->Steady() - written_at_ >= kProgressInterval;
  return !written_once_ || new_stage || epoch_boundary || long_ago;
}

absl::Status JobAttempt::OnProgress(const v1::Progress& progress) {
  {
    absl::MutexLock lock(&mutex_);
    latest_ = progress;
    unwritten_ = true;
    if (!IsDue(progress)) return absl::OkStatus();
  }
  FlushProgress();
  if (stop_reason() == StopReason::kLostLease) {
    return absl::AbortedError("the lease of the job was lost");
  }
  return absl::OkStatus();
}

void JobAttempt::FlushProgress() {
  v1::Progress progress;
  {
    absl::MutexLock lock(&mutex_);
    if (!unwritten_ || reason_ == StopReason::kLostLease) return;
    progress = latest_;
    written_ = latest_;
    written_at_ = clock_->Steady();
    written_once_ = true;
    unwritten_ = false;
  }
  const absl::Status status = Noted(store_->ReportProgress(lease_, progress));
  if (!status.ok()) spdlog::warn("progress of {}: {}", lease_.job_id, status.ToString());
}

absl::Status JobAttempt::OnLedger(const v1::LedgerEntry& entry) {
  FlushProgress();
  return Noted(WithPatience([&] { return store_->AppendLedger(lease_, entry); }));
}

absl::Status JobAttempt::Start() {
  return Noted(WithPatience([&] { return store_->Start(lease_); }));
}

absl::Status JobAttempt::Finish(const std::function<absl::Status(const Lease&)>& write) {
  {
    absl::MutexLock lock(&mutex_);
    returned_ = true;
  }
  FlushProgress();
  // The lease is kept while the ending waits for the store.
  absl::Status status = WithPatience([&] { return write(lease_); });
  EndKeeper();
  return status;
}

}  // namespace cytopress
