// Time, injected so that tests run without sleeping.
#ifndef CYTOPRESS_CORE_BASE_CLOCK_H_
#define CYTOPRESS_CORE_BASE_CLOCK_H_

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

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_BASE_CLOCK_H_
