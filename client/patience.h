// Ends a call whose server neither sends nor takes in anything.
#ifndef CYTOPRESS_CLIENT_PATIENCE_H_
#define CYTOPRESS_CLIENT_PATIENCE_H_

#include <grpcpp/client_context.h>

#include <cstdint>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/steady_notification.h"

namespace cytopress {

// Watches the blocking steps of one call, from one thread. Time between the steps does not count.
class Patience {
 public:
  // Cancels `context` when a step takes longer than `longest`, which must be finite.
  Patience(grpc::ClientContext* context, absl::Duration longest);
  ~Patience();
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

  // What `step` returns.
  bool During(absl::FunctionRef<bool()> step);

  // DEADLINE_EXCEEDED once a step took too long.
  absl::Status status() const;

 private:
  void Watch();

  grpc::ClientContext* const context_;
  const absl::Duration longest_;
  mutable absl::Mutex mutex_;
  int64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;  // odd during a step
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool expired_ ABSL_GUARDED_BY(mutex_) = false;
  SteadyNotification changed_;  // `changes_` or `ended_`
  std::thread watcher_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_PATIENCE_H_
