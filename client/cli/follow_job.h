// Watching a job to its end, as `watch` and `compress` do.
#ifndef CYTOPRESS_CLIENT_CLI_FOLLOW_JOB_H_
#define CYTOPRESS_CLIENT_CLI_FOLLOW_JOB_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/cli.h"
#include "cytopress/v1/job.pb.h"

namespace cytopress {

// For --detach: says that the job is queued, why it waits if it does, and how to follow it.
// `report`: the command that writes its report; empty where there is none.
void PrintQueued(CliContext* context, const v1::Job& job, const std::string& report = "");

// Shows the job until it has ended, then what came of it. With --json: a line of JSON a change.
// kJobFailed and kJobCancelled say how the job ended.
// `what_follows`: lines for whoever interrupts it, how to have what the command does afterwards.
absl::StatusOr<ExitCode> FollowJob(CliContext* context, const std::string& id,
                                   const std::string& what_follows = "");

}  // namespace cytopress

#endif  // CYTOPRESS_CLIENT_CLI_FOLLOW_JOB_H_
