// Time, injected so that tests run without sleeping.
#ifndef CYTOPRESS_CORE_BASE_CLOCK_H_
#define CYTOPRESS_CORE_BASE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace cytopress {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Wall clock: for what people read and what several machines compare. It can jump.
  virtual absl::Time Now() const = 0;
  // Since an arbitrary start, never going back: for every interval within one process.
  virtual absl::Duration Steady() const = 0;
};

// The process-wide real clock; never destroyed.
Clock* RealClock();

// Stands still until told.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::FromUnixSeconds(1700000000)) : now_(start) {}
  absl::Time Now() const override {
    absl::MutexLock lock(&mutex_);
    return now_;
  }
  absl::Duration Steady() const override { return Now() - absl::UnixEpoch(); }
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    now_ += by;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_CLOCK_H_
