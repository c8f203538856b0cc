// A worker whose jobs do what their model's name says: "publish" succeeds at once, "crash" ends the
// process, "stubborn" never stops, anything else works until it is told to stop.
#include <sched.h>
#include <unistd.h>

#include "server/worker/worker_program.h"

namespace cytopress {
namespace {

absl::StatusOr<JobOutcome> Act(const JobTask& task, JobAttempt* attempt) {
  const std::string& act = task.spec.model_name();
  if (act == "crash") _exit(3);
  while (act != "publish") {
    if (attempt->ShouldStop() && act != "stubborn") return absl::CancelledError("stopped");
    usleep(1000);
  }
  return JobOutcome{"published@1", ""};
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  return cytopress::RunWorkerProgram(
      argc, argv, [](const cytopress::WorkerSettings&) -> absl::StatusOr<cytopress::RunJob> {
        return cytopress::RunJob(cytopress::Act);
      });
}
