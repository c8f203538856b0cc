#include "core/compression/gptq.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>

#include "core/base/status_macros.h"
#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

// Added to the Hessian's diagonal, as a share of its mean: keeps it invertible.
constexpr double kDamping = 0.01;
// Columns whose errors are passed on to the rest of the matrix in one product.
constexpr int64_t kColumns = 128;
// Rows that a thread takes at a time.
constexpr int64_t kRows = 16;
// Images whose windows are unfolded at a time.
constexpr int64_t kUnfolded = 16;

// The layer's inputs as the columns that meet one row of its weights, summed up: X X^T.
torch::Tensor GramMatrix(const Layer& layer, const torch::Tensor& input) {
  const int64_t fan_in = layer.weight_count() / layer.out_channels;
  torch::Tensor gram = torch::zeros({fan_in, fan_in}, torch::kFloat64).to(input.device());
  for (int64_t begin = 0; begin < input.size(0); begin += kUnfolded) {
    const int64_t count = std::min(kUnfolded, input.size(0) - begin);
    torch::Tensor part = input.narrow(0, begin, count);
    if (layer.op == Op::kConv) {
      part = at::im2col(part.contiguous(), {layer.kernel, layer.kernel}, {1, 1},
                        {layer.padding, layer.padding}, {layer.stride, layer.stride})
                 .permute({1, 0, 2})
                 .reshape({fan_in, -1});
    } else {
      part = part.t().contiguous();
    }
    gram += at::mm(part, part.t()).to(torch::kFloat64);
  }
  return gram;
}

// A few columns, row by row, on the CPU; all float64, contiguous.
struct Columns {
  torch::Tensor weights;  // [rows, width]
  torch::Tensor targets;  // [rows, width]: in, the weights with what makes up for errors before
  torch::Tensor steps;    // [rows, width]
  torch::Tensor factor;   // [width, width], upper triangular
  torch::Tensor rounded;  // [rows, width]: out, zeros before
  torch::Tensor errors;   // [rows, width]: out, zeros before; to be passed on
};

// Rounds one row from left to right, passing on each error within it. What is zero stays zero; the
// weights after it make up for what it would have.
void RoundRow(int levels, int64_t row, const Columns& columns) {
  const int64_t width = columns.weights.size(1);
  const double* const weights = columns.weights.data_ptr<double>() + row * width;
  double* const targets = columns.targets.data_ptr<double>() + row * width;
  const double* const steps = columns.steps.data_ptr<double>() + row * width;
  const double* const factor = columns.factor.data_ptr<double>();
  double* const rounded = columns.rounded.data_ptr<double>() + row * width;
  double* const errors = columns.errors.data_ptr<double>() + row * width;
  const double bound = levels;
  for (int64_t column = 0; column < width; ++column) {
    if (weights[column] == 0) continue;
    const double step = steps[column];
    rounded[column] = std::clamp(std::nearbyint(targets[column] / step), -bound, bound) * step;
    const double error = weights[column] - rounded[column];
    errors[column] = error;
    for (int64_t i = column + 1; i < width; ++i) targets[i] += error * factor[column * width + i];
  }
}

// Upper triangular U with ones on its diagonal and U D U^T = the damped Hessian in `order`, for
// some diagonal D: its column j says how much of each error before it weight j makes up for.
torch::Tensor CompensationFactor(const torch::Tensor& gram, const torch::Tensor& order) {
  // Cholesky's factor is lower triangular: upper once both orders are turned round.
  const torch::Tensor backwards = order.flip(0);
  torch::Tensor hessian = gram.index_select(0, backwards).index_select(1, backwards);
  torch::Tensor diagonal = hessian.diagonal();
  const double mean = diagonal.mean().item<double>();
  // Inputs that are always zero: nothing to compensate with.
  diagonal.masked_fill_(diagonal == 0, mean > 0 ? mean : 1.0);
  diagonal.add_(kDamping * (mean > 0 ? mean : 1.0));
  torch::Tensor lower = at::linalg_cholesky(hessian);
  lower.div_(lower.diagonal().clone());
  return lower.flip({0, 1});
}

// The integers that rounded values are multiples of.
StoredTensor ToIntegers(const torch::Tensor& rounded, const torch::Tensor& weight,
                        const IntegerFormat& format, const WeightGrid& grid) {
  const torch::Tensor plain = rounded.to(torch::kCPU, torch::kFloat32).contiguous();
  Tensor values;
  values.shape = weight.sizes().vec();
  values.values.assign(plain.data_ptr<float>(), plain.data_ptr<float>() + plain.numel());
  return RoundWeight(values, format, grid);
}

}  // namespace

torch::Tensor GptqRound(const torch::Tensor& weight, const torch::Tensor& gram,
                        const torch::Tensor& steps, int levels) {
  const torch::Tensor order = std::get<1>(gram.diagonal().sort(0, /*descending=*/true));
  const torch::Tensor weights = weight.to(torch::kFloat64).index_select(1, order);
  const torch::Tensor factor = CompensationFactor(gram, order);
  const torch::Tensor ordered_steps =
      steps.to(torch::kFloat64).expand(weights.sizes()).index_select(1, order);
  torch::Tensor targets = weights.clone();
  torch::Tensor rounded = torch::zeros_like(weights);
  const int64_t fan_in = weights.size(1);
  const auto on_cpu = [](const torch::Tensor& part) { return part.to(torch::kCPU).contiguous(); };
  for (int64_t begin = 0; begin < fan_in; begin += kColumns) {
    const int64_t width = std::min(kColumns, fan_in - begin);
    Columns columns;
    columns.weights = on_cpu(weights.narrow(1, begin, width));
    columns.targets = on_cpu(targets.narrow(1, begin, width)).clone();
    columns.steps = on_cpu(ordered_steps.narrow(1, begin, width));
    columns.factor = on_cpu(factor.narrow(0, begin, width).narrow(1, begin, width));
    columns.rounded = torch::zeros_like(columns.weights);
    columns.errors = torch::zeros_like(columns.weights);
    at::parallel_for(0, weights.size(0), kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) RoundRow(levels, row, columns);
    });
    rounded.narrow(1, begin, width).copy_(columns.rounded);
    const int64_t rest = fan_in - begin - width;
    if (rest > 0) {
      targets.narrow(1, begin + width, rest)
          .add_(at::mm(columns.errors.to(targets.device()),
                       factor.narrow(0, begin, width).narrow(1, begin + width, rest)));
    }
  }
  return torch::zeros_like(rounded).index_copy_(1, order, rounded);
}

absl::StatusOr<IntegerWeights> RoundWithGptq(const TorchNetwork& network, const Dataset& dataset,
                                             const v1::QuantizeOptions& options,
                                             const WeightGrids& grids, uint64_t seed,
                                             const std::function<absl::Status(double)>& progress) {
  torch::NoGradGuard no_grad;
  BatchLoader loader(dataset, dataset.train, options.calibration_images(), seed,
                     options.calibration_images());
  IntegerWeights integers;
  TorchNetwork::Hooks hooks;
  // A hook cannot end the pass: what is left of it is only quicker after an error.
  absl::Status status;
  // One pass is enough: a layer is rounded when its input has arrived, and then passes on what the
  // rounded weights make of it.
  hooks.before = [&](const Layer& layer, const torch::Tensor& input) {
    if (!status.ok()) return;
    status = progress(static_cast<double>(integers.size()) / static_cast<double>(grids.size()));
    if (!status.ok()) return;
    const std::string name = layer.name + ".weight";
    const IntegerFormat format = FormatOf(network.network(), layer, options);
    torch::Tensor weight = network.tensors().at(name);
    const torch::Tensor rounded =
        GptqRound(weight.contiguous().reshape({layer.out_channels, -1}), GramMatrix(layer, input),
                  StepsOf(grids.at(name), weight.sizes().vec()).to(weight.device()), format.levels);
    integers[name] = ToIntegers(rounded, weight, format, grids.at(name));
    AssignIntegers({{name, integers[name]}}, network);
  };
  network.Forward(loader.EvaluationBatch(0).images.to(network.device()),
                  TorchNetwork::Mode::kEvaluate, hooks);
  CYTOPRESS_RETURN_IF_ERROR(status);
  return integers;
}

}  // namespace cytopress
