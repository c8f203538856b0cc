// Pauses between tries that fail, each twice as long as the one before.
#ifndef CYTOPRESS_CORE_BASE_BACKOFF_H_
#define CYTOPRESS_CORE_BASE_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"

namespace cytopress {

// Pause after `failures` in a row: `first` after one, or none, and never more than `longest`.
inline absl::Duration BackoffAfter(int failures, absl::Duration first, absl::Duration longest) {
  absl::Duration pause = first;
  for (int i = 1; i < failures && pause < longest; ++i) pause *= 2;
  return std::min(pause, longest);
}

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_BACKOFF_H_
