// What only one server with workers may use at a time.
#ifndef CYTOPRESS_SERVER_SERVER_LOCKS_H_
#define CYTOPRESS_SERVER_SERVER_LOCKS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/process_lock.h"

namespace cytopress {

// Locks the state folder and, if it is a file, the job database. Workers of two servers on one file
// bear the same names: each server would take the other's for dead ones of its own, and their jobs
// away. FAILED_PRECONDITION, with what to do, when another server with workers uses one of them.
absl::StatusOr<std::vector<ProcessLock>> LockForWorkers(const std::string& state_folder,
                                                        const std::string& database_url);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_SERVER_LOCKS_H_
