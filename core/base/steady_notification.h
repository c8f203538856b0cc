// Waits with a timeout that does not grow when the wall clock is set back.
#ifndef CYTOPRESS_CORE_BASE_STEADY_NOTIFICATION_H_
#define CYTOPRESS_CORE_BASE_STEADY_NOTIFICATION_H_

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace cytopress {

// As absl::Notification, for threads that look again after a while. Abseil 20220623 waits for a
// time of the wall clock: a second takes two hours when that is set back by two hours meanwhile.
// Thread-safe.
class SteadyNotification {
 public:
  // Wakes whoever waits, now or later. Idempotent.
  void Notify();
  bool HasBeenNotified() const { return notified_; }
  // False when `timeout`, which must be finite, has passed without a notification.
  bool WaitFor(absl::Duration timeout) const;
  // As if nobody had notified. Nothing is missed where what Notify tells of is looked at after this
  // and not before.
  void Reset() { notified_ = false; }

 private:
  mutable std::mutex mutex_;  // keeps Notify from coming between a waiter's last look and its sleep
  mutable std::condition_variable changed_;
  std::atomic<bool> notified_{false};
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_STEADY_NOTIFICATION_H_
