#include "server/worker/checkpoint_folders.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/jobs/job_state.h"

namespace cytopress {

namespace fs = std::filesystem;

std::string CheckpointFolder(const std::string& work_folder, const std::string& job_id) {
  return absl::StrCat(work_folder, "/", job_id);
}

absl::Status RemoveIfEnded(const std::string& work_folder, const std::string& job_id,
                           JobStore* store) {
  const absl::StatusOr<v1::Job> job = store->Get(job_id);
  // One that this database does not know may be running from another one.
  if (absl::IsNotFound(job.status())) return absl::OkStatus();
  CYTOPRESS_RETURN_IF_ERROR(job.status());
  if (!IsTerminal(job->state())) return absl::OkStatus();
  const std::string folder = CheckpointFolder(work_folder, job_id);
  std::error_code error;
  fs::remove_all(folder, error);
  if (error) spdlog::warn("cannot remove {}: {}", folder, error.message());
  return absl::OkStatus();
}

void RemoveLeftovers(const std::string& work_folder, JobStore* store) {
  std::error_code error;
  for (fs::directory_iterator entry(work_folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!entry->is_directory(error) || !absl::StartsWith(name, "job-")) continue;
    if (absl::IsUnavailable(RemoveIfEnded(work_folder, name, store))) return;
  }
}

}  // namespace cytopress
