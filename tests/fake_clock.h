// Time that passes when a test says so.
#ifndef CYTOPRESS_TESTS_FAKE_CLOCK_H_
#define CYTOPRESS_TESTS_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace cytopress {

// Stands still until told. Thread-safe.
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

#endif  // CYTOPRESS_TESTS_FAKE_CLOCK_H_
