#include "core/compression/gptq.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "core/compression/batch_loader.h"
#include "core/compression/pruning.h"
#include "tests/core/compression/test_data.h"

namespace cytopress {
namespace {

// Inputs that depend on each other, so that there is something to compensate with.
torch::Tensor CorrelatedInputs(int64_t width, int64_t count) {
  torch::manual_seed(1);
  const torch::Tensor common = torch::randn({4, count});
  return at::mm(torch::randn({width, 4}), common) + 0.3 * torch::randn({width, count});
}

struct Case {
  torch::Tensor weight, inputs, gram, scales, nearest;
};

Case MakeCase() {
  Case c;
  c.inputs = CorrelatedInputs(200, 1000);
  c.weight = torch::randn({16, 200});
  c.gram = at::mm(c.inputs, c.inputs.t()).to(torch::kFloat64);
  c.scales = c.weight.abs().amax(1) / 7;
  c.nearest = (c.weight / c.scales.unsqueeze(1)).round() * c.scales.unsqueeze(1);
  return c;
}

double OutputError(const Case& c, const torch::Tensor& rounded) {
  return at::mm(rounded.to(torch::kFloat32) - c.weight, c.inputs).norm().item<double>();
}

// Optimal brain quantization (Frantar and Alistarh, "Optimal Brain Compression", 2022) in GPTQ's
// order, by its definition: an inverse of what is left of the Hessian for each column.
torch::Tensor ByInverses(const torch::Tensor& weight, const torch::Tensor& gram,
                         const torch::Tensor& scales, int levels) {
  const torch::Tensor order = std::get<1>(gram.diagonal().sort(0, /*descending=*/true));
  const int64_t width = weight.size(1);
  const torch::Tensor damping = 0.01 * gram.diagonal().mean() * torch::eye(width, torch::kFloat64);
  const torch::Tensor hessian = (gram + damping).index_select(0, order).index_select(1, order);
  torch::Tensor left = weight.to(torch::kFloat64).index_select(1, order);
  const torch::Tensor kept = (left != 0).to(torch::kFloat64);
  torch::Tensor rounded = torch::zeros_like(left);
  for (int64_t i = 0; i < width; ++i) {
    const torch::Tensor inverse =
        at::linalg_inv(hessian.narrow(0, i, width - i).narrow(1, i, width - i));
    const torch::Tensor integers = (left.select(1, i) / scales).round().clamp(-levels, levels);
    rounded.select(1, i).copy_(integers * scales * kept.select(1, i));
    const torch::Tensor error = (left.select(1, i) - rounded.select(1, i)) / inverse[0][0];
    left.narrow(1, i, width - i).sub_(at::outer(error, inverse[0]));
  }
  return torch::zeros_like(rounded).index_copy_(1, order, rounded);
}

TEST(GptqRoundTest, IsOptimalBrainQuantizationColumnByColumn) {
  Case c = MakeCase();  // has more columns than are rounded between two products
  c.weight = c.weight * (torch::rand({16, 200}) > 0.3);
  const torch::Tensor inputs = c.inputs.to(torch::kFloat64);
  const torch::Tensor gram = at::mm(inputs, inputs.t());
  const torch::Tensor rounded = GptqRound(c.weight, gram, c.scales.unsqueeze(1), 7);
  const torch::Tensor expected = ByInverses(c.weight, gram, c.scales.to(torch::kFloat64), 7);
  EXPECT_LT((rounded - expected).abs().max().item<double>(), 1e-9);
  EXPECT_GT((rounded - c.nearest * (c.weight != 0)).abs().max().item<double>(), 0.1);
}

TEST(GptqRoundTest, HalvesTheErrorOfTheOutput) {
  const Case c = MakeCase();
  const torch::Tensor rounded = GptqRound(c.weight, c.gram, c.scales.unsqueeze(1), 7);
  EXPECT_LT(OutputError(c, rounded), 0.5 * OutputError(c, c.nearest));
}

TEST(GptqRoundTest, GivesMultiplesOfTheScaleWithinTheLevels) {
  const Case c = MakeCase();
  const torch::Tensor integers =
      GptqRound(c.weight, c.gram, c.scales.unsqueeze(1), 7) / c.scales.unsqueeze(1);
  EXPECT_LT((integers - integers.round()).abs().max().item<double>(), 1e-5);
  EXPECT_LE(integers.abs().max().item<double>(), 7 + 1e-5);
}

TEST(GptqRoundTest, KeepsToStepsThatDifferWithinAChannel) {
  const Case c = MakeCase();
  const torch::Tensor steps =
      c.scales.unsqueeze(1) * at::cat({torch::ones({100}), 2 * torch::ones({100})});
  const torch::Tensor rounded = GptqRound(c.weight, c.gram, steps, 7);
  const torch::Tensor integers = rounded / steps;
  EXPECT_LT((integers - integers.round()).abs().max().item<double>(), 1e-5);
  const torch::Tensor nearest = (c.weight / steps).round() * steps;
  EXPECT_LT(OutputError(c, rounded), 0.5 * OutputError(c, nearest));
}

TEST(GptqRoundTest, ZerosStayAndAreMadeUpFor) {
  Case c = MakeCase();
  c.weight = c.weight * (torch::rand({16, 200}) > 0.5);
  c.nearest = (c.weight / c.scales.unsqueeze(1)).round() * c.scales.unsqueeze(1);
  const torch::Tensor rounded = GptqRound(c.weight, c.gram, c.scales.unsqueeze(1), 7);
  EXPECT_EQ(rounded.masked_select(c.weight == 0).abs().max().item<double>(), 0);
  EXPECT_LT(OutputError(c, rounded), 0.7 * OutputError(c, c.nearest));
}

TEST(GptqRoundTest, StandsInputsThatAreAlwaysZero) {
  Case c = MakeCase();
  c.gram.narrow(0, 0, 50).zero_();
  c.gram.narrow(1, 0, 50).zero_();
  const torch::Tensor rounded = GptqRound(c.weight, c.gram, c.scales.unsqueeze(1), 7);
  EXPECT_TRUE(rounded.isfinite().all().item<bool>());
  // Nothing to gain there: the nearest.
  EXPECT_LT((rounded - c.nearest).narrow(1, 0, 50).abs().max().item<double>(), 1e-5);
}

v1::QuantizeOptions Int4() {
  v1::QuantizeOptions options;
  options.set_weights(v1::WEIGHT_TYPE_INT4);
  options.set_calibration_images(64);
  return options;
}

// The last batch norm of a block starts at zero, where nothing would matter.
void SwitchOnBranches(const TorchNetwork& network) {
  for (const auto& [name, tensor] : network.tensors()) {
    torch::Tensor target = tensor;
    if (tensor.dim() == 1 && name.find("bn2.weight") != std::string::npos) target.fill_(1);
  }
}

double Distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a - b).norm() / a.norm()).item<double>();
}

TEST(RoundWithGptqTest, BringsTheNetworkCloserToWhatItWasThanTheNearest) {
  torch::NoGradGuard no_grad;
  const Dataset dataset = SpotDataset();
  const TorchNetwork network = SmallNetwork("resnet20"), nearest = SmallNetwork("resnet20"),
                     gptq = SmallNetwork("resnet20");
  for (const TorchNetwork* each : {&network, &nearest, &gptq}) {
    SwitchOnBranches(*each);
    ApplyMasks(MagnitudeMasks(*each, {}, 0.5), *each);
  }
  const WeightGrids grids = FindWeightGrids(network, Int4());
  AssignIntegers(RoundToNearest(nearest, Int4(), grids), nearest);
  std::vector<double> reports;
  const absl::StatusOr<IntegerWeights> integers =
      RoundWithGptq(gptq, dataset, Int4(), grids, 1, [&](double done) {
        reports.push_back(done);
        return absl::OkStatus();
      });
  ASSERT_TRUE(integers.ok()) << integers.status();
  EXPECT_EQ(reports.size(), integers->size());
  EXPECT_TRUE(std::is_sorted(reports.begin(), reports.end()));
  EXPECT_LT(reports.back(), 1);
  for (const auto& [name, stored] : *integers) {
    const torch::Tensor values = gptq.tensors().at(name).contiguous();
    const Tensor back = Dequantize(stored);
    EXPECT_TRUE(std::equal(back.values.begin(), back.values.end(), values.data_ptr<float>()))
        << name;
  }
  EXPECT_TRUE(CheckMasks(MagnitudeMasks(network, {}, 0.5), gptq).ok());
  BatchLoader loader(dataset, dataset.val, 64, 0);
  const torch::Tensor images = loader.EvaluationBatch(0).images;
  const auto output = [&](const TorchNetwork& each) {
    return each.Forward(images, TorchNetwork::Mode::kEvaluate);
  };
  EXPECT_LT(Distance(output(network), output(gptq)),
            0.7 * Distance(output(network), output(nearest)));
}

// The rounded network passes on what each layer was rounded for. A sum in FP32 may turn a weight
// that is about between two integers, and what is to make up for it.
TEST(RoundWithGptqTest, RoundsEveryConvolutionForAllInputsThatTheRoundedLayersBeforeItGive) {
  torch::NoGradGuard no_grad;
  const Dataset dataset = SpotDataset();
  const TorchNetwork network = SmallNetwork("resnet20"), unrounded = SmallNetwork("resnet20");
  SwitchOnBranches(network);
  const WeightGrids grids = FindWeightGrids(network, Int4());
  ASSERT_TRUE(RoundWithGptq(network, dataset, Int4(), grids, 1, [](double) {
                return absl::OkStatus();
              }).ok());
  int convolutions = 0;
  TorchNetwork::Hooks hooks;
  hooks.before = [&](const Layer& layer, const torch::Tensor& input) {
    if (layer.op != Op::kConv) return;
    ++convolutions;
    const torch::Tensor windows =
        at::im2col(input.to(torch::kFloat64).contiguous(), {layer.kernel, layer.kernel}, {1, 1},
                   {layer.padding, layer.padding}, {layer.stride, layer.stride})
            .transpose(0, 1)
            .flatten(1);
    const torch::Tensor gram = at::mm(windows, windows.t());
    const std::string name = layer.name + ".weight";
    const auto rows = [&](const TorchNetwork& from) {
      return from.tensors().at(name).contiguous().reshape({layer.out_channels, -1});
    };
    const torch::Tensor steps = torch::tensor(grids.at(name).scales).unsqueeze(1);
    const int levels = layer.name == "conv1" ? 127 : 7;
    const torch::Tensor expected = GptqRound(rows(unrounded), gram, steps, levels);
    const torch::Tensor same = (expected - rows(network)).abs() < 0.5 * steps;
    EXPECT_GT(same.to(torch::kFloat64).mean().item<double>(), 0.97) << layer.name;
  };
  const BatchLoader loader(dataset, dataset.train, 64, /*seed=*/1, /*max_images=*/64);
  network.Forward(loader.EvaluationBatch(0).images, TorchNetwork::Mode::kEvaluate, hooks);
  EXPECT_EQ(convolutions, 21);
}

TEST(RoundWithGptqTest, EndsWithTheErrorOfItsProgress) {
  const TorchNetwork network = SmallNetwork("resnet20");
  int reports = 0;
  const auto integers = RoundWithGptq(
      network, SpotDataset(), Int4(), FindWeightGrids(network, Int4()), 1,
      [&](double) { return ++reports < 3 ? absl::OkStatus() : absl::CancelledError("stopped"); });
  EXPECT_TRUE(absl::IsCancelled(integers.status())) << integers.status();
  EXPECT_EQ(reports, 3);
}

}  // namespace
}  // namespace cytopress
