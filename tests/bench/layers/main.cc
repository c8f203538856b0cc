// cytopress-layer-bench: what each convolution of an INT8 model takes on oneDNN, on the block
// kernels, and as a matrix on block maps, measured and as core/engine/layer_costs.h estimates it,
// and which one it gets.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "core/artifact/artifact.h"
#include "core/base/arguments.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/engine/layer_choice.h"
#include "core/engine/layer_costs.h"
#include "core/engine/plan.h"
#include "core/kernels/onednn.h"
#include "tests/core/engine/random_artifact.h"
#include "tests/core/network/description.h"

namespace cytopress {
namespace {

struct Options {
  std::string model;
  std::string stem = "stride2";
  float sparsity = 0.8f;
  std::string pattern = "block4";
  std::vector<int> batches = {1, 32};
  int passes = 60;
};

void AddOptions(Options& options, CLI::App& app) {
  app.add_option("model", options.model, "an INT8 or INT4 artifact (.cyp); else random weights")
      ->check(CLI::ExistingFile);
  app.add_option("--stem", options.stem, "of random weights: imagenet, cifar or stride2")
      ->capture_default_str();
  app.add_option("--sparsity", options.sparsity, "of random weights: the share that is pruned")
      ->check(CLI::Range(0.0, 0.999))
      ->capture_default_str();
  app.add_option("--pattern", options.pattern, "of --sparsity: unstructured or block4")
      ->check(CLI::IsMember({"unstructured", "block4"}))
      ->capture_default_str();
  app.add_option("--batch", options.batches, "images a pass; may be given several times")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--passes", options.passes, "of each, in turns; the median counts")
      ->check(CLI::Range(3, 100000))
      ->capture_default_str();
}

absl::StatusOr<Artifact> LoadArtifact(const Options& options) {
  if (!options.model.empty()) {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               ReadFile(options.model, kMaxArtifactFileBytes));
    return ParseArtifact(bytes);
  }
  NetworkSpec spec;
  CYTOPRESS_ASSIGN_OR_RETURN(spec.stem, ParseStem(options.stem));
  spec.classes = 8;
  return RandomArtifact(spec, v1::WEIGHT_TYPE_INT8, /*seed=*/1,
                        {options.sparsity, options.pattern == "block4"});
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// A way to compute the whole network, and the microseconds of its layers.
class Way {
 public:
  Way(const DenseModel& model, const LayerWays& choice, int batch)
      : packed_(PackModel(model, choice)), plan_(model, packed_, batch) {
    arena_.Reserve(plan_.arena_bytes());
    std::fill_n(arena_.data(), plan_.arena_bytes(), uint8_t{1});
    layers_.resize(model.network.layers.size());
  }

  void Pass() {
    const absl::Duration start = RealClock()->Steady();
    plan_.Run(arena_, /*threads=*/1);
    passes_.push_back(absl::ToDoubleMicroseconds(RealClock()->Steady() - start));
    absl::Duration last = RealClock()->Steady();
    plan_.Run(arena_, /*threads=*/1, [&](int layer) {
      layers_[layer].push_back(absl::ToDoubleMicroseconds(RealClock()->Steady() - last));
      last = RealClock()->Steady();
    });
  }
  double pass() const { return Median(passes_); }
  double layer(size_t index) const { return Median(layers_[index]); }

 private:
  PackedModel packed_;
  Plan plan_;
  Arena arena_;
  std::vector<double> passes_;
  std::vector<std::vector<double>> layers_;
};

// The share of the weights that are not zero, in percent.
double PercentLeft(const Convolution& c) {
  const auto zeros = std::count(c.integer_weights.begin(), c.integer_weights.end(), 0);
  return 100.0 * (1 - static_cast<double>(zeros) / static_cast<double>(c.integer_weights.size()));
}

// Of a CPU on which blocks compute every layer. GMAC/s are those of the full layer, without its
// padding where Simplify dropped taps.
void PrintBlocks(const DenseModel& model, int batch, int passes) {
  Way blocks(model, AllInBlocks(model.network), batch);
  for (int pass = 0; pass < passes; ++pass) blocks.Pass();
  std::printf("batch %d                        microseconds   GMAC/s of a full layer\n", batch);
  for (size_t i = 0; i < model.network.layers.size(); ++i) {
    const Layer& layer = model.network.layers[i];
    if (layer.op != Op::kConv || (!model.unread.empty() && model.unread[i])) continue;
    const Convolution& c = model.convolutions[i];
    const double products = double{1} * batch * c.out_height * c.out_width *
                            static_cast<double>(c.integer_weights.size());
    std::printf("%-22s %5.1f %% left %8.1f %8.1f\n", layer.name.c_str(), PercentLeft(c),
                blocks.layer(i), products / blocks.layer(i) / 1e3);
  }
  std::printf("a pass: %.0f\n\n", blocks.pass());
}

std::string NameOf(const LayerWay& way, int batch) {
  if (!way.in_blocks) return "oneDNN";
  return batch >= way.matrix_from ? "matrix" : "blocks";
}

void PrintLayers(const DenseModel& model, const LayerWays& choice, int batch, int passes) {
  const bool has_matrix =
      BestBlockKernel().run_matrix != nullptr && BestIntegerUnit() == IntegerUnit::kAmx;
  Way onednn(model, AllByOneDnn(model.network), batch);
  Way blocks(model, AllInBlocks(model.network), batch);
  Way matrix(model, has_matrix ? AllByMatrix(model.network) : AllInBlocks(model.network), batch);
  Way chosen(model, choice, batch);
  for (int pass = 0; pass < passes; ++pass) {
    for (Way* way : {&onednn, &blocks, &matrix, &chosen}) way->Pass();
  }
  const std::vector<LayerTimes> estimates =
      EstimateTimes(model, batch, BestIntegerUnit(), BestBlockKernel());
  std::printf("batch %d, microseconds             oneDNN estimate   blocks estimate%s\n", batch,
              has_matrix ? "   matrix estimate" : "");
  double best = 0;
  for (size_t i = 0; i < choice.size(); ++i) {
    const Layer& layer = model.network.layers[i];
    if (layer.op != Op::kConv || (!model.unread.empty() && model.unread[i])) continue;
    const Convolution& c = model.convolutions[i];
    std::printf("%-22s %5.1f %% left %8.1f %8.1f %8.1f %8.1f", layer.name.c_str(), PercentLeft(c),
                onednn.layer(i), estimates[i].onednn / 1e3, blocks.layer(i),
                estimates[i].blocks / 1e3);
    if (has_matrix) std::printf(" %8.1f %8.1f", matrix.layer(i), estimates[i].matrix / 1e3);
    std::printf("  %s\n", NameOf(choice[i], batch).c_str());
    best += std::min({onednn.layer(i), blocks.layer(i), matrix.layer(i)});
  }
  std::printf("a pass: oneDNN %.0f, blocks %.0f, ", onednn.pass(), blocks.pass());
  if (has_matrix) std::printf("matrix %.0f, ", matrix.pass());
  std::printf("as chosen %.0f; the fastest at each layer, without converting %.0f\n\n",
              chosen.pass(), best);
}

absl::Status Run(const Options& options) {
  omp_set_num_threads(1);
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, LoadArtifact(options));
  CYTOPRESS_ASSIGN_OR_RETURN(const DenseModel model,
                             BuildDenseModel(artifact, DenseArithmetic::kInt8));
  if (!HasExactInt8()) {
    std::printf("oneDNN has no exact INT8 on this CPU: blocks (%s) compute every layer\n",
                BestBlockKernel().name);
    for (const int batch : options.batches) PrintBlocks(model, batch, options.passes);
    return absl::OkStatus();
  }
  const LayerWays choice = ChooseLayers(model);
  for (const int batch : options.batches) PrintLayers(model, choice, batch, options.passes);
  return absl::OkStatus();
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  CLI::App app(
      "Times the convolutions of an INT8 model on one thread, by oneDNN and by the block kernels, "
      "beside the estimates by which cytopress chooses. Where oneDNN has no exact INT8, by the "
      "block "
      "kernels alone.");
  cytopress::Options options;
  cytopress::AddOptions(options, app);
  app.failure_message(cytopress::UsageMessage);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = cytopress::Run(options);
  if (!status.ok()) std::fprintf(stderr, "cytopress-layer-bench: %s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
