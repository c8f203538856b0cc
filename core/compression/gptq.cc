#include "core/compression/gptq.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/compression/batch_loader.h"

namespace cytopress {
namespace {

// Added to the Hessian's diagonal, as a share of its mean: keeps it invertible.
constexpr double kDamping = 0.01;
// Columns whose errors are passed on to the rest of the matrix in one product.
constexpr int64_t kColumns = 128;
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

torch::Tensor Round(const torch::Tensor& column, const torch::Tensor& steps, int levels) {
  return (column / steps).round().clamp(-levels, levels) * steps;
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

torch::Tensor CompensatedRounding(const torch::Tensor& weight, const torch::Tensor& gram,
                                  const torch::Tensor& steps, int levels) {
  const torch::Tensor order = std::get<1>(gram.diagonal().sort(0, /*descending=*/true));
  torch::Tensor left = weight.to(torch::kFloat64).index_select(1, order).contiguous();
  const torch::Tensor kept = (left != 0).to(torch::kFloat64);
  const torch::Tensor factor = InverseFactor(gram.index_select(0, order).index_select(1, order));
  const torch::Tensor ordered_steps =
      steps.to(torch::kFloat64).expand({left.size(0), left.size(1)}).index_select(1, order);
  torch::Tensor rounded = torch::zeros_like(left);
  const int64_t fan_in = left.size(1);
  for (int64_t begin = 0; begin < fan_in; begin += kColumns) {
    const int64_t end = std::min(begin + kColumns, fan_in);
    torch::Tensor errors = torch::zeros({left.size(0), end - begin}, left.options());
    for (int64_t column = begin; column < end; ++column) {
      const torch::Tensor value = left.select(1, column);
      const torch::Tensor integer =
          Round(value, ordered_steps.select(1, column), levels) * kept.select(1, column);
      rounded.select(1, column).copy_(integer);
      const torch::Tensor error = (value - integer) / factor[column][column];
      errors.select(1, column - begin).copy_(error);
      left.narrow(1, column, end - column)
          .sub_(at::outer(error, factor[column].narrow(0, column, end - column)));
    }
    if (end < fan_in) {
      left.narrow(1, end, fan_in - end)
          .sub_(at::mm(errors, factor.narrow(0, begin, end - begin).narrow(1, end, fan_in - end)));
    }
  }
  return torch::zeros_like(rounded).index_copy_(1, order, rounded);
}

IntegerWeights RoundWithCompensation(const TorchNetwork& network, const Dataset& dataset,
                                     const v1::QuantizeOptions& options, const WeightGrids& grids,
                                     uint64_t seed) {
  torch::NoGradGuard no_grad;
  BatchLoader loader(dataset, dataset.train, options.calibration_images(), seed,
                     options.calibration_images());
  IntegerWeights integers;
  TorchNetwork::Hooks hooks;
  // One pass is enough: a layer is rounded when its input has arrived, and then passes on what the
  // rounded weights make of it.
  hooks.before = [&](const Layer& layer, const torch::Tensor& input) {
    const std::string name = layer.name + ".weight";
    const IntegerFormat format = FormatOf(network.network(), layer, options);
    torch::Tensor weight = network.tensors().at(name);
    const torch::Tensor rounded = CompensatedRounding(
        weight.contiguous().reshape({layer.out_channels, -1}), GramMatrix(layer, input),
        StepsOf(grids.at(name), weight.sizes().vec()).to(weight.device()), format.levels);
    integers[name] = ToIntegers(rounded, weight, format, grids.at(name));
    AssignIntegers({{name, integers[name]}}, network);
  };
  network.Forward(loader.EvaluationBatch(0).images.to(network.device()),
                  TorchNetwork::Mode::kEvaluate, hooks);
  return integers;
}

}  // namespace cytopress
