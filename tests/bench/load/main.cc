// cytopress-load: puts a server under load through gRPC and says how it bears it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/arguments.h"
#include "core/base/status_macros.h"
#include "core/registry/model_registry.h"
#include "tests/bench/load/generator.h"
#include "tests/bench/load/images.h"
#include "tests/bench/load/report.h"
#include "tests/bench/load/server_process.h"
#include "tests/bench/load/swapper.h"

namespace cytopress {
namespace {

struct Flags {
  LoadOptions load;
  std::string images = "png28";
  double deadline_ms = 30000;
  double seconds = 5;
  double warm_up_seconds = 1;
  int server_pid = 0;
  int metrics_port = 0;
  std::string models;
  double swap_seconds = 0;
  std::string publish;
  bool json = false;
};

void AddFlags(Flags* flags, CLI::App* app) {
  app->add_option("--server", flags->load.target, "HOST:PORT or unix:PATH")->capture_default_str();
  app->add_option("--model", flags->load.model,
                  "name; default: --default-model of the server, or the only model that it has");
  app->add_option("--images", flags->images,
                  "png28 (drawn cells) or a folder of PNG and JPEG files")
      ->capture_default_str();
  app->add_option("--images-a-request", flags->load.images_a_request,
                  "0: none, which the server refuses at once, so that it shows what a call costs")
      ->check(CLI::Range(0, 256))
      ->capture_default_str();
  app->add_option("--in-flight", flags->load.in_flight, "closed loop: requests on their way")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app->add_option("--rate", flags->load.rate, "open loop: requests a second, at random times")
      ->check(CLI::Range(0.0, 1e6));
  app->add_option("--connections", flags->load.connections)
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app->add_option("--deadline-ms", flags->deadline_ms, "of each request")
      ->check(CLI::Range(0.1, 1e6))
      ->capture_default_str();
  app->add_option("--seconds", flags->seconds, "measured time")
      ->check(CLI::Range(0.1, 86400.0))
      ->capture_default_str();
  app->add_option("--warm-up-seconds", flags->warm_up_seconds, "before it")
      ->check(CLI::Range(0.0, 3600.0))
      ->capture_default_str();
  app->add_option("--server-pid", flags->server_pid,
                  "tells the server's processor time and memory");
  app->add_option("--metrics-port", flags->metrics_port,
                  "tells which of that time the engine had; with --server-pid");
  app->add_option("--models", flags->models, "the server's models folder, for the two below");
  app->add_option("--swap-seconds", flags->swap_seconds,
                  "publish a version of --model so often, and delete the one before");
  app->add_option("--publish", flags->publish,
                  "only publish --model with random INT4 weights: resnet18, 34, 50 or 101");
  app->add_flag("--json", flags->json, "print JSON");
}

absl::Status Publish(const Flags& flags) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, RandomModel(flags.publish));
  CYTOPRESS_ASSIGN_OR_RETURN(ModelRegistry registry, ModelRegistry::Open(flags.models));
  CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion model,
                             registry.Publish(flags.load.model, bytes, ""));
  std::printf("%s, %zu bytes\n", ToString(model).c_str(), bytes.size());
  return absl::OkStatus();
}

// The server's costs at one time.
struct Costs {
  absl::StatusOr<ProcessCost> process = absl::UnknownError("");
  absl::StatusOr<double> engine = absl::UnknownError("");
};

Costs CostsNow(const Flags& flags) {
  Costs costs;
  if (flags.server_pid != 0) costs.process = CostOfProcess(flags.server_pid);
  if (flags.metrics_port != 0) costs.engine = EngineCpuSeconds(flags.metrics_port);
  return costs;
}

void AddCosts(const Costs& before, const Costs& after, double images, double requests,
              LoadReport* report) {
  if (!before.process.ok() || !after.process.ok()) return;
  const double cpu = after.process->cpu_seconds - before.process->cpu_seconds;
  report->resident_bytes = after.process->resident_bytes;
  if (requests > 0) report->cpu_seconds_per_request = cpu / requests;
  if (images <= 0) return;
  report->cpu_seconds_per_image = cpu / images;
  if (!before.engine.ok() || !after.engine.ok()) return;
  report->cpu_seconds_per_image_beside_engine = (cpu - (*after.engine - *before.engine)) / images;
}

absl::Status Run(Flags flags) {
  if (!flags.publish.empty()) return Publish(flags);
  CYTOPRESS_ASSIGN_OR_RETURN(flags.load.images, LoadImages(flags.images));
  flags.load.deadline = absl::Milliseconds(flags.deadline_ms);
  flags.load.duration = absl::Seconds(flags.seconds);
  flags.load.warm_up = absl::Seconds(flags.warm_up_seconds);
  std::unique_ptr<Swapper> swapper;
  if (flags.swap_seconds > 0) {
    swapper = std::make_unique<Swapper>(flags.models, flags.load.model, flags.load.target,
                                        absl::Seconds(flags.swap_seconds));
  }
  Costs before, after;
  const LoadResult result = GenerateLoad(
      flags.load, [&] { before = CostsNow(flags); }, [&] { after = CostsNow(flags); });
  LoadReport report = Summarize(result, flags.load.images_a_request);
  AddCosts(before, after, report.images_per_second * result.seconds,
           static_cast<double>(report.requests), &report);
  if (swapper != nullptr) {
    CYTOPRESS_ASSIGN_OR_RETURN(report.swaps, swapper->Stop());
  }
  std::fputs((flags.json ? AsJson(report) : AsTable(report)).c_str(), stdout);
  // Without images every request is to be refused.
  if (report.by_code.count("OK") == 0 && flags.load.images_a_request > 0) {
    return absl::Status(
        result.first_error.code(),
        absl::StrCat("no request was answered; the first failed: ", result.first_error.message()));
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  cytopress::Flags flags;
  CLI::App app(
      "Puts a cytopressd under load and says how it bears it.\n"
      "Examples:\n"
      "  cytopress-load --model blood-cells --in-flight 8 --server-pid $(pidof cytopressd) "
      "--metrics-port 9108\n"
      "  cytopress-load --model blood-cells --rate 2000 --deadline-ms 100 --connections 4 --json");
  cytopress::AddFlags(&flags, &app);
  app.failure_message(cytopress::UsageMessage);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = cytopress::Run(flags);
  if (!status.ok()) {
    std::fprintf(stderr, "cytopress-load: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
