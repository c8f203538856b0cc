// A child process: started with posix_spawn, logged to a file, watched without blocking.
#ifndef CYTOPRESS_SERVER_SUPERVISOR_WORKER_PROCESS_H_
#define CYTOPRESS_SERVER_SUPERVISOR_WORKER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace cytopress {

struct ProcessOptions {
  std::vector<std::string> command;  // [0] is the path of the program
  std::string log_path;              // takes stdout and stderr, appended
  int64_t max_log_bytes = 0;         // a longer log is moved to "<log_path>.1" first
  int nice = 0;                      // added CPU politeness, 0 to 19
  bool batch = false;                // SCHED_BATCH: it never takes the processor from who wakes up
  std::vector<int> cores;            // that it may use; empty: those of this process
};

// How a process ended.
struct ProcessExit {
  int code = 0;    // exit code; meaningless when killed
  int signal = 0;  // the signal that killed it, 0 = none

  bool ok() const { return code == 0 && signal == 0; }
  std::string ToString() const;  // "exit code 1", "killed by signal 9 (Killed)"
};

// The process inherits no file of this one but the log, no blocked signal, and has a process group
// of its own, so that Ctrl-C at the parent reaches the parent alone. Errors name the file that is
// to blame: the program or its log. The caller must see it off with PollExit, or it stays as a
// zombie.
absl::StatusOr<pid_t> StartProcess(const ProcessOptions& options);

// What the process has logged last, in one line: the last record of its log, or what came after it,
// without the "[time] [program] [level] " in front of it. `from` is the size of the log before the
// process. Empty when it has logged nothing.
std::string LastWords(const std::string& log_path, int64_t from);

// How `pid`, a child, ended; nullopt while it runs.
std::optional<ProcessExit> PollExit(pid_t pid);

}  // namespace cytopress

#endif  // CYTOPRESS_SERVER_SUPERVISOR_WORKER_PROCESS_H_
