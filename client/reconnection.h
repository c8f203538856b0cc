// When to try to reach a server again whose connection was lost.
#ifndef CYTOPRESS_CLIENT_RECONNECTION_H_
#define CYTOPRESS_CLIENT_RECONNECTION_H_

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/backoff.h"

namespace cytopress {

// What a service that stops, or a network that breaks, ends a call with.
inline bool IsLost(const absl::Status& why) {
  return absl::IsUnavailable(why) || absl::IsCancelled(why);
}

// Not thread-safe.
class Reconnection {
 public:
  // Waits for `longest` in all between two answers, without what the attempts take; `sleep` waits.
  Reconnection(absl::Duration longest, std::function<void(absl::Duration)> sleep)
      : longest_(longest), sleep_(std::move(sleep)) {}

  // The server has answered: what was waited before does not count.
  void Heard() {
    heard_ = true;
    failures_ = 0;
    waited_ = absl::ZeroDuration();
  }

  // A server that never answered is not waited for.
  bool MayTry() const { return heard_ && waited_ < longest_; }

  // Before a new attempt. False when `goes_on`, which is asked several times a second, has ended
  // it.
  bool Pause(const std::function<bool()>& goes_on = [] { return true; }) {
    constexpr absl::Duration kSlice = absl::Milliseconds(250);
    const absl::Duration pause = BackoffAfter(++failures_, kSlice, absl::Seconds(5));
    for (absl::Duration left = pause; left > absl::ZeroDuration(); left -= kSlice) {
      if (!goes_on()) return false;
      sleep_(std::min(left, kSlice));
    }
    waited_ += pause;
    return goes_on();
  }

 private:
  const absl::Duration longest_;
  const std::function<void(absl::Duration)> sleep_;
  bool heard_ = false;
  int failures_ = 0;
  absl::Duration waited_;
};

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_RECONNECTION_H_
