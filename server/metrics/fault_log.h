// Logs the calls that failed by the server's fault: whoever runs it hears of them, not only
// clients.
#ifndef CYTOPRESS_SERVER_METRICS_FAULT_LOG_H_
#define CYTOPRESS_SERVER_METRICS_FAULT_LOG_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "google/rpc/status.pb.h"

namespace cytopress {

// Thread-safe.
class FaultLog {
 public:
  // `clock` must outlive this.
  explicit FaultLog(Clock* clock) : clock_(clock) {}

  // Warns when `status`, which ended a call of `method` or a message of a stream, is INTERNAL,
  // UNKNOWN, DATA_LOSS, a full disk, or FAILED_PRECONDITION of Classify or ClassifyStream; other
  // errors are the caller's, or have metrics. One line in ten seconds for each method and code,
  // which says how many were left out before it.
  void Note(const std::string& method, const google::rpc::Status& status);

 private:
  struct Kind {
    absl::Duration logged = -absl::InfiniteDuration();  // steady time
    int64_t left_out = 0;
  };

  Clock* const clock_;
  absl::Mutex mutex_;
  std::map<std::pair<std::string, int>, Kind> kinds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_FAULT_LOG_H_
