// Temperature scaling of a model whose weights are already encoded.
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/compression/temperature.h"
#include "core/evaluation/evaluation.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

class TemperatureStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_TEMPERATURE; }
  std::string name() const override { return "temperature"; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size());
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(
        const torch::Tensor logits,
        LogitsUnlessStopped(*state.network, state.dataset, state.dataset.val, state.bfloat16, {},
                            [&](double done) { return context.progress(done, {}); }));
    CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation before, EvaluateLogits(logits, state.dataset.val));
    StageOutcome outcome;
    const std::optional<double> temperature = FitTemperature(logits, state.dataset.val.labels);
    if (!temperature.has_value()) {
      outcome.score = ScoreOf(before);
      outcome.note = absl::StrFormat(
          "confidences stay as they are: without a wrong answer the validation split of %d images "
          "does not tell how sure to be; a larger one does",
          before.images);
      return outcome;
    }
    CYTOPRESS_ASSIGN_OR_RETURN(const Evaluation after,
                               EvaluateLogits(logits / *temperature, state.dataset.val));
    DivideLogits(*temperature, &state.artifact);
    CYTOPRESS_RETURN_IF_ERROR(state.network->Import(DecodeTensors(state.artifact.tensors)));
    outcome.score = ScoreOf(after);
    outcome.note = absl::StrFormat(
        "confidences at temperature %.3f, from the validation split; their expected error there "
        "%.4f, was %.4f",
        *temperature, after.expected_calibration_error, before.expected_calibration_error);
    return outcome;
  }
};

}  // namespace

std::unique_ptr<Stage> MakeTemperatureStage() { return std::make_unique<TemperatureStage>(); }

}  // namespace cytopress
