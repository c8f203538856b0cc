// The end of a search for a goal.
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/amounts.h"
#include "core/base/status_macros.h"
#include "core/pipeline/goal_search.h"
#include "core/pipeline/goal_tries.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

class PublishBestStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_PUBLISH; }
  std::string name() const override { return "publish"; }
  double Cost(const PipelineState& state) const override { return kNegligibleCost; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    const v1::Goal& goal = state.spec.goal();
    const size_t count = state.goal.out_of_time_at.value_or(goal.max_tries());
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<GoalTry> tries, FinishedTries(state, count));
    const std::optional<size_t> best = BestTry(goal, tries);
    if (!best) {
      CYTOPRESS_ASSIGN_OR_RETURN(const std::string nearest, Nearest(state, tries));
      return absl::FailedPreconditionError(
          absl::StrCat("no try keeps to the goal (", Describe(goal, tries),
                       state.goal.out_of_time_at ? "; then the time budget was used up" : "", ")",
                       nearest, "; allow a larger ", Limits(goal)));
    }
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, *best));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               state.context.registry->Read(VersionOf(*model)));
    CYTOPRESS_ASSIGN_OR_RETURN(
        const ModelVersion published,
        state.context.registry->Publish(state.spec.model_name(), bytes, state.context.job_id));
    state.published = ToString(published);
    StageOutcome outcome;
    outcome.sparsity = model->size().sparsity();
    AddBytes(model->size(), outcome);
    outcome.published = state.published;
    outcome.note = absl::StrCat("the smallest of ", tries.size(), " tries that keep to the goal, ",
                                model->name(), ", published as ", state.published);
    return outcome;
  }

 private:
  // What the job has made, although nothing has the goal's name.
  static absl::StatusOr<std::string> Nearest(const PipelineState& state,
                                             const std::vector<GoalTry>& tries) {
    const std::optional<size_t> index = NearestTry(state.spec.goal(), tries);
    if (!index) return std::string();
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, *index));
    const double accuracy = model->evaluations_size() > 0 ? model->evaluations(0).accuracy() : 0.0;
    return absl::StrFormat("; the nearest is published as %s@%d: %s, validation accuracy %.4f",
                           model->name(), model->version(),
                           SizeAndLatency(state.spec.goal(), tries[*index]), accuracy);
  }

  // The latency only where it matters.
  static std::string SizeAndLatency(const v1::Goal& goal, const GoalTry& done) {
    std::string text = ReadableBytes(std::llround(done.bytes));
    if (goal.max_latency_ms() > 0) absl::StrAppendFormat(&text, ", %.3g ms", done.latency_ms);
    return text;
  }

  static std::string Describe(const v1::Goal& goal, const std::vector<GoalTry>& tries) {
    if (tries.empty()) return "none was made";
    return absl::StrJoin(tries, "; ", [&](std::string* text, const GoalTry& done) {
      if (done.accurate) {
        absl::StrAppend(text, SizeAndLatency(goal, done), ": accurate");
      } else {
        absl::StrAppend(text, ReadableBytes(std::llround(done.budget)), ": lost too much");
      }
    });
  }

  // Those that were given. That of the accuracy has a default.
  static std::string Limits(const v1::Goal& goal) {
    std::vector<std::string> limits = {"max_accuracy_drop"};
    if (goal.max_bytes() > 0) limits.emplace_back("max_bytes");
    if (goal.max_latency_ms() > 0) limits.emplace_back("max_latency_ms");
    if (goal.time_budget_seconds() > 0) limits.emplace_back("time budget");
    const std::string last = limits.back();
    limits.pop_back();
    return limits.empty() ? last : absl::StrCat(absl::StrJoin(limits, ", "), " or ", last);
  }
};

}  // namespace

std::unique_ptr<Stage> MakePublishBestStage() { return std::make_unique<PublishBestStage>(); }

}  // namespace cytopress
