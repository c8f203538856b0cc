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
  torch::Tensor left;     // [rows, width]: in, what is to be rounded
  torch::Tensor steps;    // [rows, width]
  torch::Tensor factor;   // [width, width], upper triangular
  torch::Tensor rounded;  // [rows, width]: out
  torch::Tensor errors;   // [rows, width]: out, what each lost, to be passed on
};

// Rounds one row from left to right, passing on each error within it. What is zero stays zero.
void RoundRow(int levels, int64_t row, const Columns& columns) {
  const int64_t width = columns.left.size(1);
  double* const left = columns.left.data_ptr<double>() + row * width;
  const double* const steps = columns.steps.data_ptr<double>() + row * width;
  const double* const factor = columns.factor.data_ptr<double>();
  double* const rounded = columns.rounded.data_ptr<double>() + row * width;
  double* const errors = columns.errors.data_ptr<double>() + row * width;
  const double bound = levels;
  // `rounded` says on the way in what is kept.
  for (int64_t column = 0; column < width; ++column) {
    const double step = steps[column];
    const double integer = std::clamp(std::nearbyint(left[column] / step), -bound, bound);
    rounded[column] *= integer * step;
    const double error = (left[column] - rounded[column]) / factor[column * width + column];
    errors[column] = error;
    for (int64_t i = column + 1; i < width; ++i) left[i] -= error * factor[column * width + i];
  }
}

// Upper triangular U with U^T U = inverse of the damped Hessian.
torch::Tensor InverseFactor(const torch::Tensor& gram) {
  torch::Tensor hessian = gram.clone();
  torch::Tensor diagonal = hessian.diagonal();
  const double mean = diagonal.mean().item<double>();
  // Inputs that are always zero: nothing to compensate with.
  diagonal.masked_fill_(diagonal == 0, mean > 0 ? mean : 1.0);
  diagonal.add_(kDamping * (mean > 0 ? mean : 1.0));
  const torch::Tensor inverse = at::cholesky_inverse(at::linalg_cholesky(hessian));
  return at::linalg_cholesky(inverse).t().contiguous();
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
  torch::Tensor left = weight.to(torch::kFloat64).index_select(1, order).contiguous();
  const torch::Tensor kept = (left != 0).to(torch::kFloat64);
  const torch::Tensor factor = InverseFactor(gram.index_select(0, order).index_select(1, order));
  const torch::Tensor ordered_steps =
      steps.to(torch::kFloat64).expand({left.size(0), left.size(1)}).index_select(1, order);
  torch::Tensor rounded = torch::zeros_like(left);
  const int64_t fan_in = left.size(1);
  const auto on_cpu = [](const torch::Tensor& part) { return part.to(torch::kCPU).contiguous(); };
  for (int64_t begin = 0; begin < fan_in; begin += kColumns) {
    const int64_t width = std::min(kColumns, fan_in - begin);
    Columns columns;
    columns.left = on_cpu(left.narrow(1, begin, width)).clone();
    columns.steps = on_cpu(ordered_steps.narrow(1, begin, width));
    columns.factor = on_cpu(factor.narrow(0, begin, width).narrow(1, begin, width));
    columns.rounded = on_cpu(kept.narrow(1, begin, width)).clone();
    columns.errors = torch::empty_like(columns.left);
    at::parallel_for(0, left.size(0), kRows, [&](int64_t first, int64_t last) {
      for (int64_t row = first; row < last; ++row) RoundRow(levels, row, columns);
    });
    rounded.narrow(1, begin, width).copy_(columns.rounded);
    const int64_t rest = fan_in - begin - width;
    if (rest > 0) {
      left.narrow(1, begin + width, rest)
          .sub_(at::mm(columns.errors.to(left.device()),
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
