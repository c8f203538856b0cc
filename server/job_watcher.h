// Tells many watchers about changes of jobs, with one thread that asks the store.
#ifndef CYTOPRESS_SERVER_JOB_WATCHER_H_
#define CYTOPRESS_SERVER_JOB_WATCHER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "core/base/problem_log.h"
#include "core/base/steady_notification.h"
#include "core/jobs/job_store.h"

namespace cytopress {

// Thread-safe.
class JobWatcher {
 public:
  // Called on the watcher's thread, without its lock; must be short.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void OnJob(const v1::Job& job) = 0;
    // The last call: OK when the job has ended, else why there will be nothing more.
    virtual void OnEnd(const absl::Status& status) = 0;
  };

  // `store` must outlive the watcher.
  explicit JobWatcher(JobStore* store);
  // As Stop.
  ~JobWatcher();
  JobWatcher(const JobWatcher&) = delete;
  JobWatcher& operator=(const JobWatcher&) = delete;

  // `listener` hears of the job as it is now, then of every change that is still there when the
  // store is asked, and then of the end. RESOURCE_EXHAUSTED or UNAVAILABLE: it will hear nothing.
  absl::Status Add(const std::string& job_id, std::shared_ptr<Listener> listener);
  void Remove(const std::string& job_id, const std::shared_ptr<Listener>& listener);

  // Ends all watching with UNAVAILABLE. Idempotent.
  void Stop();

  int watchers() const;

 private:
  using Listeners = std::set<std::shared_ptr<Listener>>;
  struct Watched {
    Listeners listeners;
    Listeners newcomers;  // have not heard anything yet
    int64_t revision = -1;
    std::string waiting_reason;
    bool queued = false;
  };

  void Run();
  // The first error is the store's.
  absl::Status LookAtAll();
  bool IsStopping() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::string> WatchedIds() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The error is the store's.
  absl::Status Look(const std::string& job_id);
  // Ends the watching of a job.
  void End(const std::string& job_id, const absl::Status& status);

  JobStore* const store_;

  ProblemLog store_log_{"watching jobs"};  // of the thread alone

  mutable absl::Mutex mutex_;
  std::map<std::string, Watched> watched_ ABSL_GUARDED_BY(mutex_);
  int watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyNotification wake_up_;  // for newcomers, or to stop
  std::thread thread_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_JOB_WATCHER_H_
