#include "core/kernels/row_constants.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cytopress {
namespace {

constexpr int kLargestInput = 255;
// What rounds to 32 bits, with room for the rounding of FP32.
constexpr double kMostPacked = 2e9;
// Of a sum either way, for RowOutputs::sums_are_floats.
constexpr int64_t kMostSum = (1 << 22) - 1;
// Of a step, which a sum of 1 stands for, for the same: FP32 may lose as much.
constexpr float kMostMultiplier = 1.0f / 16;

}  // namespace

RowConstants::RowConstants(const Convolution& convolution) : zero_(ZeroOf(convolution.source)) {
  const size_t row_size = convolution.integer_weights.size() / convolution.out_channels;
  const int8_t* weight = convolution.integer_weights.data();
  int64_t largest_sum = 0;
  double largest_value = 0;  // of what sums become
  float largest_multiplier = 0;
  for (int row = 0; row < convolution.out_channels; ++row) {
    int64_t sum = 0, magnitudes = 0;
    for (const int8_t* const end = weight + row_size; weight != end; ++weight) {
      sum += *weight;
      magnitudes += std::abs(*weight);
    }
    // A row without weights may have any multiplier.
    multiplier_.push_back(magnitudes > 0 ? convolution.multiplier[row] : 0);
    const int64_t positive = (magnitudes + sum) / 2;
    largest_sum = std::max(largest_sum,
                           zero_ != 0 ? kSignedZero * magnitudes
                                      : kLargestInput * std::max(positive, magnitudes - positive));
    largest_value = std::max(
        largest_value, double{kLargestInput} * static_cast<double>(magnitudes) *
                               std::abs(double{multiplier_.back()}) +
                           std::abs(double{convolution.bias[row]}) +
                           2 * kLargestInput * std::abs(double{convolution.residual_multiplier}));
    largest_multiplier = std::max(largest_multiplier, std::abs(multiplier_.back()));
  }
  const bool packing_clamps = convolution.destination == DataType::kUint8 || !convolution.relu;
  sums_are_floats_ = packing_clamps && largest_sum <= kMostSum && largest_value < kMostPacked &&
                     largest_multiplier <= kMostMultiplier;
  SetBias(convolution);
}

void RowConstants::SetBias(const Convolution& convolution) {
  // What the kernels do not take from a residual and a sum: the zero of the one, the bases of both.
  const double residual = convolution.adds_residual ? ZeroOf(convolution.residual) +
                                                          double{kResidualBase} / kResidualParts
                                                    : 0;
  const double sum = sums_are_floats_ ? kSumBase : 0;
  for (size_t row = 0; row < convolution.bias.size(); ++row) {
    bias_.push_back(static_cast<float>(convolution.bias[row] -
                                       convolution.residual_multiplier * residual -
                                       multiplier_[row] * sum));
  }
}

int64_t RowConstants::bytes() const {
  return static_cast<int64_t>((multiplier_.size() + bias_.size()) * sizeof(float));
}

RowOutputs RowConstants::View(const Convolution& convolution) const {
  RowOutputs outputs;
  outputs.initial = nullptr;
  outputs.multiplier = multiplier_.data();
  outputs.bias = bias_.data();
  outputs.adds_residual = convolution.adds_residual;
  outputs.residual_multiplier = convolution.residual_multiplier / kResidualParts;
  const bool is_signed = convolution.destination == DataType::kInt8;
  outputs.low = is_signed && !convolution.relu ? -128.0f : 0.0f;
  outputs.high = is_signed ? 127.0f : 255.0f;
  outputs.zero = ZeroOf(convolution.destination);
  outputs.sums_are_floats = sums_are_floats_;
  return outputs;
}

}  // namespace cytopress
