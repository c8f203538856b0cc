// Waiting for what offers nothing to wait on: files, other processes and other threads.
#ifndef CYTOPRESS_TESTS_EVENTUALLY_H_
#define CYTOPRESS_TESTS_EVENTUALLY_H_

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace cytopress {

// How long a test waits for what takes milliseconds, before it fails: a loaded machine is slow.
inline constexpr absl::Duration kPatience = absl::Seconds(60);

// Asks every millisecond whether `condition` holds; false when it does not within kPatience.
inline bool Eventually(const std::function<bool()>& condition) {
  const absl::Time give_up = absl::Now() + kPatience;
  while (!condition()) {
    if (absl::Now() > give_up) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace cytopress

#endif  // CYTOPRESS_TESTS_EVENTUALLY_H_
