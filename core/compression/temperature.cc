#include "core/compression/temperature.h"

#include <cassert>
#include <cmath>
#include <vector>

namespace cytopress {
namespace {

constexpr double kMostTemperature = 20;
// Each halves the interval, at whose end it is some 1e-12 wide.
constexpr int kBisections = 42;

void Divide(double divisor, std::vector<float>* values) {
  for (float& value : *values) value = static_cast<float>(value / divisor);
}

}  // namespace

// The likelihood is log-concave in 1/T; its slope there has one zero.
std::optional<double> FitTemperature(const torch::Tensor& logits, absl::Span<const int> labels) {
  assert(logits.size(0) == static_cast<int64_t>(labels.size()));
  const torch::Tensor values = logits.to(torch::kFloat64);
  const torch::Tensor truth =
      torch::tensor(std::vector<int64_t>(labels.begin(), labels.end())).unsqueeze(1);
  if (values.argmax(1, /*keepdim=*/true).equal(truth)) return std::nullopt;
  const torch::Tensor wanted = values.gather(1, truth).sum();
  const auto slope = [&](double inverse) {
    const torch::Tensor expected = ((values * inverse).softmax(1) * values).sum();
    return (wanted - expected).item<double>();
  };
  double low = 1 / kMostTemperature, high = kMostTemperature;
  for (int i = 0; i < kBisections; ++i) {
    const double middle = std::sqrt(low * high);
    (slope(middle) > 0 ? low : high) = middle;
  }
  return 1 / std::sqrt(low * high);
}

void DivideLogits(double temperature, Artifact* artifact) {
  StoredTensor& weight = artifact->tensors.at("fc.weight");
  Divide(temperature, &weight.scales);
  Divide(temperature, &weight.floats);
  Divide(temperature, &artifact->tensors.at("fc.bias").floats);
  const auto range = artifact->activation_ranges.find("fc");
  if (range != artifact->activation_ranges.end()) {
    range->second = static_cast<float>(range->second / temperature);
  }
}

}  // namespace cytopress
