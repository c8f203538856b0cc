#include "server/job_watcher.h"

#include <utility>

#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"
#include "core/serving/error_details.h"

namespace cytopress {
namespace {

constexpr int kMaxWatchers = 1024;
constexpr absl::Duration kPollInterval = absl::Milliseconds(200);

constexpr char kWatchLater[] = "; watch again later";

}  // namespace

JobWatcher::JobWatcher(JobStore* store) : store_(store) {
  thread_ = std::thread([this] { Run(); });
}

JobWatcher::~JobWatcher() { Stop(); }

absl::Status JobWatcher::Add(const std::string& job_id, std::shared_ptr<Listener> listener) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) return ShuttingDown(kWatchLater);
  if (watchers_ >= kMaxWatchers) {
    return Busy("too many streams watch jobs; use GetJob, or try later", "TOO_MANY_WATCHERS",
                absl::Seconds(5));
  }
  ++watchers_;
  watched_[job_id].newcomers.insert(std::move(listener));
  wake_up_.Notify();
  return absl::OkStatus();
}

void JobWatcher::Remove(const std::string& job_id, const std::shared_ptr<Listener>& listener) {
  absl::MutexLock lock(&mutex_);
  const auto it = watched_.find(job_id);
  if (it == watched_.end()) return;
  watchers_ -=
      static_cast<int>(it->second.listeners.erase(listener) + it->second.newcomers.erase(listener));
  if (it->second.listeners.empty() && it->second.newcomers.empty()) watched_.erase(it);
}

void JobWatcher::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_up_.Notify();
  if (thread_.joinable()) thread_.join();
}

int JobWatcher::watchers() const {
  absl::MutexLock lock(&mutex_);
  return watchers_;
}

void JobWatcher::Run() {
  while (true) {
    store_log_.Failed(LookAtAll());
    wake_up_.WaitFor(kPollInterval);
    wake_up_.Reset();
    if (IsStopping()) break;
  }
  for (const std::string& job_id : WatchedIds()) End(job_id, ShuttingDown(kWatchLater));
}

absl::Status JobWatcher::LookAtAll() {
  absl::Status status;
  for (const std::string& job_id : WatchedIds()) {
    const absl::Status looked = Look(job_id);
    status.Update(looked);
    // The others would wait as long for a database that is away, each of them.
    if (absl::IsUnavailable(looked) || IsStopping()) break;
  }
  return status;
}

bool JobWatcher::IsStopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

std::vector<std::string> JobWatcher::WatchedIds() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, watched] : watched_) ids.push_back(id);
  return ids;
}

absl::Status JobWatcher::Look(const std::string& job_id) {
  const absl::StatusOr<int64_t> revision = store_->Revision(job_id);
  if (absl::IsNotFound(revision.status())) {
    End(job_id, WithReason(revision.status(), "JOB_NOT_FOUND"));
    return absl::OkStatus();
  }
  // The database may be busy or away; the next look may succeed.
  CYTOPRESS_RETURN_IF_ERROR(revision.status());
  bool changed;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = watched_.find(job_id);
    if (it == watched_.end()) return absl::OkStatus();
    changed = it->second.revision != *revision;
    // What a queued job waits for changes without it.
    if (!changed && !it->second.queued && it->second.newcomers.empty()) return absl::OkStatus();
  }
  const absl::StatusOr<v1::Job> job = store_->Get(job_id);
  if (absl::IsDataLoss(job.status())) {
    End(job_id, job.status());
    return absl::OkStatus();
  }
  CYTOPRESS_RETURN_IF_ERROR(job.status());
  Listeners listeners;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = watched_.find(job_id);
    if (it == watched_.end()) return absl::OkStatus();
    Watched& watched = it->second;
    // Read before the job: a change in between is told twice rather than never.
    watched.revision = *revision;
    changed |= job->waiting_reason() != watched.waiting_reason;
    watched.waiting_reason = job->waiting_reason();
    watched.queued = job->state() == v1::JOB_STATE_QUEUED;
    if (changed) listeners = watched.listeners;
    listeners.insert(watched.newcomers.begin(), watched.newcomers.end());
    watched.listeners.merge(watched.newcomers);
    watched.newcomers.clear();
  }
  for (const std::shared_ptr<Listener>& listener : listeners) listener->OnJob(*job);
  if (IsTerminal(job->state())) End(job_id, absl::OkStatus());
  return absl::OkStatus();
}

void JobWatcher::End(const std::string& job_id, const absl::Status& status) {
  Listeners listeners;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = watched_.find(job_id);
    if (it == watched_.end()) return;
    listeners.swap(it->second.listeners);
    // Those who came while the end was told have yet to hear of the job, unless it failed for all.
    if (!status.ok()) listeners.merge(it->second.newcomers);
    watchers_ -= static_cast<int>(listeners.size());
    if (status.ok() && !it->second.newcomers.empty()) {
      it->second.revision = -1;
    } else {
      watched_.erase(it);
    }
  }
  for (const std::shared_ptr<Listener>& listener : listeners) listener->OnEnd(status);
}

}  // namespace cytopress
