// One model of a sweep.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/artifact/weight_type.h"
#include "core/base/status_macros.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

class CellStage : public Stage {
 public:
  CellStage(std::string model_name, const v1::QuantizeOptions& options)
      : model_name_(std::move(model_name)) {
    trains_ = IsInteger(options.weights()) && options.has_aware();
    if (trains_) stages_.push_back(MakeQatStage(options));
    AddServedModel(model_name_, options, stages_);
  }

  v1::StageKind kind() const override { return v1::STAGE_KIND_CELL; }
  std::string name() const override { return model_name_; }
  bool skipped_on_resume() const override { return true; }
  bool in_lineage() const override { return false; }
  bool trains() const override { return trains_; }
  double Cost(const PipelineState& state) const override {
    double cost = 0;
    for (const auto& stage : stages_) cost += stage->Cost(state);
    return cost;
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    const TensorMap network = state.network->Export();
    const Masks masks = state.masks;
    const std::vector<v1::LedgerEntry> ledger = state.ledger;
    const absl::Status status = RunStages(state, context);
    state.refused = IsModelRefused(status) ? std::string(status.message()) : "";
    StageOutcome outcome;
    if (status.ok()) {
      CYTOPRESS_ASSIGN_OR_RETURN(outcome, Summarize(state));
    } else if (!state.refused.empty()) {
      outcome.note = absl::StrCat("not published: ", state.refused);
    } else {
      return status;
    }
    state.ledger = ledger;
    state.masks = masks;
    state.frozen_grids.clear();
    CYTOPRESS_RETURN_IF_ERROR(state.network->Import(network));
    return outcome;
  }

 private:
  absl::Status RunStages(PipelineState& state, StageContext& context) {
    const double total = Cost(state);
    double done = 0;
    for (size_t i = 0; i < stages_.size(); ++i) {
      const Stage* const next = i + 1 < stages_.size() ? stages_[i + 1].get() : nullptr;
      const double begin = done / total;
      done += stages_[i]->Cost(state);
      CYTOPRESS_RETURN_IF_ERROR(context.run(*stages_[i], next, begin, done / total));
    }
    return absl::OkStatus();
  }

  static absl::StatusOr<StageOutcome> Summarize(const PipelineState& state) {
    CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion version, ParseModelVersion(state.published));
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model, state.context.registry->Get(version));
    StageOutcome outcome;
    if (model.evaluations_size() > 0) outcome.score = ScoreOf(model.evaluations(0));
    AddBytes(model.size(), outcome);
    outcome.published = state.published;
    outcome.note = absl::StrCat("published as ", state.published);
    return outcome;
  }

  const std::string model_name_;
  std::vector<std::unique_ptr<Stage>> stages_;
  bool trains_ = false;
};

}  // namespace

std::unique_ptr<Stage> MakeCellStage(const std::string& model_name,
                                     const v1::QuantizeOptions& options) {
  return std::make_unique<CellStage>(model_name, options);
}

}  // namespace cytopress
