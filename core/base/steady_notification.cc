#include "core/base/steady_notification.h"

namespace cytopress {

void SteadyNotification::Notify() {
  const std::lock_guard<std::mutex> lock(mutex_);
  notified_ = true;
  changed_.notify_all();
}

bool SteadyNotification::WaitFor(absl::Duration timeout) const {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoNanoseconds(timeout),
                           [this] { return notified_.load(); });
}

}  // namespace cytopress
