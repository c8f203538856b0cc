// cytopress-train-bench: what the pipeline's training costs beside a bare LibTorch loop.
#include <torch/torch.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/arguments.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/compression/blas.h"
#include "core/compression/precision.h"
#include "core/compression/torch_network.h"
#include "core/compression/trainer.h"
#include "core/network/network.h"
#include "tests/core/network/description.h"

namespace cytopress {
namespace {

struct Options {
  std::string architecture = "resnet50";
  std::string stem = "stride2";
  int size = 28;
  int classes = 8;
  int batch = 64;
  int steps = 10;
  int rounds = 5;
  int threads = 0;
  std::string precision = "auto";
  std::string device = "cpu";
};

void AddOptions(Options& options, CLI::App& app) {
  app.add_option("--architecture", options.architecture, absl::StrJoin(ArchitectureNames(), ", "))
      ->capture_default_str();
  app.add_option("--stem", options.stem, "imagenet, cifar or stride2")->capture_default_str();
  app.add_option("--size", options.size, "side of the images in pixels")->capture_default_str();
  app.add_option("--batch", options.batch, "images a step")->capture_default_str();
  app.add_option("--steps", options.steps, "steps a turn")->capture_default_str();
  app.add_option("--rounds", options.rounds, "turns of each that count, after one that does not")
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0 = all cores")->capture_default_str();
  app.add_option("--precision", options.precision, "auto, fp32 or bf16")->capture_default_str();
  app.add_option("--device", options.device, "cpu or cuda:N")->capture_default_str();
}

absl::StatusOr<TorchNetwork> MakeNetwork(const Options& options, torch::Device device) {
  NetworkSpec spec;
  spec.architecture = options.architecture;
  CYTOPRESS_ASSIGN_OR_RETURN(spec.stem, ParseStem(options.stem));
  spec.classes = options.classes;
  spec.input_height = spec.input_width = options.size;
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(spec));
  return TorchNetwork(std::move(network), device, /*seed=*/1);
}

// Noise: how fast it is learned does not depend on what it shows.
Dataset MakeDataset(const Options& options) {
  Dataset dataset;
  dataset.name = "noise";
  dataset.height = dataset.width = options.size;
  for (int c = 0; c < options.classes; ++c) dataset.class_names.push_back(absl::StrCat(c));
  const auto fill = [&](Split& split, int count) {
    const torch::Tensor noise = torch::randint(256, {count * dataset.image_bytes()}, torch::kUInt8);
    split.pixels.assign(noise.data_ptr<uint8_t>(), noise.data_ptr<uint8_t>() + noise.numel());
    for (int i = 0; i < count; ++i) split.labels.push_back(i % options.classes);
  };
  fill(dataset.train, options.batch * options.steps);
  fill(dataset.val, options.classes);  // the trainer validates every epoch; its time is not counted
  return dataset;
}

// Images a second of one epoch of the pipeline's trainer: augmentation, masks, progress and all.
absl::StatusOr<double> PipelineTurn(const Options& options, const Dataset& dataset,
                                    TorchNetwork& network) {
  v1::TrainOptions train;
  train.set_epochs(1);
  train.set_batch_size(options.batch);
  train.set_learning_rate(0.01);
  train.set_momentum(0.9);
  train.set_weight_decay(5e-4);
  train.set_label_smoothing(0.1);
  train.set_shift_pixels(2);
  train.set_precision(options.precision);
  Masks masks = MagnitudeMasks(network, {}, 0.5);
  TrainerSetup setup;
  setup.seed = 1;
  setup.masks = &masks;
  Trainer trainer(network, dataset, train, setup);
  CYTOPRESS_RETURN_IF_ERROR(trainer.Run(
      {[](const StepReport&) { return absl::OkStatus(); }, [] { return absl::OkStatus(); }}));
  return trainer.images_per_second();
}

// The loop that one would write by hand: at::conv2d, at::batch_norm, torch::optim::SGD, batches
// that lie ready in memory, nothing else.
class BareLoop {
 public:
  BareLoop(const Options& options, const TorchNetwork& network)
      : options_(options), network_(network.network()), device_(network.device()) {
    std::vector<torch::Tensor> parameters;
    for (const auto& [name, tensor] : network.tensors()) {
      tensors_[name] = tensor.detach().clone().set_requires_grad(tensor.requires_grad());
      if (tensor.requires_grad()) parameters.push_back(tensors_[name]);
    }
    optimizer_ = std::make_unique<torch::optim::SGD>(
        parameters, torch::optim::SGDOptions(0.01).momentum(0.9).nesterov(true).weight_decay(5e-4));
    images_ = torch::randn({options.batch, 3, options.size, options.size})
                  .contiguous(at::MemoryFormat::ChannelsLast)
                  .to(device_);
    labels_ = torch::arange(options.batch, torch::kInt64).remainder(options.classes).to(device_);
  }

  double Turn(bool bfloat16) {
    const absl::Duration start = RealClock()->Steady();
    for (int step = 0; step < options_.steps; ++step) {
      torch::Tensor loss;
      {
        AutocastScope autocast(device_, bfloat16);
        loss = at::cross_entropy_loss(Forward().to(torch::kFloat32), labels_, {},
                                      at::Reduction::Mean, -100, 0.1);
      }
      optimizer_->zero_grad();
      loss.backward();
      optimizer_->step();
      loss.item<float>();
    }
    return options_.batch * options_.steps / absl::ToDoubleSeconds(RealClock()->Steady() - start);
  }

 private:
  torch::Tensor Forward() const {
    std::vector<torch::Tensor> outputs(network_.layers.size());
    for (size_t i = 0; i < network_.layers.size(); ++i) {
      const Layer& layer = network_.layers[i];
      torch::Tensor& y = outputs[i];
      switch (layer.op) {
        case Op::kInput:
          y = images_;
          break;
        case Op::kConv:
          y = at::conv2d(outputs[layer.input], tensors_.at(layer.name + ".weight"), {},
                         layer.stride, layer.padding);
          y = at::batch_norm(y, tensors_.at(layer.batch_norm + ".weight"),
                             tensors_.at(layer.batch_norm + ".bias"),
                             tensors_.at(layer.batch_norm + ".running_mean"),
                             tensors_.at(layer.batch_norm + ".running_var"), /*training=*/true, 0.1,
                             kBatchNormEpsilon, /*cudnn_enabled=*/true);
          break;
        case Op::kMaxPool:
          y = at::max_pool2d(outputs[layer.input], layer.kernel, layer.stride, layer.padding);
          break;
        case Op::kGlobalAvgPool:
          y = outputs[layer.input].mean({2, 3});
          break;
        case Op::kLinear:
          y = at::linear(outputs[layer.input], tensors_.at(layer.name + ".weight"),
                         tensors_.at(layer.name + ".bias"));
          break;
      }
      if (layer.residual >= 0) y = y.add_(outputs[layer.residual]);
      if (layer.relu) y = y.relu_();
    }
    return outputs.back();
  }

  const Options options_;
  const Network network_;
  const torch::Device device_;
  TensorTable tensors_;
  std::unique_ptr<torch::optim::SGD> optimizer_;
  torch::Tensor images_, labels_;
};

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

absl::Status Run(const Options& options) {
  ConfigureTorch(options.threads);
  CYTOPRESS_ASSIGN_OR_RETURN(const torch::Device device, ParseDevice(options.device));
  CYTOPRESS_ASSIGN_OR_RETURN(const bool bfloat16, UseBfloat16(options.precision, device));
  CYTOPRESS_ASSIGN_OR_RETURN(TorchNetwork network, MakeNetwork(options, device));
  const Dataset dataset = MakeDataset(options);
  BareLoop bare(options, network);
  std::vector<double> ours, theirs;
  for (int round = 0; round <= options.rounds; ++round) {
    CYTOPRESS_ASSIGN_OR_RETURN(const double pipeline, PipelineTurn(options, dataset, network));
    const double loop = bare.Turn(bfloat16);
    if (round == 0) continue;
    ours.push_back(pipeline);
    theirs.push_back(loop);
  }
  std::printf("%s, %s stem, %dx%d, batch %d, %s; %d turns of %d steps each, taking turns\n",
              options.architecture.c_str(), options.stem.c_str(), options.size, options.size,
              options.batch, bfloat16 ? "bf16" : "fp32", options.rounds, options.steps);
  std::printf("  pipeline   %7.1f images/s\n  bare loop  %7.1f images/s\n  ratio      %7.2f\n",
              Median(ours), Median(theirs), Median(ours) / Median(theirs));
  return absl::OkStatus();
}

}  // namespace
}  // namespace cytopress

int main(int argc, char** argv) {
  cytopress::UseBlasKernelsOfThisCpu(argv);
  cytopress::Options options;
  CLI::App app(
      "Trains the same network with the pipeline's trainer and with a bare LibTorch loop, in "
      "turns.\n"
      "Example: cytopress-train-bench --stem stride2 --batch 64");
  cytopress::AddOptions(options, app);
  app.failure_message(cytopress::UsageMessage);
  CLI11_PARSE(app, argc, argv);
  const absl::Status status = cytopress::Run(options);
  if (!status.ok()) {
    std::fprintf(stderr, "cytopress-train-bench: %s\n", status.ToString().c_str());
    return 1;
  }
  return 0;
}
