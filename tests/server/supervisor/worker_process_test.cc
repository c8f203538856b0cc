#include "server/supervisor/worker_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "server/supervisor/cores.h"
#include "tests/eventually.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using testing::HasSubstr;

class WorkerProcessTest : public testing::Test {
 protected:
  ProcessOptions Shell(const std::string& script) {
    ProcessOptions options;
    options.command = {"/bin/sh", "-c", script};
    options.log_path = folder_ + "/log";
    options.max_log_bytes = 1000;
    return options;
  }

  static ProcessExit Wait(pid_t pid) {
    std::optional<ProcessExit> exit;
    EXPECT_TRUE(Eventually([&] { return (exit = PollExit(pid)).has_value(); }));
    return exit.value_or(ProcessExit());
  }

  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
};

TEST_F(WorkerProcessTest, LogsBothStreamsAndTellsTheExitCode) {
  const absl::StatusOr<pid_t> pid = StartProcess(Shell("echo out; echo err >&2; exit 7"));
  ASSERT_TRUE(pid.ok()) << pid.status();
  const ProcessExit exit = Wait(*pid);
  EXPECT_EQ(exit.code, 7);
  EXPECT_FALSE(exit.ok());
  EXPECT_EQ(exit.ToString(), "exit code 7");
  EXPECT_EQ(Read(folder_ + "/log"), "out\nerr\n");
}

TEST_F(WorkerProcessTest, TellsTheSignal) {
  const absl::StatusOr<pid_t> pid = StartProcess(Shell("kill -9 $$"));
  ASSERT_TRUE(pid.ok());
  const ProcessExit exit = Wait(*pid);
  EXPECT_EQ(exit.signal, SIGKILL);
  EXPECT_THAT(exit.ToString(), HasSubstr("signal 9"));
}

TEST_F(WorkerProcessTest, LongLogIsMovedAway) {
  ASSERT_TRUE(Wait(*StartProcess(Shell("printf %2000s x"))).ok());
  ASSERT_TRUE(Wait(*StartProcess(Shell("echo second"))).ok());
  ASSERT_TRUE(Wait(*StartProcess(Shell("echo third"))).ok());
  EXPECT_EQ(Read(folder_ + "/log"), "second\nthird\n");
  EXPECT_EQ(std::filesystem::file_size(folder_ + "/log.1"), 2000u);
}

TEST_F(WorkerProcessTest, LastWordsAreTheLastRecordOfItsLog) {
  const std::string log = folder_ + "/log";
  EXPECT_EQ(LastWords(log, 0), "") << "there is no log";
  std::ofstream(log) << "[12:00] [worker] [info] ready\n[12:01] [worker] [error] no device\n";
  const int64_t size = static_cast<int64_t>(std::filesystem::file_size(log));
  EXPECT_EQ(LastWords(log, 0), "no device");
  EXPECT_EQ(LastWords(log, size), "") << "they are of an earlier process";
  EXPECT_EQ(LastWords(log, size + 1), "no device") << "the earlier ones are in another file";
  std::ofstream(log, std::ios::app) << "[12:02] [worker] [error] [at alloc.cpp:83] no memory\n";
  EXPECT_EQ(LastWords(log, 0), "[at alloc.cpp:83] no memory");
  std::ofstream(log) << "[12:00] [worker] [info] ready\n[12:01] [worker] [error] no device\n";
  std::ofstream(log, std::ios::app) << "terminate called\n";
  EXPECT_EQ(LastWords(log, 0), "no device terminate called");
  EXPECT_EQ(LastWords(log, size), "terminate called");
}

TEST_F(WorkerProcessTest, IsPoliteAndInheritsNothing) {
  // Both would be inherited by a plain fork and exec.
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, &blocked, &before), 0);
  ProcessOptions options =
      Shell(absl::StrCat("[ -e /proc/$$/fd/", pipe_ends[0], " ] || kill -TERM $$; echo survived"));
  options.nice = 5;
  const int base = getpriority(PRIO_PROCESS, 0);
  const absl::StatusOr<pid_t> pid = StartProcess(options);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(pid.ok());
  EXPECT_EQ(Wait(*pid).signal, SIGTERM);
  close(pipe_ends[0]);
  close(pipe_ends[1]);

  options = Shell("read line < " + folder_ + "/gate; nice");
  options.nice = 5;
  ASSERT_EQ(mkfifo((folder_ + "/gate").c_str(), 0600), 0);
  const absl::StatusOr<pid_t> waiting = StartProcess(options);
  ASSERT_TRUE(waiting.ok());
  std::ofstream(folder_ + "/gate") << "go\n";
  EXPECT_TRUE(Wait(*waiting).ok());
  EXPECT_THAT(Read(folder_ + "/log"), HasSubstr(absl::StrCat(std::min(19, base + 5), "\n")));
}

TEST_F(WorkerProcessTest, MissingProgramIsNotFound) {
  ProcessOptions options = Shell("");
  options.command[0] = folder_ + "/nothing";
  const absl::Status status = StartProcess(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr(options.command[0]));
}

TEST_F(WorkerProcessTest, AMissingLogFolderIsNotTakenForTheProgram) {
  ProcessOptions options = Shell("exit 0");
  options.log_path = folder_ + "/nothing/log";
  const absl::Status status = StartProcess(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("the log " + options.log_path));
}

TEST_F(WorkerProcessTest, YieldsToOthersOnTheCoresItWasGiven) {
  const std::vector<int> mine = OtherCores({});
  ASSERT_FALSE(mine.empty());
  // Waits to be killed.
  ProcessOptions options = Shell("exec sleep 60");
  options.batch = true;
  options.cores = {mine.back()};
  const absl::StatusOr<pid_t> pid = StartProcess(options);
  ASSERT_TRUE(pid.ok()) << pid.status();
  EXPECT_EQ(sched_getscheduler(*pid), SCHED_BATCH);
  cpu_set_t cores;
  ASSERT_EQ(sched_getaffinity(*pid, sizeof(cores), &cores), 0);
  EXPECT_EQ(CPU_COUNT(&cores), 1);
  EXPECT_TRUE(CPU_ISSET(mine.back(), &cores));
  kill(*pid, SIGKILL);
  Wait(*pid);
}

}  // namespace
}  // namespace cytopress
