#include "core/pipeline/mending.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace cytopress {
namespace {

std::optional<Finding> Find(const PipelineState& state, const StageOutcome& outcome) {
  if (!outcome.score) return std::nullopt;
  return FindCollapse(*outcome.score, state.parent.score, state.spec.recipe().max_accuracy_drop(),
                      state.dataset.class_names);
}

// A model that the guard has found broken.
struct BrokenModel {
  StageOutcome outcome;
  v1::GuardVerdict verdict;
  TensorMap tensors;
};

// Tries the stage's remedies; the text of the result says what came of them. Where none helps and
// `keeps_best`, the network is that of the most accurate model, and `outcome` says so.
absl::StatusOr<Finding> Mend(Stage& stage, PipelineState& state, StageContext& context,
                             bool keeps_best, Finding remark, StageOutcome& outcome) {
  const auto now = [&](v1::GuardVerdict verdict) {
    return BrokenModel{outcome, verdict, keeps_best ? state.network->Export() : TensorMap()};
  };
  BrokenModel best = now(remark.verdict);
  bool is_best = true;  // what the network is now
  for (int attempt = 0;; ++attempt) {
    CYTOPRESS_ASSIGN_OR_RETURN(std::optional<StageOutcome> mended,
                               stage.Mend(state, context, attempt));
    if (!mended) break;
    CYTOPRESS_RETURN_IF_ERROR(stage.CheckInvariant(state));
    outcome = *std::move(mended);
    const std::optional<Finding> finding = Find(state, outcome);
    if (!finding) {
      return Finding{v1::GUARD_VERDICT_MENDED,
                     absl::StrCat(remark.text, "; mended: ", outcome.note)};
    }
    absl::StrAppend(&remark.text, "; not mended by: ", outcome.note, " (", finding->text, ")");
    is_best = outcome.score->accuracy > best.outcome.score->accuracy;
    if (is_best) best = now(finding->verdict);
  }
  if (keeps_best && !is_best) {
    CYTOPRESS_RETURN_IF_ERROR(state.network->Import(best.tensors));
    absl::StrAppend(&remark.text, "; the most accurate of these is kept");
  }
  remark.verdict = best.verdict;
  outcome = std::move(best.outcome);
  return remark;
}

}  // namespace

absl::StatusOr<std::optional<Finding>> JudgeAndMend(Stage& stage, PipelineState& state,
                                                    StageContext& context,
                                                    const WhatFollows& following,
                                                    StageOutcome& outcome) {
  const std::optional<Finding> finding = Find(state, outcome);
  if (!finding) return outcome.remark;
  spdlog::warn("job {}, stage {}: {}", state.context.job_id, stage.name(), finding->text);
  if (!following.mender.empty()) {
    return Finding{v1::GUARD_VERDICT_TRAINING_FOLLOWS,
                   absl::StrCat(finding->text, "; ", following.mender, " follows")};
  }
  if (state.spec.recipe().on_collapse() == v1::COLLAPSE_POLICY_REPORT) return finding;
  CYTOPRESS_ASSIGN_OR_RETURN(
      const Finding remark, Mend(stage, state, context, following.judged_later, *finding, outcome));
  if (remark.verdict == v1::GUARD_VERDICT_MENDED || following.judged_later) return remark;
  return RefuseModel(absl::StrCat("the collapse guard refuses the model after the stage ",
                                  stage.name(), ": ", remark.text,
                                  "; prune less, fine-tune longer, keep more bits, or raise "
                                  "recipe.max_accuracy_drop (0 allows any loss)"));
}

}  // namespace cytopress
