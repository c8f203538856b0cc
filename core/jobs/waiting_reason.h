// Why a queued job has not begun, in words.
#ifndef CYTOPRESS_CORE_JOBS_WAITING_REASON_H_
#define CYTOPRESS_CORE_JOBS_WAITING_REASON_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "core/jobs/job_store.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// Of a job that no worker may take before `not_before`, with what to do if nobody will. Empty for a
// job that is not queued, or that an idle worker is about to take.
std::string WaitingReason(const v1::Job& job, absl::Time not_before,
                          const std::vector<WorkerInfo>& workers, absl::Time now);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_JOBS_WAITING_REASON_H_
