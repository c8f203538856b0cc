#include "server/server_locks.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_store.h"

namespace cytopress {
namespace {

// `<path>.lock`. FAILED_PRECONDITION when another server with workers uses `what`, which `flag`
// chooses.
absl::StatusOr<ProcessLock> TakeLock(const std::filesystem::path& path, const std::string& what,
                                     absl::string_view flag) {
  absl::StatusOr<ProcessLock> lock = ProcessLock::Take(path.parent_path(), path.filename());
  if (!absl::IsAlreadyExists(lock.status())) return lock;
  return absl::FailedPreconditionError(absl::StrCat("another cytopressd with workers uses ", what,
                                                    "; stop it, or give this one another ", flag,
                                                    " or --workers 0"));
}

}  // namespace

absl::StatusOr<std::vector<ProcessLock>> LockForWorkers(const std::string& state_folder,
                                                        const std::string& database_url) {
  std::vector<ProcessLock> locks;
  CYTOPRESS_ASSIGN_OR_RETURN(ProcessLock of_state,
                             TakeLock(state_folder + "/cytopressd",
                                      absl::StrCat("the state folder ", state_folder), "--state"));
  locks.push_back(std::move(of_state));
  const std::optional<std::string> file = DatabaseFile(database_url);
  if (!file.has_value()) return locks;
  std::error_code error;
  // Whatever links lead to it; it need not be there yet.
  const std::string database = std::filesystem::weakly_canonical(*file, error).string();
  if (error) return absl::InternalError(absl::StrCat(database_url, ": ", error.message()));
  CYTOPRESS_ASSIGN_OR_RETURN(
      ProcessLock of_database,
      TakeLock(database, absl::StrCat("the job database ", database), "--database"));
  locks.push_back(std::move(of_database));
  return locks;
}

}  // namespace cytopress
