// The folders of checkpoints, `<work folder>/<job id>`.
#ifndef CYTOPRESS_SERVER_WORKER_CHECKPOINT_FOLDERS_H_
#define CYTOPRESS_SERVER_WORKER_CHECKPOINT_FOLDERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/jobs/job_store.h"

namespace cytopress {

// How often those who keep a work folder look for what others have left in it.
inline constexpr absl::Duration kCleaningInterval = absl::Hours(1);

std::string CheckpointFolder(const std::string& work_folder, const std::string& job_id);

// Removes the checkpoints of a job that has ended. The error is the store's; one of the files is
// logged.
absl::Status RemoveIfEnded(const std::string& work_folder, const std::string& job_id,
                           JobStore* store);

// The same for all jobs in the folder, up to the first that the store cannot be asked about.
void RemoveLeftovers(const std::string& work_folder, JobStore* store);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_CHECKPOINT_FOLDERS_H_
