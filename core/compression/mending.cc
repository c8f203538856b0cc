#include "core/compression/mending.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "spdlog/spdlog.h"

namespace cytopress {
namespace {

std::optional<Finding> Find(const PipelineState& state, const StageOutcome& outcome) {
  if (!outcome.score) return std::nullopt;
  return FindCollapse(*outcome.score, state.dense, state.spec.recipe().max_accuracy_drop(),
                      state.dataset.class_names);
}

}  // namespace

absl::StatusOr<std::optional<Finding>> JudgeAndMend(Stage& stage, PipelineState& state,
                                                    StageContext& context, const Sequel& sequel,
                                                    StageOutcome& outcome) {
  std::optional<Finding> finding = Find(state, outcome);
  if (!finding) return outcome.remark;
  Finding remark = *finding;
  spdlog::warn("job {}, stage {}: {}", state.context.job_id, stage.name(), finding->text);
  if (!sequel.mender.empty()) {
    return Finding{v1::GUARD_VERDICT_TRAINING_FOLLOWS,
                   absl::StrCat(remark.text, "; ", sequel.mender, " follows")};
  }
  if (state.spec.recipe().on_collapse() == v1::COLLAPSE_POLICY_REPORT) return remark;
  for (int attempt = 0;; ++attempt) {
    CYTOPRESS_ASSIGN_OR_RETURN(std::optional<StageOutcome> mended,
                               stage.Mend(state, context, attempt));
    if (!mended) break;
    CYTOPRESS_RETURN_IF_ERROR(stage.CheckInvariant(state));
    outcome = *std::move(mended);
    finding = Find(state, outcome);
    if (!finding) {
      return Finding{v1::GUARD_VERDICT_MENDED,
                     absl::StrCat(remark.text, "; mended: ", outcome.note)};
    }
    remark.verdict = finding->verdict;
    absl::StrAppend(&remark.text, "; not mended by: ", outcome.note, " (", finding->text, ")");
  }
  if (sequel.judged_later) return remark;
  return RefuseModel(absl::StrCat(
      "the collapse guard refuses the model after the stage ", stage.name(), ": ", remark.text,
      "; prune less, fine-tune longer, keep more bits, or raise recipe.max_accuracy_drop"));
}

}  // namespace cytopress
