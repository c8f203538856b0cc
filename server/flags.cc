#include "server/flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/address.h"
#include "core/base/arguments.h"
#include "core/base/device.h"
#include "core/base/help.h"
#include "core/gpu/engine_module.h"
#include "core/registry/model_registry.h"
#include "server/supervisor/cores.h"
#include "server/supervisor/worker_supervisor.h"

namespace cytopress {
namespace {

constexpr char kFooter[] = R"(Exit codes:
  0  ended by SIGTERM, SIGINT or SIGHUP
  1  cannot serve: a port is taken, a folder or the job database cannot be
     written, the GPU of --inference-device is not there or is lost, ...
  2  wrong flags: to start it again will not help
  3  told to end, and something it waited for, such as a folder that hangs, took
     too long

Examples:
  cytopressd
      serve on this machine only, one local worker
  cytopressd --workers 0 --default-model cells
      only serve; have `cells` ready from the start
  cytopressd --listen 0.0.0.0:8500 --tls-cert server.pem \
      --tls-key server.key --tls-client-ca ca.pem
  cytopressd --listen 127.0.0.1:0 --metrics-listen 127.0.0.1:0 \
      --ready-file /run/cytopress.json)";

constexpr int kMaxDefaultEngines = 4;
// One's batch is copied and answered while the GPU computes the other's. More would only share the
// GPU, and each takes memory for its activations and time to load.
constexpr int kDefaultGpuEngines = 2;

// $XDG_STATE_HOME/cytopress, or ~/.local/state/cytopress.
std::string DefaultStateFolder() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && state[0] == '/') return absl::StrCat(state, "/cytopress");
  const char* const home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return absl::StrCat(home, "/.local/state/cytopress");
  return "";
}

// The folder of this program: what was installed together with it lies beside it.
std::filesystem::path ProgramFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
}

std::string DefaultWorkerProgram() { return (ProgramFolder() / "cytopress-worker").string(); }

// Empty when no models were installed.
std::string DefaultZooFolder() {
  std::error_code error;
  const std::filesystem::path zoo = ProgramFolder().parent_path() / "share/cytopress/zoo";
  return std::filesystem::is_directory(zoo, error) ? zoo.string() : "";
}

// Empty, or what is wrong; as the next ones.
std::string WhatIsWrongWithAddress(const std::string& address) {
  return std::string(CheckHostPort(address).message());
}
std::string WhatIsWrongWithListen(const std::string& address) {
  return IsUnixSocket(address) ? "" : WhatIsWrongWithAddress(address);
}

std::string WhatIsWrongWithName(const std::string& name) {
  return name.empty() ? "" : std::string(CheckModelName(name).message());
}

// A number, which "nan" is not: CLI::Range finds it in every range.
CLI::Validator Within(double least, double most) {
  return CLI::Validator(
      [least, most](const std::string& text) -> std::string {
        double number = 0;
        if (absl::SimpleAtod(text, &number) && number >= least && number <= most) return "";
        return absl::StrCat("'", text, "' is not a number from ", least, " to ", most);
      },
      absl::StrCat("in [", least, " - ", most, "]"));
}

// Empty, or what is wrong.
std::string CheckCores(const std::string& list) {
  const absl::StatusOr<std::vector<int>> cores = ParseCores(list);
  return std::string((cores.ok() ? CheckUsable(*cores) : cores.status()).message());
}

// What the options cannot take from CLI11 as it is.
struct Extra {
  int max_message_mib = 64;
  double max_image_megapixels = 16;
  double unload_idle_minutes = 0;
  double drain_seconds = 8;
  std::string serving_cores;
  std::string worker_cores;
};

void DeclareServer(CLI::App* app, DaemonOptions* options, Extra* extra) {
  app->add_option("--listen", options->grpc.listen,
                  "HOST:PORT or unix:PATH for gRPC; port 0 takes a free one")
      ->check(CLI::Validator(WhatIsWrongWithListen, ""))
      ->capture_default_str();
  app->add_option("--metrics-listen", options->metrics_listen,
                  "HOST:PORT for Prometheus (GET /metrics); port 0 takes a free one")
      ->check(CLI::Validator(WhatIsWrongWithAddress, ""))
      ->capture_default_str();
  app->add_option("--tls-cert", options->grpc.tls.certificate, "certificate chain, PEM");
  app->add_option("--tls-key", options->grpc.tls.key, "its private key, PEM");
  app->add_option("--tls-client-ca", options->grpc.tls.client_ca,
                  "clients need a certificate of this authority, PEM");
  app->add_option("--max-message-mib", extra->max_message_mib, "largest request, in MiB")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--drain-seconds", extra->drain_seconds,
                  "time that open calls have to end when the server stops")
      ->check(Within(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--ready-file", options->ready_file,
                  "JSON file that is written when the server is ready: pid, ports");
}

void DeclareCores(CLI::App* app, Extra* extra) {
  app->add_option("--serving-cores", extra->serving_cores,
                  "cores of everything but the workers, such as 0-3,8; default: all")
      ->check(CLI::Validator(CheckCores, "LIST"));
  app->add_option("--worker-cores", extra->worker_cores,
                  "cores of the workers; default: those that are not --serving-cores")
      ->check(CLI::Validator(CheckCores, "LIST"));
}

void DeclareJobs(CLI::App* app, DaemonOptions* options) {
  app->add_option("--state", options->state_folder,
                  "folder of everything that is kept: jobs.db, models/, work/, logs/, and locks")
      ->capture_default_str();
  app->add_option("--models", options->models_folder,
                  "folder of published models; default: models in the state folder. Servers and "
                  "workers of one --database need the same one");
  app->add_option("--zoo", options->zoo_folder,
                  "folder of ready-made models (NAME.cyp), published at the start when there is no "
                  "model yet; \"\": none")
      ->capture_default_str();
  app->add_option(
      "--database", options->database_url,
      "job database, sqlite:///absolute/path.db, on which only one server may have --workers, "
      "or postgresql://HOST/DATABASE; default: jobs.db in the state folder");
  app->add_option("--workers", options->workers,
                  "jobs that run on this machine at the same time, each on its share of the cores; "
                  "0: none")
      ->check(CLI::Range(0, kMaxWorkers))
      ->capture_default_str();
  app->add_option("--worker-binary", options->worker_program, "the program cytopress-worker")
      ->capture_default_str();
  app->add_option("--device", options->device, "device of the local workers: cpu or cuda:N")
      ->transform(CLI::Validator(NormalizeDevice, "cpu or cuda:N"))
      ->capture_default_str();
}

void DeclareInference(CLI::App* app, Flags* flags, Extra* extra) {
  DaemonOptions* const options = &flags->daemon;
  app->add_option("--default-model", options->default_model,
                  "model of requests that name none; loaded before the server says it is ready. "
                  "Without it: the only model there is; where there are several, such requests "
                  "are refused")
      ->check(CLI::Validator(WhatIsWrongWithName, "NAME"));
  app->add_option("--inference-device", flags->inference_device,
                  "where models are computed: cpu or cuda:N; GPUs need a cytopressd that was built "
                  "with a CUDA LibTorch")
      ->transform(CLI::Validator(NormalizeDevice, "cpu or cuda:N"))
      ->capture_default_str();
  app->add_option("--inference-threads", options->engines,
                  "batches of a model that are computed at the same time; the threads share its "
                  "weights; default: the cores that serve, at most 4, or 2 on a GPU")
      ->check(CLI::Range(1, 256));
  app->add_option("--engine-threads", options->engine_threads,
                  "cores that compute one batch together")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  app->add_flag("--bf16", options->bf16,
                "compute FP32 and FP16 models in BF16 where this CPU has it: faster, and "
                "probabilities differ in the third digit");
  app->add_option("--decode-threads", options->serving.decode_threads,
                  "threads that decode and scale images; default: the cores that serve, at most 8")
      ->check(CLI::Range(1, 256));
  app->add_option("--max-loaded-models", options->serving.models.max_loaded,
                  "model versions in memory; the least recently used makes room. With 1, requests "
                  "wait while a new version is loaded; from 2 on the one before answers them")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app->add_option("--unload-idle-minutes", extra->unload_idle_minutes,
                  "models unused for so long leave memory; 0: never")
      ->check(Within(0.0, 1e6))
      ->capture_default_str();
  app->add_option("--max-queued-images", options->serving.admission.max_waiting_images,
                  "images that may wait; more are refused at once (RESOURCE_EXHAUSTED)")
      ->check(CLI::Range(256, 1000000))
      ->capture_default_str();
  app->add_option("--max-image-megapixels", extra->max_image_megapixels,
                  "largest image that is decoded")
      ->check(Within(0.01, 1000.0))
      ->capture_default_str();
}

void ApplyCores(const Extra& extra, Flags* flags) {
  std::vector<int>& for_workers = flags->daemon.worker_cores;
  if (!extra.serving_cores.empty()) {
    flags->serving_cores = *ParseCores(extra.serving_cores);
    for_workers = OtherCores(flags->serving_cores);
  }
  if (!extra.worker_cores.empty()) for_workers = *ParseCores(extra.worker_cores);
  if (!flags->serving_cores.empty() && for_workers.empty() && flags->daemon.workers > 0) {
    throw CLI::ValidationError("--serving-cores", extra.serving_cores +
                                                      " leaves none for the workers; leave some, "
                                                      "or give --worker-cores or --workers 0");
  }
}

// For as many cores as serving gets, which those that wait for a GPU do not need.
void ApplyDefaultThreads(const CLI::App& app, Flags* flags) {
  int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (!flags->serving_cores.empty()) {
    cores = std::min(cores, static_cast<int>(flags->serving_cores.size()));
  }
  DaemonOptions& options = flags->daemon;
  const bool on_gpu = GpuIndex(flags->inference_device).has_value();
  if (app.count("--inference-threads") == 0) {
    options.engines = on_gpu ? kDefaultGpuEngines : std::min(cores, kMaxDefaultEngines);
  }
  if (app.count("--decode-threads") == 0) {
    options.serving.decode_threads = std::min(cores, 2 * kMaxDefaultEngines);
  }
}

void Apply(const Extra& extra, DaemonOptions* options) {
  options->grpc.max_message_bytes = extra.max_message_mib << 20;
  // Half of the bytes are for unary calls, and a message leaves room for another.
  AdmissionOptions& admission = options->serving.admission;
  admission.max_bytes = std::max(admission.max_bytes, 4 * (int64_t{extra.max_message_mib} << 20));
  options->drain_patience = absl::Seconds(extra.drain_seconds);
  options->serving.decode.max_pixels = static_cast<int64_t>(extra.max_image_megapixels * (1 << 20));
  if (extra.unload_idle_minutes > 0) {
    options->serving.models.unload_idle_after = absl::Minutes(extra.unload_idle_minutes);
  }
}

}  // namespace

std::variant<Flags, int> ParseFlags(int argc, const char* const* argv) {
  Flags flags;
  DaemonOptions& options = flags.daemon;
  options.state_folder = DefaultStateFolder();
  options.worker_program = DefaultWorkerProgram();
  options.zoo_folder = DefaultZooFolder();
  flags.gpu_module = (ProgramFolder() / kGpuModule).string();
  Extra extra;
  CLI::App app("Queues compression jobs, keeps models and classifies images over gRPC.",
               "cytopressd");
  app.formatter(std::make_shared<HelpFormatter>(TerminalColumns()));
  app.set_version_flag("--version", "cytopressd " CYTOPRESS_VERSION);
  app.footer(kFooter);
  app.failure_message(UsageMessage);
  DeclareServer(&app, &options, &extra);
  DeclareJobs(&app, &options);
  DeclareCores(&app, &extra);
  DeclareInference(&app, &flags, &extra);
  app.add_option("--log-level", flags.log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  try {
    app.parse(ArgumentsToParse(argc, argv));
    if (options.state_folder.empty()) {
      throw CLI::ValidationError("--state",
                                 "is empty, and there is no HOME to put it in; name a folder");
    }
    if (options.bf16 && flags.inference_device != "cpu") {
      throw CLI::ValidationError("--bf16", "is for --inference-device cpu; " +
                                               flags.inference_device +
                                               " computes in FP16: leave one of the two out");
    }
    ApplyCores(extra, &flags);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  Apply(extra, &options);
  ApplyDefaultThreads(app, &flags);
  std::error_code error;
  options.state_folder = std::filesystem::absolute(options.state_folder, error).string();
  if (!options.models_folder.empty()) {
    options.models_folder = std::filesystem::absolute(options.models_folder, error).string();
  }
  return flags;
}

}  // namespace cytopress
