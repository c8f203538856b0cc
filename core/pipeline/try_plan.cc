#include "core/pipeline/try_plan.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/amounts.h"
#include "core/compression/allocation.h"

namespace cytopress {

std::vector<int> ChooseForLayers(const v1::Goal& goal,
                                 const std::vector<LayerSensitivity>& sensitivity, double budget) {
  std::vector<std::vector<LayerChoice>> choices;
  for (const LayerSensitivity& layer : sensitivity) choices.push_back(layer.choices);
  return Allocate(choices, budget, goal.max_latency_ms() > 0 ? BytesOfWork(choices) : 0);
}

TryPlan MakeTryPlan(const v1::Recipe& recipe, const PipelineState& state,
                    const std::vector<LayerSensitivity>& sensitivity, double budget) {
  const std::vector<int> chosen = ChooseForLayers(state.spec.goal(), sensitivity, budget);
  TryPlan plan{recipe.prune(), recipe.quantize(), "", ""};
  double removed = 0, weights = 0, least = 1, most = 0;
  int int4_layers = 0;
  for (size_t i = 0; i < sensitivity.size(); ++i) {
    const LayerChoice& choice = sensitivity[i].choices[chosen[i]];
    const std::string& layer = sensitivity[i].layer;
    (*plan.prune.mutable_layer_sparsity())[layer] = choice.sparsity;
    (*plan.quantize.mutable_layer_weights())[layer] = choice.weights;
    absl::StrAppend(&plan.choices, layer, " ", choice.sparsity, " ",
                    v1::WeightType_Name(choice.weights), "\n");
    const auto count = static_cast<double>(state.network->tensors().at(layer + ".weight").numel());
    removed += std::round(choice.sparsity * count);
    weights += count;
    least = std::min(least, choice.sparsity);
    most = std::max(most, choice.sparsity);
    int4_layers += choice.weights == v1::WEIGHT_TYPE_INT4 ? 1 : 0;
  }
  plan.prune.set_sparsity(removed / weights);
  plan.text = absl::StrFormat(
      "%s for the weights: %d of %d layers INT4, the others INT8; %.1f %% pruned, %g to %g %% "
      "of a layer",
      ReadableBytes(std::llround(budget)), int4_layers, sensitivity.size(), 100 * removed / weights,
      100 * least, 100 * most);
  return plan;
}

}  // namespace cytopress
