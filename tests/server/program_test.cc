// cytopressd as a process.
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/file.h"
#include "core/gpu/engine_module.h"
#include "core/registry/model_folder.h"
#include "core/registry/model_registry.h"
#include "cytopress/v1/models.grpc.pb.h"
#include "server/flags.h"
#include "server/supervisor/cores.h"
#include "server/supervisor/worker_process.h"
#include "tests/eventually.h"
#include "tests/server/test_server.h"
#include "tests/temporary_folder.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class ProgramTest : public testing::Test {
 protected:
  ~ProgramTest() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      AwaitExit();
    }
  }

  void Run(const std::vector<std::string>& arguments, const std::vector<std::string>& by = {}) {
    ProcessOptions options;
    options.command = by;
    options.command.push_back(program_);
    options.command.insert(options.command.end(), arguments.begin(), arguments.end());
    options.log_path = folder_ + "/log";
    const absl::StatusOr<pid_t> pid = StartProcess(options);
    ASSERT_TRUE(pid.ok()) << pid.status();
    pid_ = *pid;
  }
  void AwaitReady() const {
    ASSERT_TRUE(Eventually([this] { return std::filesystem::exists(ReadyFile()); })) << Log();
  }
  nlohmann::json Ready() const { return nlohmann::json::parse(*ReadFile(ReadyFile(), 1 << 16)); }
  std::string ReadyFile() const { return folder_ + "/ready.json"; }
  ProcessExit AwaitExit() {
    std::optional<ProcessExit> exit;
    EXPECT_TRUE(Eventually([&] {
      exit = PollExit(pid_);
      return exit.has_value();
    }));
    pid_ = 0;
    return exit.value_or(ProcessExit());
  }
  std::string Log() const {
    const absl::StatusOr<std::string> log = ReadFile(folder_ + "/log", 1 << 20);
    return log.ok() ? *log : log.status().ToString();
  }
  std::vector<std::string> ServerArguments() const {
    return {"--listen", "127.0.0.1:0",      "--metrics-listen", "127.0.0.1:0", "--workers", "0",
            "--state",  folder_ + "/state", "--ready-file",     ReadyFile(),   "--zoo",     ""};
  }

  const TemporaryFolder temporary_;
  const std::string folder_ = temporary_.path();
  std::string program_ = CYTOPRESSD;
  pid_t pid_ = 0;
};

TEST_F(ProgramTest, SaysItsVersion) {
  Run({"--version"});
  EXPECT_TRUE(AwaitExit().ok());
  EXPECT_EQ(Log(), "cytopressd " CYTOPRESS_VERSION "\n");
}

TEST_F(ProgramTest, ExplainsItself) {
  Run({"--help"});
  EXPECT_TRUE(AwaitExit().ok());
  EXPECT_THAT(Log(), HasSubstr("Exit codes:"));
  EXPECT_THAT(Log(), HasSubstr("Examples:"));
  EXPECT_THAT(Log(), HasSubstr("--max-loaded-models"));
  const std::vector<std::string> lines = absl::StrSplit(Log(), '\n');
  for (const std::string& line : lines) {
    if (absl::StartsWith(line, "  --")) continue;  // has the default, which may be a long path
    EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST_F(ProgramTest, ABadFlagIsExitCode2) {
  Run({"--workers", "-3"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("--workers"));
  Run({"--device", "gpu"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("gpu"));
  Run({"--bf16", "--inference-device", "cuda:0"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("leave one of the two out"));
  Run({"--listen", "127.0.0.1:99999"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("port 99999 does not exist"));
  for (const char* flag : {"--listen", "--metrics-listen"}) {
    Run({flag, "8500"});
    EXPECT_EQ(AwaitExit().code, 2);
    EXPECT_THAT(Log(), HasSubstr("\"8500\" is no HOST:PORT"));
  }
  Run({"--worker-cores", "1023"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("core 1023 is none of those"));
  Run({"--serving-cores", absl::StrJoin(OtherCores({}), ",")});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("leaves none for the workers"));
  Run({"--default-model", "BAD NAME"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("--default-model: \"BAD NAME\" is not a model name: give "));
  Run({"--listne", "127.0.0.1:0"});
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("did you mean --listen?"));
}

TEST_F(ProgramTest, AFlagThatIsFoundWrongOnlyAtTheStartIsExitCode2) {
  for (const char* flag : {"--database", "--tls-cert"}) {
    std::vector<std::string> arguments = ServerArguments();
    arguments.insert(arguments.end(), {flag, "nonsense"});
    Run(arguments);
    EXPECT_EQ(AwaitExit().code, 2) << flag;
  }
}

TEST_F(ProgramTest, AGpuThatItWasNotBuiltForIsExitCode2WithTheRemedy) {
  std::vector<std::string> arguments = ServerArguments();
  arguments.insert(arguments.end(), {"--inference-device", "cuda:999"});
  Run(arguments);
  if (std::filesystem::exists(std::filesystem::path(CYTOPRESSD).parent_path() / kGpuModule)) {
    GTEST_SKIP() << "it was built for GPUs";
  }
  EXPECT_EQ(AwaitExit().code, 2);
  EXPECT_THAT(Log(), HasSubstr("build it with a CUDA LibTorch"));
}

TEST_F(ProgramTest, AGpuThatIsNotThereIsExitCode1) {
  // It looks for the module beside itself.
  program_ = folder_ + "/cytopressd";
  std::filesystem::copy_file(CYTOPRESSD, program_);
  std::filesystem::copy_file(FAKE_GPU_MODULE, folder_ + "/" + kGpuModule);
  std::vector<std::string> arguments = ServerArguments();
  arguments.insert(arguments.end(), {"--inference-device", "cuda:4"});
  Run(arguments);
  EXPECT_EQ(AwaitExit().code, 1);
  EXPECT_THAT(Log(), HasSubstr("--inference-device cuda:4: there are four GPUs"));
}

TEST_F(ProgramTest, StartsServesAndEndsOnSigterm) {
  const absl::Time start = absl::Now();
  Run(ServerArguments());
  AwaitReady();
  const absl::Duration until_ready = absl::Now() - start;
  const nlohmann::json ready = Ready();
  EXPECT_EQ(ready["pid"], pid_);
  std::string metrics;
  EXPECT_TRUE(Eventually([&] {
    metrics = HttpGet(ready["metrics_port"], "/metrics");
    return MetricValue(metrics, "cytopress_job_queue_depth") == 0;
  })) << metrics;
  RecordProperty("milliseconds_until_ready", absl::StrCat(absl::ToInt64Milliseconds(until_ready)));
  RecordProperty("resident_bytes",
                 absl::StrCat(MetricValue(metrics, "process_resident_memory_bytes")));

  std::ifstream maps(absl::StrCat("/proc/", pid_, "/maps"));
  const std::string loaded((std::istreambuf_iterator<char>(maps)), {});
  EXPECT_THAT(loaded, HasSubstr("libgrpc"));
  EXPECT_THAT(loaded, Not(HasSubstr("libtorch"))) << "the server must not load LibTorch";

  kill(pid_, SIGTERM);
  const ProcessExit exit = AwaitExit();
  EXPECT_TRUE(exit.ok()) << exit.ToString() << "\n" << Log();
}

TEST_F(ProgramTest, ATakenPortIsExitCode1WithTheReason) {
  std::vector<std::string> arguments = ServerArguments();
  Run(arguments);
  AwaitReady();
  const pid_t first = pid_;
  arguments[1] = absl::StrCat("127.0.0.1:", static_cast<int>(Ready()["port"]));
  Run(arguments);
  EXPECT_EQ(AwaitExit().code, 1);
  EXPECT_THAT(Log(), HasSubstr("cannot listen on " + arguments[1]));
  EXPECT_THAT(Log(), Not(HasSubstr("has stopped")));
  EXPECT_THAT(Log(), Not(HasSubstr("chttp2"))) << "gRPC's own words";
  pid_ = first;
}

TEST_F(ProgramTest, AClosedTerminalEndsItInGoodOrder) {
  Run(ServerArguments());
  AwaitReady();
  kill(pid_, SIGHUP);
  const ProcessExit exit = AwaitExit();
  EXPECT_TRUE(exit.ok()) << exit.ToString() << "\n" << Log();
  EXPECT_THAT(Log(), Not(HasSubstr("before the start")));
  EXPECT_FALSE(std::filesystem::exists(ReadyFile()));
}

TEST_F(ProgramTest, AClosedTerminalDoesNotEndItUnderNohup) {
  Run(ServerArguments(), {"/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh"});
  AwaitReady();
  kill(pid_, SIGHUP);
  kill(pid_, SIGTERM);
  EXPECT_TRUE(AwaitExit().ok()) << Log();
  EXPECT_THAT(Log(), HasSubstr("Terminated: stopping"));
}

TEST_F(ProgramTest, EndsWhileItsStartHangs) {
  const std::string path = folder_ + "/jobs.db";
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA journal_mode = WAL; BEGIN IMMEDIATE", nullptr, nullptr,
                         nullptr),
            SQLITE_OK);
  std::vector<std::string> arguments = ServerArguments();
  arguments.insert(arguments.end(), {"--database", "sqlite://" + path});
  Run(arguments);
  // From then on it waits for the database.
  ASSERT_TRUE(Eventually([this] { return std::filesystem::exists(folder_ + "/state"); })) << Log();
  kill(pid_, SIGTERM);
  const ProcessExit exit = AwaitExit();
  EXPECT_TRUE(exit.ok()) << exit.ToString() << "\n" << Log();
  EXPECT_THAT(Log(), HasSubstr("Terminated: stopping before the start was complete"));
  sqlite3_close(database);
}

// Deletes cells@1 on as many threads as the server has for calls about models.
class Deletions {
 public:
  explicit Deletions(const std::string& address) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    models_ = v1::ModelService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    // Connected, so that a call that is not answered is one that no thread takes.
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::ListModelsResponse response;
    EXPECT_TRUE(models_->ListModels(&context, v1::ListModelsRequest(), &response).ok());
    for (int i = 0; i < 4; ++i) {
      threads_.emplace_back([this] {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
        v1::DeleteModelRequest request;
        request.set_name("cells");
        request.set_version(1);
        v1::DeleteModelResponse response;
        EXPECT_FALSE(models_->DeleteModel(&context, request, &response).ok());
      });
    }
  }
  ~Deletions() {
    for (std::thread& thread : threads_) thread.join();
  }
  // No other call about models is answered then.
  bool HaveTakenAllThreads() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    v1::ListModelsResponse response;
    const grpc::Status status = models_->ListModels(&context, v1::ListModelsRequest(), &response);
    return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED;
  }

 private:
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::vector<std::thread> threads_;
};

TEST_F(ProgramTest, EndsThoughTheModelsFolderHangs) {
  const std::string models = folder_ + "/state/models";
  absl::StatusOr<ModelRegistry> registry = ModelRegistry::Open(models);
  ASSERT_TRUE(registry.ok() && registry->Publish("cells", TestArtifact(), "").ok());
  const absl::StatusOr<LockedModelFolder> held = LockedModelFolder::Open(models + "/cells");
  ASSERT_TRUE(held.ok()) << held.status();
  std::vector<std::string> arguments = ServerArguments();
  arguments.insert(arguments.end(), {"--drain-seconds", "0"});
  Run(arguments);
  ASSERT_NO_FATAL_FAILURE(AwaitReady());
  Deletions deletions(Ready()["listen"].get<std::string>());
  EXPECT_TRUE(Eventually([&] { return deletions.HaveTakenAllThreads(); }));
  kill(pid_, SIGTERM);
  const ProcessExit exit = AwaitExit();
  EXPECT_EQ(exit.code, 3) << exit.ToString() << "\n" << Log();
  EXPECT_THAT(Log(), HasSubstr("still waiting for calls, which wait for the models folder"));
}

TEST_F(ProgramTest, MayOpenAsManyFilesAsItsLimitCanBeRaisedTo) {
  Run(ServerArguments(), {"/bin/sh", "-c", "ulimit -Sn 256; exec \"$@\"", "sh"});
  AwaitReady();
  rlimit limit = {};
  ASSERT_EQ(prlimit(pid_, RLIMIT_NOFILE, nullptr, &limit), 0);
  EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
}

TEST(FlagsTest, ReadsWhatIsGiven) {
  const char* const arguments[] = {"cytopressd", "--state",         "/tmp/s", "--workers",
                                   "0",          "--drain-seconds", "2.5",    "--max-message-mib",
                                   "8",          "--default-model", "cells",  "--device",
                                   "cuda:1",     "--models",        "/tmp/m"};
  const auto parsed = ParseFlags(std::size(arguments), arguments);
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  const DaemonOptions& options = std::get<Flags>(parsed).daemon;
  EXPECT_EQ(options.state_folder, "/tmp/s");
  EXPECT_EQ(options.models_folder, "/tmp/m");
  EXPECT_EQ(options.workers, 0);
  EXPECT_EQ(options.drain_patience, absl::Seconds(2.5));
  EXPECT_EQ(options.grpc.max_message_bytes, 8 << 20);
  EXPECT_EQ(options.default_model, "cells");
  EXPECT_EQ(options.device, "cuda:1");
  EXPECT_EQ(options.grpc.listen, "127.0.0.1:8500") << "nobody else may connect by default";
}

TEST(FlagsTest, AnEmptyValueDoesNotTakeTheNextArgument) {
  const char* const arguments[] = {"cytopressd", "--zoo=", "--state", "/tmp/s"};
  const auto parsed = ParseFlags(std::size(arguments), arguments);
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.zoo_folder, "");
  EXPECT_EQ(std::get<Flags>(parsed).daemon.state_folder, "/tmp/s");
}

TEST(FlagsTest, WhatIsNoNumberIsOutOfRange) {
  for (const char* flag : {"--drain-seconds", "--unload-idle-minutes", "--max-image-megapixels"}) {
    for (const char* value : {"nan", "-1", "1e9", "much"}) {
      const char* const arguments[] = {"cytopressd", "--state", "/tmp/s", flag, value};
      const auto parsed = ParseFlags(std::size(arguments), arguments);
      ASSERT_TRUE(std::holds_alternative<int>(parsed)) << flag << " " << value;
      EXPECT_EQ(std::get<int>(parsed), 2);
    }
  }
}

TEST(FlagsTest, DevicesAreNamedAsJobsNameThem) {
  const char* arguments[] = {"cytopressd",         "--state", "/tmp/s", "--device", "cuda:00",
                             "--inference-device", "cuda:01"};
  auto parsed = ParseFlags(std::size(arguments), arguments);
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.device, "cuda:0");
  EXPECT_EQ(std::get<Flags>(parsed).inference_device, "cuda:1");
  arguments[4] = "cuda:+0";
  parsed = ParseFlags(std::size(arguments), arguments);
  ASSERT_TRUE(std::holds_alternative<int>(parsed));
  EXPECT_EQ(std::get<int>(parsed), 2);
}

TEST(FlagsTest, WorkersGetTheCoresThatServingLeaves) {
  const char* const arguments[] = {"cytopressd", "--state",   "/tmp/s", "--serving-cores",
                                   "0",          "--workers", "0"};
  auto parsed = ParseFlags(std::size(arguments), arguments);
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_THAT(std::get<Flags>(parsed).serving_cores, testing::ElementsAre(0));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.worker_cores, OtherCores({0}));
  const char* const wrong[] = {"cytopressd", "--state", "/tmp/s", "--worker-cores", "x"};
  parsed = ParseFlags(std::size(wrong), wrong);
  EXPECT_EQ(std::get<int>(parsed), 2);
}

TEST(FlagsTest, ThreadsAreNoMoreThanTheCoresThatServe) {
  std::vector<const char*> arguments = {"cytopressd", "--state",         "/tmp/s", "--workers",
                                        "0",          "--serving-cores", "0"};
  auto parsed = ParseFlags(static_cast<int>(arguments.size()), arguments.data());
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.engines, 1);
  EXPECT_EQ(std::get<Flags>(parsed).daemon.serving.decode_threads, 1);
  arguments.insert(arguments.end(), {"--inference-threads", "3", "--decode-threads", "5"});
  parsed = ParseFlags(static_cast<int>(arguments.size()), arguments.data());
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.engines, 3) << "what is given is kept";
  EXPECT_EQ(std::get<Flags>(parsed).daemon.serving.decode_threads, 5);
}

TEST(FlagsTest, AGpuHasTwoEnginesHoweverManyCoresServe) {
  std::vector<const char*> arguments = {
      "cytopressd",         "--state", "/tmp/s",          "--workers", "0",
      "--inference-device", "cuda:0",  "--serving-cores", "0"};
  auto parsed = ParseFlags(static_cast<int>(arguments.size()), arguments.data());
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.engines, 2);
  EXPECT_EQ(std::get<Flags>(parsed).daemon.serving.decode_threads, 1);
  arguments.insert(arguments.end(), {"--inference-threads", "3"});
  parsed = ParseFlags(static_cast<int>(arguments.size()), arguments.data());
  ASSERT_TRUE(std::holds_alternative<Flags>(parsed));
  EXPECT_EQ(std::get<Flags>(parsed).daemon.engines, 3) << "what is given is kept";
}

}  // namespace
}  // namespace cytopress
