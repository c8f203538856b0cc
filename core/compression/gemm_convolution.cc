#include "core/compression/gemm_convolution.h"

#include <vector>

#include "core/compression/precision.h"

namespace cytopress {
namespace {

// Sides of the output.
constexpr int64_t kLargestGemmMap = 4;
constexpr int64_t kLargestBfloat16Map = 7;
constexpr int64_t kLargestBfloat16Pointwise = 14;

struct Geometry {
  // input_shape: [N, C, H, W].
  Geometry(at::IntArrayRef input_shape, int64_t kernel_side, int64_t stride_, int64_t padding_)
      : images(input_shape[0]),
        channels(input_shape[1]),
        padded_height(input_shape[2] + 2 * padding_),
        padded_width(input_shape[3] + 2 * padding_),
        kernel(kernel_side),
        stride(stride_),
        padding(padding_) {}

  int64_t out_height() const { return (padded_height - kernel) / stride + 1; }
  int64_t out_width() const { return (padded_width - kernel) / stride + 1; }
  int64_t out_positions() const { return images * out_height() * out_width(); }
  bool is_pointwise() const { return kernel == 1 && stride == 1 && padding == 0; }

  int64_t images, channels, padded_height, padded_width, kernel, stride, padding;
};

// Where the window's element (row, column) lies in a padded NHWC map, for every output position.
torch::Tensor Tap(const torch::Tensor& padded, const Geometry& g, int64_t row, int64_t column) {
  return padded.slice(1, row, row + (g.out_height() - 1) * g.stride + 1, g.stride)
      .slice(2, column, column + (g.out_width() - 1) * g.stride + 1, g.stride);
}

// NCHW, stored as channels_last -> [out positions, K * K * C].
torch::Tensor Im2Col(const torch::Tensor& input, const Geometry& g) {
  const torch::Tensor map = input.permute({0, 2, 3, 1});
  if (g.is_pointwise()) return map.reshape({g.out_positions(), g.channels});
  const torch::Tensor padded =
      at::constant_pad_nd(map, {0, 0, g.padding, g.padding, g.padding, g.padding}).contiguous();
  const int64_t row = g.padded_width * g.channels;
  return padded
      .as_strided(
          {g.images, g.out_height(), g.out_width(), g.kernel, g.kernel, g.channels},
          {g.padded_height * row, g.stride * row, g.stride * g.channels, row, g.channels, 1})
      .reshape({g.out_positions(), g.kernel * g.kernel * g.channels});
}

// The transpose of Im2Col: sums what each input element was copied to.
torch::Tensor Col2Im(const torch::Tensor& columns, const Geometry& g) {
  torch::Tensor padded;
  if (g.is_pointwise()) {
    padded = columns.view({g.images, g.padded_height, g.padded_width, g.channels});
  } else {
    padded =
        torch::zeros({g.images, g.padded_height, g.padded_width, g.channels}, columns.options());
    const torch::Tensor taps =
        columns.view({g.images, g.out_height(), g.out_width(), g.kernel, g.kernel, g.channels});
    for (int64_t row = 0; row < g.kernel; ++row) {
      for (int64_t column = 0; column < g.kernel; ++column) {
        Tap(padded, g, row, column).add_(taps.select(3, row).select(3, column));
      }
    }
  }
  return padded.slice(1, g.padding, g.padded_height - g.padding)
      .slice(2, g.padding, g.padded_width - g.padding)
      .permute({0, 3, 1, 2});
}

torch::Tensor Matrix(const torch::Tensor& weight) {
  return weight.permute({0, 2, 3, 1}).reshape({weight.size(0), -1});
}

class Function : public torch::autograd::Function<Function> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* context,
                               const torch::Tensor& input, const torch::Tensor& weight,
                               int64_t stride, int64_t padding) {
    const Geometry g(input.sizes(), weight.size(2), stride, padding);
    const at::ScalarType type = AutocastEnabled(input.device()) ? at::kBFloat16 : at::kFloat;
    const torch::Tensor columns = Im2Col(input.to(type), g), matrix = Matrix(weight.to(type));
    context->save_for_backward({columns, matrix});
    context->saved_data["weight_shape"] = weight.sizes().vec();
    context->saved_data["input_shape"] = input.sizes().vec();
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    return at::mm(columns, matrix.t())
        .view({g.images, g.out_height(), g.out_width(), weight.size(0)})
        .permute({0, 3, 1, 2});
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const torch::autograd::variable_list saved = context->get_saved_variables();
    const torch::Tensor &columns = saved[0], &matrix = saved[1];
    const std::vector<int64_t> shape = context->saved_data["input_shape"].toIntVector();
    const std::vector<int64_t> weight_shape = context->saved_data["weight_shape"].toIntVector();
    const Geometry g(shape, weight_shape[2], context->saved_data["stride"].toInt(),
                     context->saved_data["padding"].toInt());
    const torch::Tensor gradient =
        gradients[0].permute({0, 2, 3, 1}).reshape({g.out_positions(), weight_shape[0]});
    torch::Tensor input_gradient, weight_gradient;
    if (context->needs_input_grad(0)) {
      input_gradient = Col2Im(at::mm(gradient, matrix), g);
    }
    if (context->needs_input_grad(1)) {
      weight_gradient = at::mm(gradient.t(), columns)
                            .to(at::kFloat)
                            .view({weight_shape[0], g.kernel, g.kernel, g.channels})
                            .permute({0, 3, 1, 2});
    }
    return {input_gradient, weight_gradient, torch::Tensor(), torch::Tensor()};
  }
};

}  // namespace

torch::Tensor GemmConvolution(const torch::Tensor& input, const torch::Tensor& weight,
                              int64_t stride, int64_t padding) {
  return Function::apply(input, weight, stride, padding);
}

bool PrefersGemm(const torch::Tensor& input, const torch::Tensor& weight, int64_t stride,
                 int64_t padding) {
  if (!at::GradMode::is_enabled() || !input.device().is_cpu()) return false;
  const Geometry g(input.sizes(), weight.size(2), stride, padding);
  int64_t largest = kLargestGemmMap;
  if (AutocastEnabled(input.device())) {
    largest = g.kernel == 1 ? kLargestBfloat16Pointwise : kLargestBfloat16Map;
  }
  return g.out_height() <= largest && g.out_width() <= largest;
}

}  // namespace cytopress
