// How long leases hold and how often workers are heard of. The server and all workers of a database
// go by the same.
#ifndef CYTOPRESS_CORE_JOBS_LEASE_TIMES_H_
#define CYTOPRESS_CORE_JOBS_LEASE_TIMES_H_

#include "absl/time/time.h"

namespace cytopress {

struct LeaseTimes {
  absl::Duration lease = absl::Seconds(30);
  absl::Duration heartbeat = absl::Seconds(5);    // between those of a worker without a job
  absl::Duration poll = absl::Milliseconds(500);  // between two looks at an empty queue

  // Time from one renewal of a lease to the next, with which a busy worker sends its heartbeat.
  absl::Duration renew_after() const { return lease / 3; }
  // A worker counts as up for so long after its last heartbeat.
  absl::Duration worker_is_up_for() const { return lease; }
};

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_LEASE_TIMES_H_
