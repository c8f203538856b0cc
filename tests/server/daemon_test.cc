// What belongs to the server as a whole: health, reflection, metrics, TLS, starting and stopping.
#include "server/daemon.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/file.h"
#include "tests/as_nobody.h"
#include "tests/captured_log.h"
#include "tests/eventually.h"
#include "tests/server/certificates.h"
#include "tests/server/test_server.h"

namespace cytopress {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

grpc::ByteBuffer ToBuffer(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

std::string ToString(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(buffer.Dump(&slices).ok());
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// Sends one message to a method whose generated code is not at hand and takes one message.
grpc::Status CallGeneric(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                         const std::string& request, std::string* response) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  grpc::CompletionQueue queue;
  grpc::GenericStub stub(channel);
  const auto call = stub.PrepareCall(&context, method, &queue);
  grpc::ByteBuffer answer;
  grpc::Status status;
  const auto wait = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  call->StartCall(nullptr);
  wait();
  call->Write(ToBuffer(request), nullptr);
  wait();
  call->Read(&answer, nullptr);
  if (wait()) *response = ToString(answer);
  call->WritesDone(nullptr);
  wait();
  call->Finish(&status, nullptr);
  wait();
  return status;
}

// "SERVING", "NOT_SERVING" or the error's message.
std::string Health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service) {
  // HealthCheckRequest{service = 1}, HealthCheckResponse{status = 1}.
  const std::string request =
      service.empty() ? "" : absl::StrCat("\n", std::string(1, char(service.size())), service);
  std::string response;
  const grpc::Status status =
      CallGeneric(channel, "/grpc.health.v1.Health/Check", request, &response);
  if (!status.ok()) return absl::StrCat(static_cast<int>(status.error_code()));
  if (response == "\x08\x01") return "SERVING";
  return response == "\x08\x02" ? "NOT_SERVING" : response;
}

class DaemonTest : public ServerTest {
 protected:
  void Configure(DaemonOptions* options) override {
    if (configure_) configure_(options);
  }
  std::function<void(DaemonOptions*)> configure_;

  // Of another server than that of Start().
  DaemonOptions SomeOptions() const {
    DaemonOptions options;
    options.workers = 0;
    options.state_folder = folder_;
    options.grpc.listen = options.metrics_listen = "127.0.0.1:0";
    return options;
  }

  void AwaitServing() {
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (Health(channel_, "cytopress.v1.InferenceService") != "SERVING") {
      ASSERT_LT(absl::Now(), give_up);
      absl::SleepFor(absl::Milliseconds(20));
    }
  }

  void ClassifyOnce(const std::string& model) {
    v1::ClassifyRequest request;
    request.set_model(model);
    v1::RawImage* const raw = request.add_images()->mutable_raw();
    raw->set_width(28);
    raw->set_height(28);
    raw->set_channels(3);
    raw->set_pixels(std::string(28 * 28 * 3, 'x'));
    v1::ClassifyResponse response;
    const grpc::Status status = inference_->Classify(Context().get(), request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
};

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

TEST_F(DaemonTest, MetricsTellOfRequestsModelsAndJobs) {
  Publish("cells");
  Start();
  ClassifyOnce("cells");
  ClassifyOnce("cells");
  MustCompress();
  v1::GetJobRequest missing;
  missing.set_id("nothing");
  v1::Job job;
  jobs_->GetJob(Context().get(), missing, &job);

  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  EXPECT_EQ(MetricValue(text, "cytopress_requests_total{code=\"OK\",method=\"Classify\"}"), 2);
  EXPECT_EQ(MetricValue(text, "cytopress_requests_total{code=\"NOT_FOUND\",method=\"GetJob\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_request_seconds_count{method=\"Compress\"}"), 1);
  const std::string labels = "{model=\"cells\",version=\"1\"}";
  const std::string request = "cytopress_classify_request_seconds_count";
  EXPECT_EQ(MetricValue(text, request + "{call=\"unary\",model=\"cells\",version=\"1\"}"), 2);
  EXPECT_EQ(MetricValue(text, request + "{call=\"stream\",model=\"cells\",version=\"1\"}"), 0);
  for (const char* part : {"queue", "decode", "compute"}) {
    const std::string name = absl::StrCat("cytopress_classify_", part, "_seconds_count");
    EXPECT_EQ(MetricValue(text, name + labels), 2) << name;
  }
  EXPECT_THAT(text, HasSubstr("cytopress_classify_request_seconds_bucket{call=\"unary\",model="
                              "\"cells\",version=\"1\",le=\"0.025\"}"));
  EXPECT_EQ(MetricValue(text, "cytopress_classify_images_total" + labels), 2);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_batch_size_sum" + labels), 2);
  EXPECT_GT(MetricValue(text, "cytopress_classify_engine_cpu_seconds_total" + labels), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_queue_depth"), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_classify_predicted_seconds" + labels), 0);
  EXPECT_GE(MetricValue(text, "cytopress_classify_prediction_margin_ratio"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_model_loaded" + labels), 1);
  EXPECT_EQ(MetricValue(text,
                        "cytopress_model_accuracy_ratio{model=\"cells\",version=\"1\","
                        "split=\"test\"}"),
            0.875);
  EXPECT_EQ(MetricValue(text,
                        "cytopress_model_auc_ratio{model=\"cells\",version=\"1\","
                        "split=\"test\"}"),
            0.9375);
  EXPECT_NEAR(MetricValue(text, "cytopress_model_sparsity_ratio" + labels),
              MeasureSize(*ParseArtifact(TestArtifact()), 0).sparsity(), 1e-6);
  EXPECT_EQ(MetricValue(text, "cytopress_model_disk_bytes" + labels), TestArtifact().size());
  EXPECT_EQ(MetricValue(text, "cytopress_jobs{state=\"queued\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_jobs{state=\"failed\"}"), 0);
  EXPECT_EQ(MetricValue(text, "cytopress_job_queue_depth"), 1);
  EXPECT_GE(MetricValue(text, "cytopress_job_queue_oldest_age_seconds"), 0);
  EXPECT_GT(MetricValue(text, "process_resident_memory_bytes"), 1e6);
  EXPECT_GT(MetricValue(text, "process_cpu_seconds_total"), 0);
  EXPECT_GT(MetricValue(text, "process_start_time_seconds"), 1.6e9);
  EXPECT_EQ(MetricValue(text, "cytopress_build_info{version=\"" CYTOPRESS_VERSION "\"}"), 1);
}

TEST_F(DaemonTest, MetricsCountTheStagesThatEndWhileTheServerRuns) {
  // The line that is in the database already is not counted.
  const std::unique_ptr<JobStore> store = [this] {
    std::filesystem::create_directories(folder_);
    return OpenStore();
  }();
  const auto report = [&](const std::string& stage, v1::StageKind kind, double seconds) {
    ASSERT_TRUE(store->Submit(ValidCompress().spec(), "").ok());
    const auto leased = store->AcquireLease("w", "cpu", absl::Seconds(30));
    ASSERT_TRUE(leased.ok() && leased->has_value());
    v1::LedgerEntry line;
    line.set_stage(stage);
    line.set_kind(kind);
    line.set_seconds(seconds);
    line.set_images_per_second(kind == v1::STAGE_KIND_TRAIN ? 123 : 0);
    ASSERT_TRUE(store->Start((*leased)->lease).ok());
    ASSERT_TRUE(store->AppendLedger((*leased)->lease, line).ok());
    ASSERT_TRUE(store->Succeed((*leased)->lease, "cells@1", "").ok());
  };
  report("train", v1::STAGE_KIND_TRAIN, 1000);
  Start();
  ASSERT_TRUE(store->Heartbeat("far-1", "cuda:0", "").ok());
  report("train", v1::STAGE_KIND_TRAIN, 50);
  report("prune", v1::STAGE_KIND_PRUNE, 2);
  report("prune 80 %", v1::STAGE_KIND_PRUNE, 3);
  report("try 2 fine-tune", v1::STAGE_KIND_FINE_TUNE, 4);
  report("try 2", v1::STAGE_KIND_TRY, 5);
  report("blood-s80-int4", v1::STAGE_KIND_CELL, 6);
  const std::string text = HttpGet(daemon_->metrics_port(), "/metrics");
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_count{stage=\"train\"}"), 1);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"train\"}"), 50);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"prune\"}"), 5);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"fine-tune\"}"), 4);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"try\"}"), 5);
  EXPECT_EQ(MetricValue(text, "cytopress_stage_seconds_sum{stage=\"cell\"}"), 6);
  EXPECT_EQ(MetricValue(text, "cytopress_training_images_per_second{stage=\"train\"}"), 123);
  EXPECT_TRUE(
      std::isnan(MetricValue(text, "cytopress_training_images_per_second{stage=\"prune\"}")));
  EXPECT_EQ(MetricValue(text, "cytopress_worker_up{worker=\"far-1\",device=\"cuda:0\"}"), 1);
}

TEST_F(DaemonTest, TheMetricsPortServesNothingElse) {
  Start();
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/metrics"), HasSubstr("200 OK"));
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/"), HasSubstr("404"));
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/../../etc/passwd"), Not(HasSubstr("root:")));
}

TEST_F(DaemonTest, UnknownMethodsMakeNoMetrics) {
  Start();
  std::string response;
  for (const char* method : {"/made.Up/Method", "/cytopress.v1.MadeUp/Method",
                             "/cytopress.v1.JobService/MadeUpMethod"}) {
    EXPECT_EQ(CallGeneric(channel_, method, "", &response).error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
  EXPECT_THAT(HttpGet(daemon_->metrics_port(), "/metrics"), Not(HasSubstr("Method")));
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

TEST_F(DaemonTest, ACallThatRunsIntoItsDeadlineIsCountedAsSuch) {
  Start();
  v1::WatchJobRequest request;
  request.set_id(MustCompress().id());
  const std::unique_ptr<grpc::ClientContext> context = Context();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  const auto stream = jobs_->WatchJob(context.get(), request);
  v1::WatchJobResponse response;
  while (stream->Read(&response)) {
  }
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_TRUE(Eventually([this] {
    return MetricValue(
               HttpGet(daemon_->metrics_port(), "/metrics"),
               "cytopress_requests_total{code=\"DEADLINE_EXCEEDED\",method=\"WatchJob\"}") == 1;
  }));
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

TEST_F(DaemonTest, AStoppedServerIsUnavailable) {
  Start();
  daemon_->Shutdown();
  daemon_->Shutdown();
  v1::Job job;
  EXPECT_EQ(Compress(ValidCompress(), &job).error_code(), grpc::StatusCode::UNAVAILABLE);
}

class TlsTest : public DaemonTest {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    pair_ = SelfSigned();
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/cert.pem", pair_.certificate).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/key.pem", pair_.key).ok());
  }
  // Answers ListJobs.
  grpc::Status CallWith(const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const auto stub = v1::JobService::NewStub(
        OpenChannel(absl::StrCat("localhost:", daemon_->port()), credentials));
    v1::ListJobsResponse response;
    return stub->ListJobs(Context().get(), v1::ListJobsRequest(), &response);
  }
  grpc::SslCredentialsOptions Trusting() const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = pair_.certificate;
    return options;
  }

  CertificateAndKey pair_;
};

TEST_F(TlsTest, EncryptsAndRefusesPlainText) {
  configure_ = [this](DaemonOptions* options) {
    options->grpc.tls.certificate = folder_ + "/cert.pem";
    options->grpc.tls.key = folder_ + "/key.pem";
  };
  Start();
  const grpc::Status status = CallWith(grpc::SslCredentials(Trusting()));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(CallWith(grpc::InsecureChannelCredentials()).error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, AsksClientsForACertificate) {
  configure_ = [this](DaemonOptions* options) {
    options->grpc.tls.certificate = options->grpc.tls.client_ca = folder_ + "/cert.pem";
    options->grpc.tls.key = folder_ + "/key.pem";
  };
  Start();
  EXPECT_EQ(CallWith(grpc::SslCredentials(Trusting())).error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::SslCredentialsOptions mutual = Trusting();
  mutual.pem_cert_chain = pair_.certificate;
  mutual.pem_private_key = pair_.key;
  const grpc::Status status = CallWith(grpc::SslCredentials(mutual));
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(TlsTest, HalfOfAPairIsAnError) {
  DaemonOptions options = SomeOptions();
  options.grpc.tls.certificate = folder_ + "/cert.pem";
  EXPECT_EQ(Daemon::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
  options.grpc.tls.key = folder_ + "/nothing.pem";
  EXPECT_EQ(Daemon::Start(options).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/key.der", "0\x82").ok());
  options.grpc.tls.key = folder_ + "/key.der";
  const absl::Status no_pem = Daemon::Start(options).status();
  EXPECT_EQ(no_pem.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(no_pem.message()), HasSubstr("--tls-key: "));
}

}  // namespace
}  // namespace cytopress
