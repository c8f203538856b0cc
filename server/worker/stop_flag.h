// A request to stop, that threads can wait for.
#ifndef CYTOPRESS_SERVER_WORKER_STOP_FLAG_H_
#define CYTOPRESS_SERVER_WORKER_STOP_FLAG_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cytopress {

// Thread-safe. Once set it stays set.
class StopFlag {
 public:
  void Set() {
    absl::MutexLock lock(&mutex_);
    set_ = true;
  }
  bool IsSet() const {
    absl::MutexLock lock(&mutex_);
    return set_;
  }
  // True as soon as it is set, false after `timeout`.
  bool Wait(absl::Duration timeout) const {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&set_), timeout);
  }

 private:
  mutable absl::Mutex mutex_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_STOP_FLAG_H_
