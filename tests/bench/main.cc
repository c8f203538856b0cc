// cytopress-bench: our engines against LibTorch on this machine, in one run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/artifact/artifact.h"
#include "core/base/arguments.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/compression/blas.h"
#include "core/engine/engine.h"
#ifdef CYTOPRESS_CUDA
#include "core/gpu/cuda_engine.h"
#endif
#include "core/network/network.h"
#include "tests/bench/chart.h"
#include "tests/bench/contender.h"
#include "tests/bench/cores.h"
#include "tests/bench/measure.h"
#include "tests/bench/memory.h"
#include "tests/bench/onnx_contender.h"
#include "tests/bench/torch_worker.h"
#include "tests/bench/vnni_peak.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/network/description.h"

namespace cytopress {
namespace {

// Names of contenders; the first two are what ratios are against.
constexpr char kTorch[] = "libtorch-fp32";
constexpr char kTorchAvx512[] = "libtorch-fp32-avx512";
constexpr char kTorchFrozen[] = "libtorch-frozen-fp32";
constexpr char kTorchQuantized[] = "libtorch-quantized-int8";

// Kinds of contenders that may stay out.
constexpr char kFrozen[] = "frozen";
constexpr char kQuantized[] = "quantized";
constexpr char kOnnx[] = "onnx";

struct Options {
  std::string model;
  std::string pruned_model;
  std::string architecture = "resnet50";
  std::string stem = "imagenet";
  int size = 28;
  int classes = 8;
  std::string weights = "int8";
  float sparsity = 0;
  std::string pattern = "block4";
  std::vector<int> batches = {1, 8, 32, 128};
  std::vector<int> threads = {1};
  double seconds = 3;
  std::vector<std::string> without;
  bool cpu_time = false;
  int gpu = -1;
  std::string svg;
  bool json = false;
  // Of a contender's process.
  std::string torch_worker;
  int worker_threads = 1;

  TimeKind time() const { return cpu_time ? TimeKind::kCpu : TimeKind::kWall; }
  bool has_twin() const { return sparsity > 0 || !pruned_model.empty(); }
  bool compares_threads() const { return threads.size() > 1; }
  bool wants(const char* kind) const {
    return std::find(without.begin(), without.end(), kind) == without.end();
  }
  int largest_batch() const { return *std::max_element(batches.begin(), batches.end()); }
};

void AddOptions(Options& options, CLI::App& app) {
  CLI::Option* const model = app.add_option("--model", options.model,
                                            "an INT8 or INT4 artifact (.cyp); else random weights")
                                 ->check(CLI::ExistingFile);
  app.add_option("--pruned-model", options.pruned_model,
                 "an INT8 or INT4 artifact that competes with --model, the dense one")
      ->check(CLI::ExistingFile)
      ->needs(model);
  app.add_option("--architecture", options.architecture,
                 absl::StrCat("of random weights: ", absl::StrJoin(ArchitectureNames(), ", ")))
      ->capture_default_str();
  app.add_option("--stem", options.stem, "of random weights: imagenet, cifar or stride2")
      ->capture_default_str();
  app.add_option("--size", options.size, "side of the images in pixels, of random weights")
      ->capture_default_str();
  app.add_option("--classes", options.classes, "of random weights")->capture_default_str();
  app.add_option("--weights", options.weights, "of random weights: int8 or int4")
      ->check(CLI::IsMember({"int8", "int4"}))
      ->capture_default_str();
  app.add_option("--sparsity", options.sparsity,
                 "of random weights: the share that is pruned; its dense twin then competes too")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  app.add_option("--pattern", options.pattern, "of --sparsity: unstructured or block4")
      ->check(CLI::IsMember({"unstructured", "block4"}))
      ->capture_default_str();
  app.add_option("--batch", options.batches, "images a pass; may be given several times")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "threads a pass; 1 also pins to one core; may be given several times")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "measured time for each contender and batch size")
      ->check(CLI::Range(0.001, 3600.0))
      ->capture_default_str();
  app.add_option("--without", options.without,
                 "contenders that stay out: frozen and quantized (LibTorch) or onnx; may be given "
                 "several times")
      ->check(CLI::IsMember({kFrozen, kQuantized, kOnnx}));
  app.add_option("--gpu", options.gpu, "number of a GPU that takes part; default: none");
  app.add_flag("--cpu-time", options.cpu_time,
               "measure CPU time instead of wall time: for a machine that others are using");
  app.add_option("--svg", options.svg, "draw the images a second to this file");
  app.add_flag("--json", options.json, "print JSON instead of a table");
  app.add_option("--torch-worker", options.torch_worker)->group("");
  app.add_option("--worker-threads", options.worker_threads)->group("");
}

absl::StatusOr<Artifact> ReadArtifact(const std::string& path) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, kMaxArtifactFileBytes));
  return ParseArtifact(bytes);
}

// The dense one, whatever --sparsity says.
absl::StatusOr<Artifact> LoadArtifact(const Options& options) {
  if (!options.model.empty()) return ReadArtifact(options.model);
  NetworkSpec spec;
  spec.architecture = options.architecture;
  CYTOPRESS_ASSIGN_OR_RETURN(spec.stem, ParseStem(options.stem));
  spec.classes = options.classes;
  spec.input_height = spec.input_width = options.size;
  CYTOPRESS_RETURN_IF_ERROR(BuildNetwork(spec).status());
  return RandomArtifact(spec,
                        options.weights == "int4" ? v1::WEIGHT_TYPE_INT4 : v1::WEIGHT_TYPE_INT8);
}

// None where none is to compete.
absl::StatusOr<std::optional<Artifact>> PrunedTwin(const Artifact& artifact,
                                                   const Options& options) {
  if (!options.has_twin()) return std::nullopt;
  if (!options.pruned_model.empty()) return ReadArtifact(options.pruned_model);
  return RandomArtifact(artifact.network, artifact.weights, /*seed=*/1,
                        {options.sparsity, options.pattern == "block4"});
}

using Contenders = std::vector<std::unique_ptr<Contender>>;

absl::Status CheckThatAllAgree(const Contenders& contenders) {
  std::vector<float> reference;
  for (const auto& contender : contenders) {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<float> scores, contender->FirstImage());
    if (reference.empty()) reference = scores;
    for (size_t c = 0; c < reference.size(); ++c) {
      if (scores.size() != reference.size() || !(std::abs(scores[c] - reference[c]) < 1e-3f)) {
        return absl::InternalError(absl::StrCat(contender->name(), " and ", contenders[0]->name(),
                                                " do not compute the same network"));
      }
    }
  }
  return absl::OkStatus();
}

using EngineMaker = std::function<absl::StatusOr<std::unique_ptr<Engine>>()>;

absl::StatusOr<std::unique_ptr<Contender>> MakeEngineContender(const Options& options,
                                                               const NetworkSpec& network,
                                                               const std::string& suffix,
                                                               const EngineMaker& make) {
  const std::vector<uint8_t> pixels = RandomPixels(network, options.largest_batch());
  const int64_t memory = ResidentBytes();
  CYTOPRESS_ASSIGN_OR_RETURN(std::unique_ptr<Engine> engine, make());
  std::vector<float> probabilities(size_t(options.largest_batch()) * engine->classes());
  for (const int batch : options.batches) {
    CYTOPRESS_RETURN_IF_ERROR(engine->Classify(
        absl::MakeSpan(pixels).subspan(0, batch * engine->image_bytes()), batch,
        absl::MakeSpan(probabilities).subspan(0, size_t(batch) * engine->classes())));
  }
  const auto taken = static_cast<double>(ResidentBytes() - memory);
  return std::make_unique<EngineContender>(std::move(engine), pixels, options.time(), suffix,
                                           taken);
}

absl::StatusOr<std::unique_ptr<Contender>> MakeEngineContender(const Options& options,
                                                               const Artifact& artifact,
                                                               int threads, Arithmetic arithmetic,
                                                               const std::string& suffix) {
  EngineOptions engine_options;
  engine_options.arithmetic = arithmetic;
  engine_options.threads = threads;
  return MakeEngineContender(options, artifact.network, suffix,
                             [&] { return CreateEngine(artifact, engine_options); });
}

absl::StatusOr<std::unique_ptr<Contender>> MakeGpuContender(const Options& options,
                                                            const Artifact& artifact) {
#ifdef CYTOPRESS_CUDA
  return MakeEngineContender(options, artifact.network, "",
                             [&] { return CreateCudaEngine(artifact, options.gpu); });
#else
  return absl::FailedPreconditionError("--gpu needs a LibTorch with CUDA");
#endif
}

// Left out, with a note, where there is no ONNX Runtime.
absl::Status AddOnnxContender(const char* name, const Options& options, const Artifact& artifact,
                              int threads, Contenders& contenders) {
  if (!options.wants(kOnnx)) return absl::OkStatus();
  auto contender =
      MakeOnnxContender(name, artifact, RandomPixels(artifact.network, options.largest_batch()),
                        threads, options.time());
  if (absl::IsNotFound(contender.status())) {
    std::fprintf(stderr, "without %s: %s\n", name,
                 std::string(contender.status().message()).c_str());
    return absl::OkStatus();
  }
  CYTOPRESS_RETURN_IF_ERROR(contender.status());
  contenders.push_back(*std::move(contender));
  return absl::OkStatus();
}

// Adds a process of LibTorch.
absl::Status AddTorchContender(const char* name, const char* model, bool all_vectors, int threads,
                               std::vector<std::string> arguments, Contenders& contenders) {
  arguments.insert(arguments.end(),
                   {"--torch-worker", model, "--worker-threads", absl::StrCat(threads)});
  // Which vector instructions LibTorch's own kernels use is fixed when it starts.
  std::vector<std::string> environment;
  if (all_vectors) environment.push_back("ATEN_CPU_CAPABILITY=avx512");
  CYTOPRESS_ASSIGN_OR_RETURN(auto torch, ChildContender::Start(name, arguments, environment));
  contenders.push_back(std::move(torch));
  return absl::OkStatus();
}

// Those with `threads` threads. The ones in FP32 first: they must compute the same.
absl::StatusOr<Contenders> MakeContenders(const Options& options, const Artifact& artifact,
                                          const std::optional<Artifact>& twin, int threads,
                                          const std::vector<std::string>& arguments) {
  Contenders contenders;
  const auto make_engine = [&](const Artifact& of, Arithmetic arithmetic,
                               const std::string& suffix) {
    return MakeEngineContender(options, of, threads, arithmetic, suffix);
  };
  const auto add_torch = [&](const char* name, const char* model, bool all_vectors) {
    return AddTorchContender(name, model, all_vectors, threads, arguments, contenders);
  };
  CYTOPRESS_ASSIGN_OR_RETURN(auto fp32, make_engine(artifact, Arithmetic::kFp32, ""));
  contenders.push_back(std::move(fp32));
  const bool avx512 = __builtin_cpu_supports("avx512vl");
  CYTOPRESS_RETURN_IF_ERROR(add_torch(kTorch, "eager", false));
  if (avx512) CYTOPRESS_RETURN_IF_ERROR(add_torch(kTorchAvx512, "eager", true));
  if (options.wants(kFrozen)) {
    CYTOPRESS_RETURN_IF_ERROR(add_torch(kTorchFrozen, "frozen", avx512));
  }
  CYTOPRESS_RETURN_IF_ERROR(AddOnnxContender(kOrtFp32, options, artifact, threads, contenders));
  CYTOPRESS_RETURN_IF_ERROR(CheckThatAllAgree(contenders));
  if (options.wants(kQuantized)) {
    CYTOPRESS_RETURN_IF_ERROR(add_torch(kTorchQuantized, "quantized", avx512));
  }
  for (const char* name : {kOrtInt8Exact, kOrtInt8}) {
    CYTOPRESS_RETURN_IF_ERROR(AddOnnxContender(name, options, artifact, threads, contenders));
  }
  // One is enough, of whatever threads: it hardly uses any.
  if (options.gpu >= 0 && threads == options.threads.front()) {
    CYTOPRESS_ASSIGN_OR_RETURN(auto gpu, MakeGpuContender(options, artifact));
    contenders.push_back(std::move(gpu));
  }
  auto bf16 = make_engine(artifact, Arithmetic::kBf16, "");
  if (bf16.ok()) contenders.push_back(*std::move(bf16));  // else the CPU has none
  CYTOPRESS_ASSIGN_OR_RETURN(
      auto int8, make_engine(artifact, Arithmetic::kInt8, options.has_twin() ? " dense" : ""));
  contenders.push_back(std::move(int8));
  if (!twin.has_value()) return contenders;
  const std::string suffix =
      options.pruned_model.empty() ? absl::StrFormat(" %g%%", options.sparsity * 100) : " pruned";
  CYTOPRESS_ASSIGN_OR_RETURN(auto pruned, make_engine(*twin, Arithmetic::kInt8, suffix));
  contenders.push_back(std::move(pruned));
  return contenders;
}

absl::StatusOr<std::vector<Entrant>> MakeEntrants(const Options& options, const Artifact& artifact,
                                                  const Cores& cores,
                                                  const std::vector<std::string>& arguments) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<Artifact> twin, PrunedTwin(artifact, options));
  std::vector<Entrant> entrants;
  for (const int threads : options.threads) {
    cores.UseFor(threads);  // children inherit it
    CYTOPRESS_ASSIGN_OR_RETURN(Contenders contenders,
                               MakeContenders(options, artifact, twin, threads, arguments));
    for (auto& contender : contenders) entrants.push_back({std::move(contender), threads});
  }
  return entrants;
}

// By count of threads, as they were given.
std::vector<double> MeasurePeaks(const Options& options, const Cores& cores) {
  std::vector<double> peaks;
  for (const int threads : options.threads) {
    cores.UseFor(threads);
    peaks.push_back(MeasureVnniPeak(threads));
  }
  return peaks;
}

// Those of a batch size by count of threads, as those were given: such are compared.
std::vector<std::vector<Timing>> ByThreads(const Options& options,
                                           const std::vector<Timing>& timings) {
  std::vector<std::vector<Timing>> groups;
  for (const int threads : options.threads) {
    groups.emplace_back();
    for (const Timing& timing : timings) {
      if (timing.threads == threads) groups.back().push_back(timing);
    }
  }
  return groups;
}

// Against the faster of the two ways to run LibTorch.
double FasterTorch(const std::vector<Timing>& timings) {
  double images_per_second = 0;
  for (const Timing& timing : timings) {
    if (timing.contender == kTorch || timing.contender == kTorchAvx512) {
      images_per_second = std::max(images_per_second, timing.images_per_second());
    }
  }
  return images_per_second;
}

// Against the dense INT8 engine, which stands right before the pruned one.
double DenseInt8(const std::vector<Timing>& timings, bool pruned) {
  return timings[timings.size() - (pruned ? 2 : 1)].images_per_second();
}

nlohmann::json ToJson(const Options& options, const std::vector<Timing>& timings, int64_t macs) {
  const double torch = FasterTorch(timings), int8 = DenseInt8(timings, options.has_twin());
  nlohmann::json rows = nlohmann::json::array();
  for (const Timing& timing : timings) {
    rows.push_back({{"contender", timing.contender},
                    {"batch", timing.batch},
                    {"passes", timing.passes},
                    {"median_ms", timing.median * 1e3},
                    {"p10_ms", timing.p10 * 1e3},
                    {"p90_ms", timing.p90 * 1e3},
                    {"images_per_second", timing.images_per_second()},
                    {"gmac_per_second", timing.images_per_second() * macs * 1e-9},
                    {"memory_bytes", timing.memory},
                    {"ratio_to_libtorch", timing.images_per_second() / torch},
                    {"ratio_to_dense_int8", timing.images_per_second() / int8}});
    if (options.compares_threads()) rows.back()["threads"] = timing.threads;
  }
  return rows;
}

// A list where several counts of threads are compared.
template <typename Value>
nlohmann::json OneOrAll(const Options& options, const std::vector<Value>& values) {
  if (options.compares_threads()) return values;
  return values.front();
}

nlohmann::json Report(const Options& options, const NetworkSpec& spec,
                      const std::vector<double>& peaks, const nlohmann::json& rows) {
  std::vector<double> giga;
  for (const double peak : peaks) giga.push_back(peak * 1e-9);
  return {{"architecture", spec.architecture},
          {"stem", std::string(StemName(spec.stem))},
          {"threads", OneOrAll(options, options.threads)},
          {"time", options.cpu_time ? "cpu" : "wall"},
          {"libtorch_blas", BlasLibrary()},
          {"vnni_peak_gmac_per_second", OneOrAll(options, giga)},
          {"timings", rows}};
}

// Of the table, where there are several.
std::string ThreadsColumn(const Options& options, const std::string& text) {
  return options.compares_threads() ? absl::StrFormat("%7s  ", text) : "";
}

void PrintHeader(const Options& options, const Network& network, const std::vector<double>& peaks) {
  const NetworkSpec& spec = network.spec;
  std::printf("%s, %s stem, %dx%d, %.1f MMAC an image; threads: %s; %s time\n",
              spec.architecture.c_str(), std::string(StemName(spec.stem)).c_str(), spec.input_width,
              spec.input_height, static_cast<double>(Macs(network)) * 1e-6,
              absl::StrJoin(options.threads, ", ").c_str(), options.cpu_time ? "CPU" : "wall");
  std::printf("LibTorch's BLAS: %s\n", BlasLibrary().c_str());
  if (peaks.front() > 0) {
    const auto format = [](std::string* out, double peak) {
      absl::StrAppendFormat(out, "%.0f", peak * 1e-9);
    };
    std::printf("measured VNNI peak: %s GMAC/s (AMX can pass it)\n",
                absl::StrJoin(peaks, ", ", format).c_str());
  }
  if (!options.pruned_model.empty()) {
    std::printf("pruned: %s\n", options.pruned_model.c_str());
  } else if (options.has_twin()) {
    std::printf("pruned twin: %g %% %s\n", options.sparsity * 100, options.pattern.c_str());
  }
  std::printf("ratios: images/s against the faster LibTorch and against the dense INT8 engine\n\n");
  std::printf("%5s  %s%-28s %9s  %9s %9s %10s %8s %7s %7s %9s %9s\n", "batch",
              ThreadsColumn(options, "threads").c_str(), "contender", "median ms", "p10 ms",
              "p90 ms", "images/s", "GMAC/s", "of peak", "MB", "/torch", "/int8");
}

void PrintTable(const Options& options, const std::vector<Timing>& timings, int64_t macs,
                double peak) {
  const double torch = FasterTorch(timings), int8 = DenseInt8(timings, options.has_twin());
  for (const Timing& timing : timings) {
    const double macs_per_second = timing.images_per_second() * static_cast<double>(macs);
    const std::string of_peak =
        peak > 0 ? absl::StrFormat("%.0f %%", 100 * macs_per_second / peak) : "-";
    std::printf("%5d  %s%-28s %9.3f  %9.3f %9.3f %10.0f %8.1f %7s %7.1f %8.2fx %8.2fx\n",
                timing.batch, ThreadsColumn(options, absl::StrCat(timing.threads)).c_str(),
                timing.contender.c_str(), timing.median * 1e3, timing.p10 * 1e3, timing.p90 * 1e3,
                timing.images_per_second(), macs_per_second * 1e-9, of_peak.c_str(),
                timing.memory * 1e-6, timing.images_per_second() / torch,
                timing.images_per_second() / int8);
  }
}

absl::Status RunBenchmark(const Options& options, const std::vector<std::string>& arguments) {
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, LoadArtifact(options));
  if (!options.torch_worker.empty()) {
    return RunTorchWorker(options.torch_worker, artifact,
                          RandomPixels(artifact.network, options.largest_batch()),
                          options.worker_threads, options.time());
  }
  const Cores cores;
  // Before the contenders' processes, which share these cores while they load.
  const std::vector<double> peaks = MeasurePeaks(options, cores);
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<Entrant> entrants,
                             MakeEntrants(options, artifact, cores, arguments));
  CYTOPRESS_ASSIGN_OR_RETURN(const Network network, BuildNetwork(artifact.network));
  std::vector<Timing> all_timings;
  if (!options.json) PrintHeader(options, network, peaks);
  nlohmann::json rows = nlohmann::json::array();
  for (int batch : options.batches) {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<Timing> timings,
                               Measure(entrants, cores, batch, options.seconds));
    all_timings.insert(all_timings.end(), timings.begin(), timings.end());
    const std::vector<std::vector<Timing>> groups = ByThreads(options, timings);
    for (size_t i = 0; i < groups.size(); ++i) {
      if (!options.json) PrintTable(options, groups[i], Macs(network), peaks[i]);
      for (const auto& row : ToJson(options, groups[i], Macs(network))) rows.push_back(row);
    }
  }
  if (options.json) {
    std::printf("%s\n", Report(options, network.spec, peaks, rows).dump(2).c_str());
  }
  if (options.svg.empty()) return absl::OkStatus();
  const std::string title =
      absl::StrFormat("%s, %s stem, %dx%d pixels, threads: %s", network.spec.architecture,
                      StemName(network.spec.stem), network.spec.input_width,
                      network.spec.input_height, absl::StrJoin(options.threads, ", "));
  return WriteFileAtomically(options.svg, DrawTimings(title, all_timings));
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  cytopress::UseBlasKernelsOfThisCpu(argv);  // for LibTorch, as a worker has it
  cytopress::Options options;
  CLI::App app(
      "Measures our engines, LibTorch (eager, frozen TorchScript, quantized) and ONNX Runtime on "
      "this machine, taking turns in one run. MB is what a model and its working memory take.\n"
      "Example: cytopress-bench --stem stride2 --batch 1 --batch 32");
  cytopress::AddOptions(options, app);
  app.failure_message(cytopress::UsageMessage);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);  // a child that died is an error to report
  const absl::Status status =
      cytopress::RunBenchmark(options, std::vector<std::string>(argv + 1, argv + argc));
  if (!status.ok()) {
    std::fprintf(stderr, "cytopress-bench: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
