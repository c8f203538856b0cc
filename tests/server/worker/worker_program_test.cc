#include "server/worker/worker_program.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/jobs/registry_binding.h"
#include "core/registry/model_registry.h"
#include "tests/eventually.h"
#include "tests/fake_clock.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

class WorkerProgramTest : public testing::Test {
 protected:
  // Runs the program in a process of its own, as its signals and locks need; returns its exit code.
  int Run(
      std::vector<std::string> arguments, const RunJobFactory& factory, Clock* clock = RealClock(),
      const DeviceCheck& check_device = [](const std::string&) { return absl::OkStatus(); }) {
    const pid_t child = fork();
    if (child == 0) {
      arguments.insert(arguments.begin(), "cytopress-worker");
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      const int code = RunWorkerProgram(static_cast<int>(argv.size()), argv.data(), factory, clock,
                                        check_device);
      std::fflush(stdout);
      _exit(code);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

  std::vector<std::string> Flags() {
    return {"--database", url_, "--models", folder_ + "/models", "--work", folder_ + "/work",
            "--name",     "w1", "--once"};
  }

  std::unique_ptr<JobStore> Open() { return *OpenJobStore(url_, RealClock()); }

  std::string Submit() {
    v1::JobSpec spec;
    spec.set_model_name("blood");
    spec.mutable_dataset()->set_uri("synthetic");
    return Open()->Submit(spec, "")->id();
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.PathOf("state");  // not there yet
  const std::string url_ = "sqlite://" + folder_ + "/jobs.db";
};

absl::StatusOr<RunJob> NoJobs(const WorkerSettings&) {
  return RunJob([](const JobTask&, JobAttempt*) { return absl::InternalError("not expected"); });
}

TEST_F(WorkerProgramTest, BadFlagsExitWith2) {
  EXPECT_EQ(Run({}, NoJobs), 2);
  EXPECT_EQ(Run({"--nonsense"}, NoJobs), 2);
  std::vector<std::string> flags = Flags();
  flags.insert(flags.end(), {"--device", "cuda:+0"});
  EXPECT_EQ(Run(flags, NoJobs), 2) << "no job is for such a device";
}

TEST_F(WorkerProgramTest, HelpFitsATerminal) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(Run({"--help"}, NoJobs), 0);
  const std::string help = testing::internal::GetCapturedStdout();
  EXPECT_NE(help.find("--die-with-parent"), std::string::npos) << help;
  const std::vector<std::string> lines = absl::StrSplit(help, '\n');
  // Of 80 columns, unless standard error is a terminal that has more.
  for (const std::string& line : lines) EXPECT_LE(line.size(), 100u) << line;
}

TEST_F(WorkerProgramTest, EmptyQueueExitsWith0AndBadDatabaseWith1) {
  EXPECT_EQ(Run(Flags(), NoJobs), 1) << "no server has made the database";
  Open();
  EXPECT_EQ(Run(Flags(), NoJobs), 0);
  std::vector<std::string> flags = Flags();
  flags[1] = "nowhere";
  EXPECT_EQ(Run(flags, NoJobs), 1);
  const std::string mistyped = folder_ + "/jos.db";
  flags[1] = "sqlite://" + mistyped;
  EXPECT_EQ(Run(flags, NoJobs), 1);
  EXPECT_FALSE(std::filesystem::exists(mistyped));
}

TEST_F(WorkerProgramTest, AnotherFolderOfModelsThanTheDatabasesIsRefused) {
  ModelRegistry models = *ModelRegistry::Open(folder_ + "/of the server");
  ASSERT_EQ(BindRegistry(&models, Open().get()), absl::OkStatus());
  const std::string id = Submit();
  EXPECT_EQ(Run(Flags(), NoJobs), 1);
  EXPECT_EQ(Open()->Get(id)->attempt(), 0);
}

TEST_F(WorkerProgramTest, ADeviceThatDoesNotWorkCostsNoJobAnAttempt) {
  const std::string id = Submit();
  EXPECT_EQ(Run(Flags(), NoJobs, RealClock(),
                [](const std::string& device) { return absl::UnavailableError(device); }),
            1);
  EXPECT_EQ(Open()->Get(id)->attempt(), 0);
}

TEST_F(WorkerProgramTest, ADeviceThatAJobLosesEndsIt) {
  const std::string id = Submit();
  std::vector<std::string> flags = Flags();
  flags.pop_back();  // --once
  bool lost = false;
  EXPECT_EQ(Run(
                flags,
                [&](const WorkerSettings&) -> absl::StatusOr<RunJob> {
                  return RunJob([&](const JobTask&, JobAttempt*) {
                    lost = true;
                    return absl::InternalError("CUDA error: an illegal memory access");
                  });
                },
                RealClock(),
                [&](const std::string& device) {
                  return lost ? absl::UnavailableError(device) : absl::OkStatus();
                }),
            1);
  EXPECT_EQ(Open()->Get(id)->attempt(), 1);
}

TEST_F(WorkerProgramTest, SettingsReachTheJobs) {
  const std::string id = Submit();
  std::vector<std::string> flags = Flags();
  flags.insert(flags.end(), {"--threads", "3"});
  EXPECT_EQ(Run(flags,
                [](const WorkerSettings& settings) -> absl::StatusOr<RunJob> {
                  return RunJob([settings](const JobTask&, JobAttempt*) {
                    return JobOutcome{absl::StrCat(settings.device, "@", settings.threads), ""};
                  });
                }),
            0);
  EXPECT_EQ(Open()->Get(id)->model(), "cpu@3");
}

TEST_F(WorkerProgramTest, SigtermGivesTheJobBack) {
  const std::string id = Submit();
  EXPECT_EQ(Run(Flags(),
                [](const WorkerSettings&) -> absl::StatusOr<RunJob> {
                  return RunJob([](const JobTask&, JobAttempt* attempt) {
                    kill(getpid(), SIGTERM);
                    if (!Eventually([&] { return attempt->ShouldStop(); })) _exit(99);
                    return absl::CancelledError("stopped");
                  });
                }),
            0);
  const v1::Job job = *Open()->Get(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.attempt(), 0);
}

TEST_F(WorkerProgramTest, ASecondSignalEndsItAtOnce) {
  Submit();
  EXPECT_EQ(Run(Flags(),
                [](const WorkerSettings&) -> absl::StatusOr<RunJob> {
                  return RunJob([](const JobTask&, JobAttempt* attempt) -> JobOutcome {
                    kill(getpid(), SIGINT);
                    if (!Eventually([&] { return attempt->ShouldStop(); })) _exit(99);
                    kill(getpid(), SIGTERM);
                    while (true) pause();
                  });
                }),
            -SIGTERM);
}

TEST_F(WorkerProgramTest, AJobThatDoesNotStopEndsIt) {
  const std::string id = Submit();
  FakeClock clock;
  const RunJobFactory hang = [&](const WorkerSettings&) -> absl::StatusOr<RunJob> {
    return RunJob([&](const JobTask&, JobAttempt*) -> JobOutcome {
      kill(getpid(), SIGTERM);
      Eventually([&] {
        clock.Advance(absl::Minutes(1));
        return false;
      });
      _exit(99);
    });
  };
  EXPECT_EQ(Run(Flags(), hang, &clock), 1);
  const v1::Job job = *Open()->Get(id);
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.attempt(), 0);
}

TEST_F(WorkerProgramTest, EndsAtOnceWhenTheParentIsGone) {
  const std::string id = Submit();
  std::vector<std::string> flags = Flags();
  flags.insert(flags.end(), {"--die-with-parent", absl::StrCat(getppid())});  // not its parent
  EXPECT_EQ(Run(flags, NoJobs), 0);
  EXPECT_EQ(Open()->Get(id)->attempt(), 0);
}

}  // namespace
}  // namespace cytopress
