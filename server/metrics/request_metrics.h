// Counts RPCs by method and code, and times them; counts the messages of streams. Of those that
// fail by the server's fault the log tells, too.
#ifndef CYTOPRESS_SERVER_METRICS_REQUEST_METRICS_H_
#define CYTOPRESS_SERVER_METRICS_REQUEST_METRICS_H_

#include <grpcpp/support/server_interceptor.h>
#include <grpcpp/support/status.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "google/rpc/status.pb.h"
#include "server/metrics/fault_log.h"

namespace cytopress {

// Thread-safe. OK and the errors that count against the objective of Classify have their series
// from the start, at zero.
class RequestMetrics {
 public:
  // Both must outlive this.
  RequestMetrics(prometheus::Registry* registry, Clock* clock);

  // `method` is an RPC's name without its service.
  void Observe(const std::string& method, const grpc::Status& status, absl::Duration duration);
  // A message of a ClassifyStream was answered, with an error of its own or OK.
  void ObserveStreamMessage(const google::rpc::Status& status);

  // A call came, or is gone for good.
  void OnCallOpen() { ++open_calls_; }
  void OnCallGone() { --open_calls_; }
  int open_calls() const { return open_calls_; }

  Clock* clock() const { return clock_; }

 private:
  // The counter of `method` and `code`, new if it must be.
  prometheus::Counter& Count(const std::string& method, int code)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock* const clock_;
  FaultLog faults_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Family<prometheus::Counter>& messages_;
  std::atomic<int> open_calls_{0};

  absl::Mutex mutex_;
  std::map<std::pair<std::string, int>, prometheus::Counter*> counters_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, prometheus::Histogram*> histograms_ ABSL_GUARDED_BY(mutex_);
};

// "OK", "INVALID_ARGUMENT", ...
absl::string_view CodeName(int code);

// Observes the RPCs that the services of package cytopress.v1 have: other names come from outside
// and could be any number.
class RequestMetricsInterceptors : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `metrics` must outlive the server.
  explicit RequestMetricsInterceptors(RequestMetrics* metrics);
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  RequestMetrics* const metrics_;
  std::map<std::string, std::string, std::less<>> method_by_path_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_METRICS_REQUEST_METRICS_H_
