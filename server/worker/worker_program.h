// The program around the loop: flags, signals, the lock on the worker's name.
#ifndef CYTOPRESS_SERVER_WORKER_WORKER_PROGRAM_H_
#define CYTOPRESS_SERVER_WORKER_WORKER_PROGRAM_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "server/worker/worker_loop.h"

namespace cytopress {

// What running a job needs to know of the command line.
struct WorkerSettings {
  std::string models_folder;
  std::string device;
  int threads = 0;
};

// Makes what runs the jobs, once the flags are known.
using RunJobFactory = std::function<absl::StatusOr<RunJob>(const WorkerSettings&)>;

// Whether this process can compute on the device, "cpu" or "cuda:N".
using DeviceCheck = std::function<absl::Status(const std::string& device)>;

// main(). Returns the exit code: 0 after SIGTERM, SIGINT or, with --once, one job or an empty
// queue; 2 for bad flags; 1 for anything else. SIGTERM and SIGINT give the job back at its next
// step; a second one ends the process at once where it has no parent to die with. A job that hangs
// after it was told to stop (AttemptOptions::stop_patience) ends the process with 1, and so does an
// error of `check_device`, which is asked at the start and after each failed attempt. `clock` must
// outlive the call.
int RunWorkerProgram(
    int argc, char** argv, const RunJobFactory& make_run_job, Clock* clock = RealClock(),
    const DeviceCheck& check_device = [](const std::string&) { return absl::OkStatus(); });

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_WORKER_WORKER_PROGRAM_H_
