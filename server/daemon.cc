#include "server/daemon.h"

#include <fcntl.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/address.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/base/steady_notification.h"
#include "core/jobs/job_store.h"
#include "core/jobs/registry_binding.h"
#include "core/registry/model_registry.h"
#include "core/serving/model_loader.h"
#include "server/blocking_calls.h"
#include "server/certificate_expiry.h"
#include "server/default_model.h"
#include "server/inference_service.h"
#include "server/job_service.h"
#include "server/job_watcher.h"
#include "server/metrics/metrics_endpoint.h"
#include "server/metrics/process_metrics.h"
#include "server/metrics/request_metrics.h"
#include "server/metrics/serving_metrics.h"
#include "server/metrics/state_metrics.h"
#include "server/model_service.h"
#include "server/server_locks.h"
#include "server/supervisor/worker_supervisor.h"
#include "server/zoo.h"

namespace cytopress {
namespace {

constexpr int kBlockingThreads = 4;  // of a service
static_assert(kBlockingThreads > kMaxDatasetLooks);
// Least time that calls have to end, as they are told that the server stops.
constexpr absl::Duration kCallPatience = absl::Seconds(1);
// For the job database, which SQLite waits for ten seconds, twice, and for models to leave memory.
constexpr absl::Duration kShutdownMargin = absl::Seconds(25);

std::string DatabaseUrl(const DaemonOptions& options) {
  return options.database_url.empty() ? absl::StrCat("sqlite://", options.state_folder, "/jobs.db")
                                      : options.database_url;
}

std::string ModelsFolder(const DaemonOptions& options) {
  return options.models_folder.empty() ? options.state_folder + "/models" : options.models_folder;
}

// Makes `folder`, and finds out now, before a user does, whether it can be written. `what` it is,
// and the `flag` that names another, are for the error.
absl::Status MakeWritable(const std::string& folder, absl::string_view what,
                          absl::string_view flag) {
  absl::Status status = MakeDirectories(folder);
  if (status.ok() && faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    status = absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", folder));
  }
  if (status.ok()) return status;
  return absl::Status(status.code(),
                      absl::StrCat("the ", what, ": ", status.message(),
                                   "; give it to the user of cytopressd (chown), or name another "
                                   "one by ",
                                   flag));
}

// Another for each server that a database on the network may have.
std::string NamePrefix(const DaemonOptions& options) {
  const std::string state = std::filesystem::absolute(options.state_folder).string();
  return absl::StrCat(HostName("server"), "-", Sha256Hex(state).substr(0, 6));
}

SupervisorOptions ToSupervisorOptions(const DaemonOptions& options) {
  SupervisorOptions supervisor;
  supervisor.worker_program = options.worker_program;
  supervisor.database_url = DatabaseUrl(options);
  if (!DatabaseFile(supervisor.database_url).has_value()) {
    supervisor.name_prefix = NamePrefix(options);
  }
  supervisor.models_folder = ModelsFolder(options);
  supervisor.work_folder = options.state_folder + "/work";
  supervisor.log_folder = options.state_folder + "/logs";
  supervisor.workers = options.workers;
  supervisor.device = options.device;
  supervisor.cores = options.worker_cores;
  return supervisor;
}

// HOST:PORT with the port that was taken where it says 0.
std::string WithPort(const std::string& listen, int port) {
  return absl::StrCat(listen.substr(0, listen.rfind(':') + 1), port);
}

}  // namespace

struct Daemon::Parts {
  const absl::Time started = absl::Now();
  Clock* const clock = RealClock();
  std::vector<ProcessLock> locks;  // with workers
  std::unique_ptr<JobStore> store;
  std::optional<ModelRegistry> registry;
  std::shared_ptr<prometheus::Registry> metrics_registry = std::make_shared<prometheus::Registry>();
  std::unique_ptr<RequestMetrics> request_metrics;
  std::unique_ptr<ServingMetrics> serving_metrics;
  std::unique_ptr<RegistryModelLoader> loader;
  std::unique_ptr<ClassifyPipeline> pipeline;
  std::unique_ptr<WorkerSupervisor> supervisor;
  std::unique_ptr<JobWatcher> job_watcher;
  std::unique_ptr<JobService> jobs;
  std::unique_ptr<ModelService> models;
  std::unique_ptr<InferenceService> inference;
  // Before the services are gone, what runs for their calls must have ended. Two, so that a
  // database that hangs holds up no call about models, nor their disk one about jobs.
  std::unique_ptr<BlockingCalls> job_calls;
  std::unique_ptr<BlockingCalls> model_calls;
  std::unique_ptr<MetricsEndpoint> endpoint;
  std::unique_ptr<GrpcServer> server;
  std::unique_ptr<DefaultModel> default_model;
};

Daemon::Daemon(const DaemonOptions& options)
    : options_(options), parts_(std::make_unique<Parts>()) {}

Daemon::~Daemon() { Shutdown(); }

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const DaemonOptions& options) {
  std::unique_ptr<Daemon> daemon(new Daemon(options));
  CYTOPRESS_RETURN_IF_ERROR(daemon->Open());
  CYTOPRESS_RETURN_IF_ERROR(daemon->StartServing());
  // One that was left behind must not be taken for ours. That of a running server stays: this one
  // would have failed to listen.
  if (!options.ready_file.empty()) unlink(options.ready_file.c_str());
  daemon->WarmUp();
  if (options.on_serving) options.on_serving();
  CYTOPRESS_RETURN_IF_ERROR(daemon->WriteReadyFile());
  spdlog::info("cytopressd {} serves on {}, metrics on {}, state in {}", CYTOPRESS_VERSION,
               daemon->Address(), WithPort(options.metrics_listen, daemon->metrics_port()),
               options.state_folder);
  daemon->serves_ = true;
  return daemon;
}

absl::Status Daemon::Open() {
  Parts& parts = *parts_;
  CYTOPRESS_RETURN_IF_ERROR(MakeFolders());
  if (options_.workers > 0) {
    CYTOPRESS_ASSIGN_OR_RETURN(parts.locks,
                               LockForWorkers(options_.state_folder, DatabaseUrl(options_)));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(parts.store, OpenJobStore(DatabaseUrl(options_), parts.clock));
  CYTOPRESS_ASSIGN_OR_RETURN(ModelRegistry registry, ModelRegistry::Open(ModelsFolder(options_)));
  parts.registry.emplace(std::move(registry));
  CYTOPRESS_RETURN_IF_ERROR(BindRegistry(&*parts.registry, parts.store.get()));
  OfferReadyMadeModels();

  parts.request_metrics =
      std::make_unique<RequestMetrics>(parts.metrics_registry.get(), parts.clock);
  parts.serving_metrics = std::make_unique<ServingMetrics>(parts.metrics_registry.get());
  RegistryModelLoaderOptions loader;
  loader.default_model = options_.default_model;
  loader.engines = options_.engines;
  loader.engine.threads = options_.engine_threads;
  loader.engine.prefer_bf16 = options_.bf16;
  loader.make_engine = options_.make_engine;
  parts.loader = std::make_unique<RegistryModelLoader>(loader, &*parts.registry);
  parts.pipeline = std::make_unique<ClassifyPipeline>(options_.serving, parts.loader.get(),
                                                      parts.serving_metrics.get(), parts.clock);

  parts.supervisor = std::make_unique<WorkerSupervisor>(ToSupervisorOptions(options_),
                                                        parts.store.get(), parts.clock);
  parts.job_watcher = std::make_unique<JobWatcher>(parts.store.get());
  return absl::OkStatus();
}

absl::Status Daemon::MakeFolders() const {
  CYTOPRESS_RETURN_IF_ERROR(MakeWritable(options_.state_folder, "state folder", "--state"));
  if (const auto file = DatabaseFile(DatabaseUrl(options_)); file.has_value()) {
    CYTOPRESS_RETURN_IF_ERROR(MakeWritable(std::filesystem::path(*file).parent_path().string(),
                                           "folder of the job database", "--database"));
  }
  const absl::Status models = MakeWritable(ModelsFolder(options_), "models folder", "--models");
  // A server that only classifies may do so from a folder that others fill.
  const bool may_only_read = options_.workers == 0 && !options_.models_folder.empty();
  if (models.ok() || !may_only_read) return models;
  spdlog::warn("no model can be uploaded or deleted: {}", std::string(models.message()));
  return absl::OkStatus();
}

// A server without them serves all the same.
void Daemon::OfferReadyMadeModels() {
  if (options_.zoo_folder.empty()) return;
  const absl::StatusOr<int> offered =
      OfferZoo(options_.zoo_folder, options_.state_folder + "/zoo.unfinished", *parts_->registry);
  if (!offered.ok()) {
    spdlog::warn("the ready-made models are not offered: {}", offered.status().ToString());
  } else if (*offered > 0) {
    spdlog::info("{} ready-made models offered from {}", *offered, options_.zoo_folder);
  }
}

absl::Status Daemon::StartServing() {
  MakeServices();
  CYTOPRESS_RETURN_IF_ERROR(StartMetrics());
  WarnOfOpenPorts();
  CYTOPRESS_RETURN_IF_ERROR(StartGrpc());
  TellOfCertificate();
  // Last, so that no worker starts for a server that cannot.
  return parts_->supervisor->Start();
}

void Daemon::MakeServices() {
  Parts& parts = *parts_;
  parts.job_calls = std::make_unique<BlockingCalls>(kBlockingThreads);
  parts.model_calls = std::make_unique<BlockingCalls>(kBlockingThreads);
  JobServiceOptions jobs;
  if (options_.workers > 0) jobs.worker_device = options_.device;
  jobs.look_at_dataset = options_.look_at_dataset;
  jobs.on_submitted = [supervisor = parts.supervisor.get()] { supervisor->Notify(); };
  parts.jobs = std::make_unique<JobService>(jobs, parts.store.get(), &*parts.registry,
                                            parts.job_watcher.get(), parts.job_calls.get());
  parts.models = std::make_unique<ModelService>(
      options_.file_patience, &*parts.registry, parts.store.get(),
      [this](const ModelVersion& deleted) { OnDeleted(deleted); }, parts.model_calls.get(),
      parts.clock);
  parts.inference =
      std::make_unique<InferenceService>(options_.max_stream_bytes, parts.pipeline.get(),
                                         parts.serving_metrics.get(), parts.request_metrics.get());
}

void Daemon::OnDeleted(const ModelVersion& model) {
  parts_->pipeline->OnDeleted(model);
  if (model.name != options_.default_model) return;
  if (!absl::IsNotFound(parts_->registry->Resolve({model.name, 0}).status())) return;
  spdlog::warn(
      "{} was the last version of the default model: requests that name no model are refused until "
      "there is another",
      ToString(model));
}

absl::Status Daemon::StartMetrics() {
  Parts& parts = *parts_;
  ModelHost* const host = parts.pipeline->models();
  StateSources sources;
  sources.jobs = parts.store.get();
  sources.models = &*parts.registry;
  sources.loaded_models = [host] { return host->Loaded(); };
  sources.waiting_images = [pipeline = parts.pipeline.get()] { return pipeline->waiting_images(); };
  sources.predicted_seconds = [pipeline = parts.pipeline.get(), host] {
    std::vector<std::pair<ModelVersion, absl::Duration>> predicted;
    for (const ModelVersion& model : host->Loaded()) {
      predicted.emplace_back(model, pipeline->PredictedTime(model, 1, 0));
    }
    return predicted;
  };
  sources.prediction_margin = [pipeline = parts.pipeline.get()] {
    return pipeline->prediction_margin();
  };
  sources.state_folder = options_.state_folder;
  sources.models_folder = ModelsFolder(options_);
  sources.clock = parts.clock;
  CYTOPRESS_ASSIGN_OR_RETURN(
      parts.endpoint,
      MetricsEndpoint::Start(options_.metrics_listen,
                             {parts.metrics_registry, std::make_shared<StateMetrics>(sources),
                              std::make_shared<ProcessMetrics>(CYTOPRESS_VERSION, parts.started)}));
  return absl::OkStatus();
}

void Daemon::WarnOfOpenPorts() const {
  if (options_.grpc.tls.certificate.empty() && !IsLocal(options_.grpc.listen)) {
    spdlog::warn("listening on {} without TLS: whoever reaches the port may use the service",
                 options_.grpc.listen);
  }
  if (!IsLocal(options_.metrics_listen)) {
    spdlog::warn("metrics on {}: whoever reaches the port may read them", options_.metrics_listen);
  }
}

absl::Status Daemon::StartGrpc() {
  Parts& parts = *parts_;
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<RequestMetricsInterceptors>(parts.request_metrics.get()));
  CYTOPRESS_ASSIGN_OR_RETURN(
      parts.server, GrpcServer::Start(options_.grpc,
                                      {parts.jobs.get(), parts.models.get(), parts.inference.get()},
                                      std::move(interceptors)));
  return absl::OkStatus();
}

// Of the one that gRPC has read, which it keeps until the next start.
void Daemon::TellOfCertificate() {
  const std::string& path = options_.grpc.tls.certificate;
  if (path.empty()) return;
  const absl::StatusOr<absl::Time> expiry = CertificateExpiry(path);
  if (!expiry.ok()) {
    spdlog::warn("nobody can say when it expires: {}", std::string(expiry.status().message()));
    return;
  }
  prometheus::BuildGauge()
      .Name("cytopress_tls_certificate_expiry_time_seconds")
      .Help("When the TLS certificate, or one of its chain, expires, in Unix time")
      .Register(*parts_->metrics_registry)
      .Add({})
      .Set(absl::ToDoubleSeconds(*expiry - absl::UnixEpoch()));
  const std::string date = absl::FormatTime("%Y-%m-%d %H:%M UTC", *expiry, absl::UTCTimeZone());
  if (*expiry > parts_->clock->Now()) {
    spdlog::info("the TLS certificate {} expires at {}", path, date);
  } else {
    spdlog::warn(
        "the TLS certificate {} has expired at {}, so that clients refuse it; replace it and start "
        "cytopressd anew",
        path, date);
  }
}

void Daemon::WarmUp() {
  GrpcServer* const server = parts_->server.get();
  parts_->default_model =
      std::make_unique<DefaultModel>(options_.default_model, options_.look_for_default_model,
                                     parts_->loader.get(), parts_->pipeline.get());
  parts_->default_model->WarmUp([server](bool serving) {
    server->SetServing(v1::InferenceService::service_full_name(), serving);
  });
  server->SetServing(v1::JobService::service_full_name(), true);
  server->SetServing(v1::ModelService::service_full_name(), true);
  server->SetServing("", true);
}

std::string Daemon::Address() const {
  const std::string& listen = options_.grpc.listen;
  return IsUnixSocket(listen) ? listen : WithPort(listen, port());
}

absl::Status Daemon::WriteReadyFile() {
  if (options_.ready_file.empty()) return absl::OkStatus();
  wrote_ready_file_ = true;
  nlohmann::json ready = {{"pid", getpid()},
                          {"version", CYTOPRESS_VERSION},
                          {"listen", Address()},
                          {"metrics_port", metrics_port()},
                          {"state", options_.state_folder}};
  if (!IsUnixSocket(options_.grpc.listen)) ready["port"] = port();
  const absl::Status status = WriteFileAtomically(options_.ready_file, ready.dump(2) + "\n");
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("--ready-file: ", status.message()));
}

void Daemon::Await(const char* what) const {
  if (options_.on_awaiting) options_.on_awaiting(what);
}

absl::Duration Daemon::shutdown_patience() const {
  const absl::Duration workers =
      options_.workers > 0 ? SupervisorOptions().shutdown_grace : absl::ZeroDuration();
  return std::max(options_.drain_patience + kCallPatience, workers) + kShutdownMargin;
}

absl::Duration Daemon::PatienceWithCalls(absl::Duration spent) const {
  // Those that were told to end take a moment.
  constexpr int kLooks = 20;
  constexpr absl::Duration kMoment = absl::Milliseconds(10);
  int looks = 0;
  while (parts_->request_metrics->open_calls() > 0 && ++looks < kLooks) {
    SteadyNotification().WaitFor(kMoment);
  }
  // Health/Watch, with which others look after this server, never ends by itself.
  if (parts_->request_metrics->open_calls() == 0) return kCallPatience;
  return std::max(kCallPatience, options_.drain_patience - spent);
}

void Daemon::Shutdown() {
  if (shut_down_) return;
  shut_down_ = true;
  Parts& parts = *parts_;
  const absl::Duration start = parts.clock->Steady();
  // Workers have their time while calls have theirs.
  if (parts.supervisor != nullptr) parts.supervisor->BeginStop();
  if (parts.default_model != nullptr) parts.default_model->StopLooking();
  if (wrote_ready_file_) unlink(options_.ready_file.c_str());
  if (parts.server != nullptr) parts.server->StopServing();
  if (parts.inference != nullptr) parts.inference->StopStreams();
  Await("images that are being classified");
  if (parts.pipeline != nullptr && !parts.pipeline->Drain(options_.drain_patience)) {
    spdlog::warn("some requests were not answered within {}",
                 absl::FormatDuration(options_.drain_patience));
  }
  Await("a look for the default model in the models folder");
  if (parts.default_model != nullptr) parts.default_model->Join();
  Await("the job database, which is asked for changes");
  if (parts.job_watcher != nullptr) parts.job_watcher->Stop();
  Await("calls, which wait for the models folder, a data set's disk or the job database");
  if (parts.server != nullptr) {
    parts.server->Shutdown(PatienceWithCalls(parts.clock->Steady() - start));
  }
  Await("the workers, or the job database that takes back their jobs");
  if (parts.supervisor != nullptr) parts.supervisor->Stop();
  Await("models that are being loaded or leave memory, or metrics of the job database");
  if (serves_) spdlog::info("cytopressd has stopped");
}

int Daemon::port() const { return parts_->server->port(); }

int Daemon::metrics_port() const { return parts_->endpoint->port(); }

}  // namespace cytopress
