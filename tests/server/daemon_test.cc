// What belongs to the server as a whole: health, reflection, starting and stopping.
#include "server/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "core/engine/engine.h"
#include "tests/as_nobody.h"
#include "tests/captured_log.h"
#include "tests/eventually.h"
#include "tests/server/daemon_fixture.h"
#include "tests/server/generic_call.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(DaemonTest, EveryServiceIsHealthy) {
  Start();
  for (const char* service : {"", "cytopress.v1.JobService", "cytopress.v1.ModelService",
                              "cytopress.v1.InferenceService"}) {
    EXPECT_EQ(Health(channel_, service), "SERVING") << service;
  }
  EXPECT_EQ(Health(channel_, "cytopress.v1.Nothing"),
            absl::StrCat(static_cast<int>(grpc::StatusCode::NOT_FOUND)));
}

TEST_F(DaemonTest, TheThreadsOfCallsComeAfterThoseThatCompute) {
  Publish("cells");
  Start();
  ClassifyOnce("cells");
  std::map<std::string, int> priorities;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    const int thread = std::stoi(entry.path().filename());
    priorities[name] = getpriority(PRIO_PROCESS, thread) - getpriority(PRIO_PROCESS, 0);
  }
  ASSERT_THAT(priorities, testing::Contains(testing::Key("nexting_thread")));
  // There is no nicer than 19.
  EXPECT_EQ(priorities["nexting_thread"], std::min(2, 19 - getpriority(PRIO_PROCESS, 0)));
  ASSERT_THAT(priorities, testing::Contains(testing::Key("engine")));
  EXPECT_EQ(priorities["engine"], 0);
  EXPECT_EQ(priorities["decode"], 0);
}

TEST_F(DaemonTest, ReflectionListsTheServices) {
  Start();
  // ServerReflectionRequest{list_services = 7}.
  std::string response;
  const grpc::Status status =
      CallGeneric(channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                  "\x3a\x01*", &response);
  EXPECT_TRUE(status.ok()) << status.error_message();
  for (const char* service : {"cytopress.v1.JobService", "cytopress.v1.ModelService",
                              "cytopress.v1.InferenceService", "grpc.health.v1.Health"}) {
    EXPECT_THAT(response, HasSubstr(service));
  }
}

TEST_F(DaemonTest, TheDefaultModelIsLoadedBeforeTheServerIsReady) {
  Publish("cells");
  configure_ = [](DaemonOptions* options) { options->default_model = "cells"; };
  Start();
  EXPECT_EQ(MetricValue(HttpGet(daemon_->metrics_port(), "/metrics"),
                        "cytopress_model_loaded{model=\"cells\",version=\"1\"}"),
            1);
  ClassifyOnce("");
}

TEST_F(DaemonTest, ADefaultModelMayComeLater) {
  configure_ = [](DaemonOptions* options) { options->default_model = "cells"; };
  const CapturedLog log;
  Start();
  EXPECT_EQ(Health(channel_, "cytopress.v1.InferenceService"), "SERVING");
  Publish("cells");
  ClassifyOnce("");
  daemon_.reset();
  EXPECT_THAT(log.text(),
              HasSubstr("requests that name no model are refused until it is published"));
}

TEST_F(DaemonTest, TheEndOfTheDefaultModelIsLogged) {
  Publish("cells");
  Publish("cells");
  configure_ = [](DaemonOptions* options) { options->default_model = "cells"; };
  const CapturedLog log;
  Start();
  for (const int version : {2, 1}) {
    v1::DeleteModelRequest request;
    request.set_name("cells");
    request.set_version(version);
    v1::DeleteModelResponse response;
    ASSERT_TRUE(models_->DeleteModel(Context().get(), request, &response).ok());
  }
  daemon_.reset();
  EXPECT_THAT(log.text(), HasSubstr("warning: cells@1 was the last version of the default model"));
  EXPECT_THAT(log.text(), Not(HasSubstr("cells@2 was the last")));
}

TEST_F(DaemonTest, ADamagedDefaultModelIsNotHealthyButTheRestIs) {
  Publish("cells");
  const absl::StatusOr<std::string> path = OpenRegistry().PathOf({"cells", 1});
  ASSERT_TRUE(path.ok());
  {
    std::fstream file(*path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-100, std::ios::end);
    file.write("damaged!", 8);
  }
  configure_ = [](DaemonOptions* options) {
    options->default_model = "cells";
    options->look_for_default_model = absl::Milliseconds(20);
  };
  Start();
  EXPECT_EQ(Health(channel_, "cytopress.v1.InferenceService"), "NOT_SERVING");
  EXPECT_EQ(Health(channel_, "cytopress.v1.JobService"), "SERVING");

  Publish("cells");
  AwaitServing();
  ClassifyOnce("");
}

TEST_F(DaemonTest, ADefaultModelThatLackedMemoryIsTriedAgain) {
  Publish("cells");
  std::atomic<bool> has_memory = false;
  configure_ = [&](DaemonOptions* options) {
    options->default_model = "cells";
    options->look_for_default_model = absl::Milliseconds(20);
    options->serving.models.retry_failed_after = absl::ZeroDuration();
    options->make_engine =
        [&](const Artifact& artifact,
            const EngineOptions& engine) -> absl::StatusOr<std::unique_ptr<Engine>> {
      if (!has_memory) return absl::ResourceExhaustedError("no memory for the model");
      return CreateEngine(artifact, engine);
    };
  };
  Start();
  EXPECT_EQ(Health(channel_, "cytopress.v1.InferenceService"), "NOT_SERVING");
  has_memory = true;
  AwaitServing();
  ClassifyOnce("");
}

TEST_F(DaemonTest, TheReadyFileHasThePorts) {
  configure_ = [this](DaemonOptions* options) { options->ready_file = folder_ + "/ready.json"; };
  Start();
  const absl::StatusOr<std::string> content = ReadFile(folder_ + "/ready.json", 1 << 16);
  ASSERT_TRUE(content.ok()) << content.status();
  const nlohmann::json ready = nlohmann::json::parse(*content);
  EXPECT_EQ(ready["listen"], absl::StrCat("127.0.0.1:", daemon_->port()));
  EXPECT_EQ(ready["port"], daemon_->port());
  EXPECT_EQ(ready["metrics_port"], daemon_->metrics_port());
  EXPECT_EQ(ready["pid"], getpid());
}

TEST_F(DaemonTest, AReadyFileThatCannotBeWrittenNamesTheFlag) {
  DaemonOptions options = SomeOptions();
  options.ready_file = folder_ + "/nowhere/ready.json";
  EXPECT_THAT(std::string(Daemon::Start(options).status().message()),
              HasSubstr("--ready-file: cannot"));
}

TEST_F(DaemonTest, TheLogNamesThePorts) {
  const CapturedLog log;
  Start();
  const std::string ports = absl::StrCat("serves on 127.0.0.1:", daemon_->port(),
                                         ", metrics on 127.0.0.1:", daemon_->metrics_port(), ",");
  daemon_.reset();
  EXPECT_THAT(log.text(), HasSubstr(ports));
}

TEST_F(DaemonTest, FoldersThatCannotBeWrittenAreErrorsWithTheRemedy) {
  namespace fs = std::filesystem;
  const std::string locked = temporary_.PathOf("locked");
  for (const std::string& folder : {folder_, locked}) fs::create_directories(folder);
  fs::permissions(folder_, fs::perms::all);
  fs::permissions(locked, fs::perms::owner_read | fs::perms::owner_exec | fs::perms::others_read |
                              fs::perms::others_exec);
  const auto start = [this](const DaemonOptions& options) {
    absl::Status status;
    AsNobody(temporary_.path(), [&] { status = Daemon::Start(options).status(); });
    return status;
  };
  DaemonOptions options = SomeOptions();
  options.state_folder = locked;
  EXPECT_THAT(std::string(start(options).message()),
              absl::StrCat("the state folder: cannot write ", locked,
                           ": Permission denied; give it to the user of cytopressd (chown), or "
                           "name another one by --state"));
  options = SomeOptions();
  options.database_url = absl::StrCat("sqlite://", locked, "/jobs.db");
  EXPECT_THAT(std::string(start(options).message()), HasSubstr("--database"));
  options = SomeOptions();
  options.models_folder = locked;
  EXPECT_EQ(start(options), absl::OkStatus()) << "it may serve what others publish there";
  options.workers = 1;
  EXPECT_THAT(std::string(start(options).message()), HasSubstr("--models"));
}

TEST_F(DaemonTest, ATakenPortIsAnError) {
  const std::string ready_file = folder_ + "/ready.json";
  configure_ = [&](DaemonOptions* options) { options->ready_file = ready_file; };
  Start();
  DaemonOptions options = SomeOptions();
  options.ready_file = ready_file;
  options.grpc.listen = absl::StrCat("127.0.0.1:", daemon_->port());
  const absl::Status grpc_taken = Daemon::Start(options).status();
  EXPECT_EQ(grpc_taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(grpc_taken.message()), HasSubstr("--listen"));
  options.grpc.listen = "127.0.0.1:0";
  options.metrics_listen = absl::StrCat("127.0.0.1:", daemon_->metrics_port());
  const absl::Status metrics_taken = Daemon::Start(options).status();
  EXPECT_EQ(metrics_taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(metrics_taken.message()), HasSubstr("--metrics-listen"));
  EXPECT_THAT(std::string(metrics_taken.message()), Not(HasSubstr("Civet")));
  EXPECT_TRUE(std::filesystem::exists(ready_file)) << "it is the other one's";
}

TEST_F(DaemonTest, ASocketIsTakenFromNoServerThatIsThere) {
  const std::string address = absl::StrCat("unix:", folder_, "/grpc.sock");
  configure_ = [&](DaemonOptions* options) {
    options->grpc.listen = address;
    options->ready_file = folder_ + "/ready.json";
  };
  Start();
  const nlohmann::json ready = nlohmann::json::parse(*ReadFile(folder_ + "/ready.json", 1 << 16));
  EXPECT_EQ(ready["listen"], address);
  EXPECT_FALSE(ready.contains("port")) << "it has none";
  DaemonOptions options = SomeOptions();
  options.grpc.listen = address;
  const absl::Status taken = Daemon::Start(options).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(taken.message()), HasSubstr("--listen"));
  EXPECT_EQ(Health(OpenChannel(address), "cytopress.v1.JobService"), "SERVING");
}

TEST_F(DaemonTest, ServersOfOneDatabaseShareTheirModels) {
  Start();
  DaemonOptions options = SomeOptions();
  options.state_folder = folder_ + "/second";
  options.database_url = absl::StrCat("sqlite://", folder_, "/jobs.db");
  const absl::Status refused = Daemon::Start(options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--models"));
  options.models_folder = folder_ + "/models";
  EXPECT_EQ(Daemon::Start(options).status(), absl::OkStatus());
}

TEST_F(DaemonTest, AWorkerProgramThatIsNotThereIsAnError) {
  DaemonOptions options;
  options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
  options.state_folder = folder_;
  options.worker_program = folder_ + "/nothing";
  const absl::Status status = Daemon::Start(options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr(folder_ + "/nothing"));
}

TEST_F(DaemonTest, JobsAreThereAfterARestart) {
  Start();
  const v1::Job job = MustCompress();
  daemon_.reset();
  Start();
  v1::GetJobRequest request;
  request.set_id(job.id());
  v1::Job found;
  ASSERT_TRUE(jobs_->GetJob(Context().get(), request, &found).ok());
  EXPECT_EQ(found.SerializeAsString(), job.SerializeAsString());
}

TEST_F(DaemonTest, WorkersAreToldToEndWhileCallsAreWaitedFor) {
  const std::string started = temporary_.PathOf("started");
  const std::string told = temporary_.PathOf("told");
  const std::string worker = temporary_.PathOf("worker");
  std::ofstream(worker) << "#!/bin/sh\ntrap 'touch " << told << "; exit 0' TERM\ntouch " << started
                        << "\nwhile true; do sleep 0.02; done\n";
  std::filesystem::permissions(worker, std::filesystem::perms::owner_all);
  bool waited_for_calls = false;
  configure_ = [&](DaemonOptions* options) {
    options->workers = 1;
    options->worker_program = worker;
    options->on_awaiting = [&](const char* what) {
      if (!absl::StartsWith(what, "calls")) return;
      waited_for_calls = true;
      EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(told); }));
    };
  };
  Start();
  MustCompress();
  EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(started); }));
  daemon_->Shutdown();
  EXPECT_TRUE(waited_for_calls);
}

TEST_F(DaemonTest, WhoWatchesItsHealthDoesNotHoldUpTheEnd) {
  configure_ = [](DaemonOptions* options) { options->drain_patience = absl::Seconds(50); };
  Start();
  const HealthWatch watch(channel_);
  const absl::Time start = absl::Now();
  daemon_->Shutdown();
  EXPECT_LT(absl::Now() - start, absl::Seconds(25));
}

TEST_F(DaemonTest, AStoppedServerIsUnavailable) {
  Start();
  daemon_->Shutdown();
  daemon_->Shutdown();
  v1::Job job;
  EXPECT_EQ(Compress(ValidCompress(), &job).error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace cytopress
