#include "server/server_locks.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

// `<path>.lock`. FAILED_PRECONDITION when another server with workers uses `what`, which `flag`
// chooses.
absl::StatusOr<ProcessLock> TakeLock(const std::filesystem::path& path, const std::string& what,
                                     absl::string_view flag) {
  absl::StatusOr<ProcessLock> lock = ProcessLock::Take(path.parent_path(), path.filename());
  if (!absl::IsFailedPrecondition(lock.status())) return lock;
  return absl::FailedPreconditionError(absl::StrCat("another cytopressd with workers uses ", what,
                                                    "; stop it, or give this one another ", flag,
                                                    " or --workers 0"));
}

}  // namespace

bool IsDatabaseFile(absl::string_view database_url) {
  return absl::StartsWith(database_url, "sqlite:///");
}

absl::StatusOr<std::vector<ProcessLock>> LockForWorkers(const std::string& state_folder,
                                                        const std::string& database_url) {
  std::vector<ProcessLock> locks;
  CYTOPRESS_ASSIGN_OR_RETURN(ProcessLock of_state,
                             TakeLock(state_folder + "/cytopressd",
                                      absl::StrCat("the state folder ", state_folder), "--state"));
  locks.push_back(std::move(of_state));
  if (!IsDatabaseFile(database_url)) return locks;
  std::error_code error;
  // Whatever links lead to it; it need not be there yet.
  const std::string database = std::filesystem::weakly_canonical(
                                   std::string(absl::StripPrefix(database_url, "sqlite://")), error)
                                   .string();
  if (error) return absl::InternalError(absl::StrCat(database_url, ": ", error.message()));
  CYTOPRESS_ASSIGN_OR_RETURN(
      ProcessLock of_database,
      TakeLock(database, absl::StrCat("the job database ", database), "--database"));
  locks.push_back(std::move(of_database));
  return locks;
}

}  // namespace cytopress
