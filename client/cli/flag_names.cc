#include "client/cli/flag_names.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "client/names.h"
#include "client/status.h"

namespace cytopress {
namespace {

using Names = std::map<std::string, std::string>;

const Names& FlagsByField() {
  static const auto* const kFlags = new Names{
      {"model_name", "--name"},
      {"dataset.uri", "--dataset"},
      {"dataset.class_names", "--class-names"},
      {"base_model", "--base"},
      {"device", "--device"},
      {"request_id", "--request-id"},
      {"network.architecture", "--architecture"},
      {"network.stem", "--stem"},
      {"network.input_height", "--image-size"},
      {"network.input_width", "--image-size"},
      {"goal.max_accuracy_drop", "--max-accuracy-drop"},
      {"goal.max_bytes", "--max-bytes"},
      {"goal.max_latency_ms", "--max-latency-ms"},
      {"goal.time_budget_seconds", "--time-budget"},
      {"goal.max_tries", "--max-tries"},
      {"sweep.sparsities", "--sparsities"},
      {"sweep.weights", "--weights"},
  };
  return *kFlags;
}

// A recipe file has them, too.
const Names& FlagsByRecipeField() {
  static const auto* const kFlags = new Names{
      {"recipe.seed", "--seed"},
      {"recipe.train.epochs", "--epochs"},
      {"recipe.train.learning_rate", "--learning-rate"},
      {"recipe.train.batch_size", "--batch-size"},
      {"recipe.train.max_images", "--max-images"},
      {"recipe.train.ema_decay", "--ema-decay"},
      {"recipe.prune.sparsity", "--sparsity"},
      {"recipe.prune.method", "--prune-method"},
      {"recipe.prune.pattern", "--pattern"},
      {"recipe.prune.gradual_fraction", "--gradual"},
      {"recipe.finetune", "--finetune-epochs"},
      {"recipe.finetune.epochs", "--finetune-epochs"},
      {"recipe.finetune.learning_rate", "--finetune-learning-rate"},
      {"recipe.finetune.batch_size", "--batch-size"},
      {"recipe.finetune.max_images", "--max-images"},
      {"recipe.finetune.ema_decay", "--ema-decay"},
      {"recipe.finetune.distillation", "--distillation"},
      {"recipe.finetune.freeze_batch_norm", "--freeze-batch-norm"},
      {"recipe.quantize.weights", "--weights"},
      {"recipe.quantize.weight_range", "--weight-range"},
      {"recipe.quantize.weight_percentile", "--weight-percentile"},
      {"recipe.quantize.activation_range", "--activation-range"},
      {"recipe.quantize.activation_percentile", "--activation-percentile"},
      {"recipe.quantize.rounding", "--rounding"},
      {"recipe.quantize.calibration_images", "--calibration-images"},
      {"recipe.quantize.group_size", "--group-size"},
      {"recipe.quantize.per_tensor_scales", "--per-tensor-scales"},
      {"recipe.quantize.reestimate_batch_norm", "--reestimate-batch-norm"},
      {"recipe.quantize.reduced_range", "--reduced-range"},
      {"recipe.quantize.temperature_scaling", "--temperature-scaling"},
      {"recipe.quantize.aware", "--aware-epochs"},
      {"recipe.quantize.aware.epochs", "--aware-epochs"},
      {"recipe.quantize.aware.batch_size", "--batch-size"},
      {"recipe.quantize.aware.max_images", "--max-images"},
      {"recipe.quantize.aware.ema_decay", "--ema-decay"},
      {"recipe.quantize.aware.distillation", "--distillation"},
      {"recipe.on_collapse", "--on-collapse"},
      {"recipe.max_accuracy_drop", "--max-accuracy-drop"},
  };
  return *kFlags;
}

template <typename Enum>
void AddValues(const std::map<std::string, Enum>& by_name, const std::string& (*full_name)(Enum),
               Names* words) {
  for (const auto& [name, value] : by_name) words->emplace(full_name(value), name);
}

// What descriptions call fields and values, and what flags call them.
Names WordsOf(const Names& flags) {
  Names words;
  for (const auto& [field, flag] : flags) {
    if (absl::StrContains(field, '.') || field == "base_model") words.emplace(field, flag);
  }
  AddValues(WeightTypesByName(), v1::WeightType_Name<v1::WeightType>, &words);
  AddValues(PruneMethodsByName(), v1::PruneMethod_Name<v1::PruneMethod>, &words);
  AddValues(PrunePatternsByName(), v1::PrunePattern_Name<v1::PrunePattern>, &words);
  AddValues(RangeMethodsByName(), v1::RangeMethod_Name<v1::RangeMethod>, &words);
  AddValues(RoundingsByName(), v1::Rounding_Name<v1::Rounding>, &words);
  return words;
}

Names AllFlags() {
  Names flags = FlagsByField();
  flags.insert(FlagsByRecipeField().begin(), FlagsByRecipeField().end());
  return flags;
}

absl::Status InFlags(const absl::Status& refusal, bool has_recipe_file) {
  const google::rpc::BadRequest bad_request = BadRequestOf(refusal);
  if (bad_request.field_violations().empty()) return refusal;
  const Names flags = has_recipe_file ? FlagsByField() : AllFlags();
  const Names words = WordsOf(flags);
  std::vector<std::string> lines;  // one for fields that a single flag has set
  for (const google::rpc::BadRequest::FieldViolation& violation : bad_request.field_violations()) {
    std::string field(absl::StripPrefix(violation.field(), "spec."));
    const auto flag = flags.find(field.substr(0, field.find('[')));
    if (flag != flags.end()) field = flag->second;
    std::string line =
        absl::StrCat(field, ": ", absl::StrReplaceAll(violation.description(), words));
    if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(line);
  }
  return WithMessage(refusal, absl::StrJoin(lines, "; "));
}

}  // namespace

absl::StatusOr<v1::Job> Submit(Client* client, const v1::CompressRequest& request,
                               const CompressFlags& flags) {
  absl::StatusOr<v1::Job> job = client->Compress(request);
  if (job.ok()) return job;
  return InFlags(job.status(), !flags.recipe_file.empty());
}

std::string InWordsOfFlags(absl::string_view message) {
  return absl::StrReplaceAll(message, WordsOf(AllFlags()));
}

}  // namespace cytopress
