#include "server/watch_reactor.h"

#include <utility>

#include "core/serving/error_details.h"
#include "server/status.h"

namespace cytopress {

WatchReactor* WatchReactor::Start(const std::string& job_id, JobWatcher* watcher,
                                  grpc::CallbackServerContext* context) {
  const std::shared_ptr<WatchReactor> reactor(new WatchReactor(job_id, watcher, context));
  reactor->self_ = reactor;
  const absl::Status status =
      job_id.empty() ? InvalidField("id", "is empty; give the id that Compress answered")
                     : watcher->Add(job_id, reactor);
  if (!status.ok()) reactor->OnEnd(status);
  return reactor.get();
}

void WatchReactor::OnJob(const v1::Job& job) {
  absl::MutexLock lock(&mutex_);
  waiting_ = job;
  Proceed();
}

void WatchReactor::OnEnd(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  if (!end_.has_value()) end_ = status;
  Proceed();
}

void WatchReactor::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok && !end_.has_value()) end_ = ClientGone();
  Proceed();
}

void WatchReactor::OnCancel() {
  absl::MutexLock lock(&mutex_);
  end_ = ClientGone();
  waiting_.reset();
  Proceed();
}

void WatchReactor::OnDone() {
  watcher_->Remove(job_id_, self_);
  // Perhaps the last reference: nothing may touch the reactor after this.
  const std::shared_ptr<WatchReactor> self = std::move(self_);
}

void WatchReactor::Proceed() {
  if (finished_ || writing_) return;
  if (waiting_.has_value()) {
    *response_.mutable_job() = *std::move(waiting_);
    waiting_.reset();
    writing_ = true;
    StartWrite(&response_);
  } else if (end_.has_value()) {
    finished_ = true;
    FinishWith(*end_, context_, this);
  }
}

}  // namespace cytopress
