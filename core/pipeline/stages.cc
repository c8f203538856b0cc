#include "core/pipeline/stages.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/jobs/job_defaults.h"
#include "core/jobs/model_names.h"

namespace cytopress {
namespace {

using Stages = std::vector<std::unique_ptr<Stage>>;

std::string Percent(double sparsity) { return absl::StrFormat("%g", 100 * sparsity); }

// Pruning and fine-tuning to one sparsity. `suffix` tells the stages of a sweep apart.
void AddPruning(const v1::Recipe& recipe, const v1::PruneOptions& prune, const std::string& suffix,
                Stages& stages) {
  const bool prunes = prune.sparsity() > 0 || prune.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR;
  const bool gradual = prunes && recipe.has_finetune() && prune.gradual_fraction() > 0;
  if (prunes && !gradual) {
    const bool last = !recipe.has_finetune();
    stages.push_back(
        MakePruneStage("prune" + suffix, {prune, last && recipe.reestimate_batch_norm()}));
  }
  if (!recipe.has_finetune()) return;
  FinetuneOptions options;
  options.train = recipe.finetune();
  if (gradual) options.gradual = prune;
  options.reestimate_batch_norm = recipe.reestimate_batch_norm();
  stages.push_back(MakeFinetuneStage("fine-tune" + suffix, options));
}

void AddSweep(const v1::JobSpec& spec, Stages& stages) {
  const v1::Recipe& recipe = spec.recipe();
  std::vector<double> sparsities(spec.sweep().sparsities().begin(),
                                 spec.sweep().sparsities().end());
  std::sort(sparsities.begin(), sparsities.end());
  for (const double sparsity : sparsities) {
    if (sparsity > 0) {
      const std::string suffix = absl::StrCat(" ", Percent(sparsity), " %");
      if (spec.sweep().from_dense()) stages.push_back(MakeRestartStage("restart" + suffix));
      v1::PruneOptions prune = recipe.prune();
      prune.set_sparsity(sparsity);
      AddPruning(recipe, prune, suffix, stages);
    }
    for (const int weights : spec.sweep().weights()) {
      v1::QuantizeOptions quantize = recipe.quantize();
      quantize.set_weights(static_cast<v1::WeightType>(weights));
      if (weights != v1::WEIGHT_TYPE_INT4) quantize.clear_layer_weights();  // whose files have one
      stages.push_back(
          MakeCellStage(SweepModelName(spec.model_name(), sparsity, quantize.weights()), quantize));
    }
  }
}

}  // namespace

Stages StagesFor(const v1::JobSpec& spec) {
  const v1::Recipe& recipe = spec.recipe();
  Stages stages;
  stages.push_back(MakeLoadStage());
  if (spec.base_model().empty()) {
    stages.push_back(MakeTrainStage(recipe.train()));
    if (PublishesParent(spec)) stages.push_back(MakePublishParentStage());
  }
  if (spec.has_sweep()) {
    AddSweep(spec, stages);
    return stages;
  }
  if (spec.has_goal()) {
    AddGoalStages(spec, stages);
    return stages;
  }
  AddPruning(recipe, recipe.prune(), "", stages);
  if (recipe.quantize().has_aware()) stages.push_back(MakeQatStage(recipe.quantize()));
  AddServedModel(spec.model_name(), recipe.quantize(), stages);
  return stages;
}

void AddServedModel(const std::string& model_name, const v1::QuantizeOptions& options,
                    Stages& stages) {
  stages.push_back(MakeQuantizeStage(options));
  if (options.temperature_scaling()) stages.push_back(MakeTemperatureStage());
  stages.push_back(MakePackageStage());
  stages.push_back(MakeEvaluateStage(options));
  stages.push_back(MakePublishStage(model_name));
}

}  // namespace cytopress
