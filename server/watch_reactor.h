// One WatchJob stream.
#ifndef CYTOPRESS_SERVER_WATCH_REACTOR_H_
#define CYTOPRESS_SERVER_WATCH_REACTOR_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "cytopress/v1/jobs.pb.h"
#include "server/job_watcher.h"

namespace cytopress {

// Sends the newest state of the job as fast as the client reads: states that a slow client has not
// seen before the next one comes are left out. (The ledger is part of the job, so no line is lost.)
// Thread-safe: gRPC's threads and the watcher's call it.
class WatchReactor : public grpc::ServerWriteReactor<v1::WatchJobResponse>,
                     public JobWatcher::Listener {
 public:
  // The reactor lives until gRPC is done with it and the watcher has forgotten it.
  static WatchReactor* Start(const std::string& job_id, JobWatcher* watcher,
                             grpc::CallbackServerContext* context);

  void OnJob(const v1::Job& job) override;
  void OnEnd(const absl::Status& status) override;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  WatchReactor(const std::string& job_id, JobWatcher* watcher, grpc::CallbackServerContext* context)
      : job_id_(job_id), watcher_(watcher), context_(context) {}

  // Writes what waits, or finishes when there is nothing left to write.
  void Proceed() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string job_id_;
  JobWatcher* const watcher_;
  grpc::CallbackServerContext* const context_;
  std::shared_ptr<WatchReactor> self_;  // until OnDone

  absl::Mutex mutex_;
  std::optional<v1::Job> waiting_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  v1::WatchJobResponse response_;  // gRPC's while a write is on its way
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WATCH_REACTOR_H_
