#include "server/supervisor/worker_process.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "server/supervisor/cores.h"

namespace cytopress {
namespace {

constexpr int64_t kMaxTailBytes = 4096;  // of a log, in which its last record is looked for
constexpr size_t kMaxWordsBytes = 500;

// Frees what posix_spawn's C interface allocates.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

void PlanFiles(int log, posix_spawn_file_actions_t* actions) {
  // The log first: it may have taken the place of a standard input that was closed.
  posix_spawn_file_actions_adddup2(actions, log, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(actions, STDERR_FILENO, STDOUT_FILENO);
  posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(actions, STDERR_FILENO + 1);
}

void PlanSignals(posix_spawnattr_t* attributes) {
  sigset_t none;
  sigset_t all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(attributes, &none);
  posix_spawnattr_setsigdefault(attributes, &all);
  posix_spawnattr_setpgroup(attributes, 0);
  posix_spawnattr_setflags(attributes,
                           POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
}

absl::Status RotateLog(const std::string& path, int64_t max_bytes) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || info.st_size <= max_bytes) return absl::OkStatus();
  if (std::rename(path.c_str(), absl::StrCat(path, ".1").c_str()) == 0) return absl::OkStatus();
  return ErrnoStatus("cannot rotate", path);
}

}  // namespace

std::string ProcessExit::ToString() const {
  if (signal == 0) return absl::StrCat("exit code ", code);
  return absl::StrCat("killed by signal ", signal, " (", strsignal(signal), ")");
}

absl::StatusOr<pid_t> StartProcess(const ProcessOptions& options) {
  CYTOPRESS_RETURN_IF_ERROR(RotateLog(options.log_path, options.max_log_bytes));
  // Opened here and not by posix_spawn, whose error would not tell it from the program.
  const int log = open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (log < 0) return ErrnoStatus("cannot open the log", options.log_path);
  std::vector<char*> arguments;
  for (const std::string& word : options.command)
    arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  SpawnPlan plan;
  PlanFiles(log, &plan.actions);
  PlanSignals(&plan.attributes);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, options.command[0].c_str(), &plan.actions, &plan.attributes,
                                arguments.data(), environ);
  close(log);
  if (error != 0) {
    return absl::ErrnoToStatus(error, absl::StrCat("cannot start ", options.command[0]));
  }
  // Threads inherit these, and a program this young has only one.
  if (options.nice != 0) {
    setpriority(PRIO_PROCESS, pid, getpriority(PRIO_PROCESS, 0) + options.nice);
  }
  if (options.batch) {
    const sched_param no_priority = {};
    sched_setscheduler(pid, SCHED_BATCH, &no_priority);
  }
  if (!options.cores.empty()) {
    const absl::Status status = UseCores(pid, options.cores);
    if (!status.ok()) spdlog::warn("{}: {}", options.command[0], std::string(status.message()));
  }
  return pid;
}

std::string LastWords(const std::string& log_path, int64_t from) {
  std::ifstream log(log_path, std::ios::binary | std::ios::ate);
  const auto size = static_cast<int64_t>(log.tellg());
  if (size < from) from = 0;  // it was rotated when the process started
  from = std::max(from, size - kMaxTailBytes);
  if (size <= from) return "";
  std::string tail(size - from, '\0');
  log.seekg(from);
  log.read(tail.data(), static_cast<std::streamsize>(tail.size()));
  tail.resize(log.gcount());
  // What a library or the C++ runtime says begins with no time.
  const size_t record = tail.rfind("\n[");
  if (record != tail.npos) tail.erase(0, record + 1);
  absl::string_view words = absl::StripAsciiWhitespace(tail);
  // The time, the logger and the level, as spdlog writes them.
  constexpr int kFields = 3;
  for (int field = 0; field < kFields && absl::StartsWith(words, "["); ++field) {
    const size_t end = words.find("] ");
    if (end == words.npos) break;
    words.remove_prefix(end + 2);
  }
  return absl::StrReplaceAll(words.substr(0, kMaxWordsBytes), {{"\n", " "}});
}

std::optional<ProcessExit> PollExit(pid_t pid) {
  int status = 0;
  const pid_t ended = waitpid(pid, &status, WNOHANG);
  if (ended != pid && !(ended < 0 && errno == ECHILD)) return std::nullopt;
  ProcessExit exit;
  if (WIFEXITED(status)) exit.code = WEXITSTATUS(status);
  if (WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
  return exit;
}

}  // namespace cytopress
