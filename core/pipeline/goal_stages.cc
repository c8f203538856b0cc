// The search for a model that keeps to a goal, try by try.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/compression/sensitivity.h"
#include "core/pipeline/goal_search.h"
#include "core/pipeline/goal_tries.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"
#include "core/pipeline/try_plan.h"

namespace cytopress {
namespace {

constexpr int64_t kSensitivityImages = 512;
// Of measuring what the layers can spare, for each of these images: they come in small batches, and
// then every weight is priced.
constexpr double kSensitivityCost = 10;
// How far a try is when its dense model is loaded, and when that is measured.
constexpr double kRestarted = 0.01;
constexpr double kMeasured = 0.03;

double LeastOf(const LayerSensitivity& layer) {
  double least = layer.choices.front().bytes;
  for (const LayerChoice& choice : layer.choices) least = std::min(least, choice.bytes);
  return least;
}

// What the tries of one attempt share.
class Search {
 public:
  // What the tries came to so far, in order: from it follow the epochs of the next ones.
  void NoteResults(const v1::Goal& goal, const std::vector<GoalTry>& tries) {
    epoch_factors_ = {1};
    std::vector<GoalTry> before;
    for (const GoalTry& done : tries) {
      before.push_back(done);
      epoch_factors_.push_back(TimesTheEpochs(goal, before));
    }
  }

  // How many times the epochs of the first try this one trains; at least so many if it is not the
  // next one yet.
  int EpochFactor(size_t index) const {
    return epoch_factors_[std::min(index, epoch_factors_.size() - 1)];
  }

  // REQUIRES: the network is the dense model.
  absl::Status Measure(PipelineState& state, const std::function<absl::Status(double)>& progress) {
    if (!sensitivity_.empty()) return absl::OkStatus();
    const v1::Recipe& recipe = state.spec.recipe();
    CYTOPRESS_ASSIGN_OR_RETURN(
        sensitivity_,
        MeasureSensitivity(*state.network, state.dataset, recipe, kSensitivityImages, progress));
    double least = 0;
    for (const LayerSensitivity& layer : sensitivity_) least += LeastOf(layer);
    state.goal.least_bytes = std::ceil(least);
    return absl::OkStatus();
  }

  // Of the dense model; empty until measured.
  const std::vector<LayerSensitivity>& sensitivity() const { return sensitivity_; }

 private:
  std::vector<int> epoch_factors_ = {1};  // by try, up to the next
  std::vector<LayerSensitivity> sensitivity_;
};

class TryStage : public Stage {
 public:
  TryStage(const v1::Recipe& recipe, size_t index, std::shared_ptr<Search> search)
      : recipe_(recipe), index_(index), search_(std::move(search)) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_TRY; }
  std::string name() const override { return absl::StrCat("try ", index_ + 1); }
  bool skipped_on_resume() const override { return true; }
  bool in_lineage() const override { return false; }
  double Cost(const PipelineState& state) const override {
    v1::QuantizeOptions quantize = recipe_.quantize();
    quantize.set_weights(v1::WEIGHT_TYPE_INT4);
    return Finetune(state, {})->Cost(state) + Cell(state, quantize)->Cost(state) +
           kSensitivityCost * static_cast<double>(kSensitivityImages);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(const Next next, FindNext(state));
    StageOutcome outcome;
    if (!next.budget) return SearchOver();
    if (OutOfTime(state, context, next)) {
      if (!state.goal.out_of_time_at) state.goal.out_of_time_at = index_;
      outcome.sparsity = 0;
      outcome.note = "left out: it would end after the time budget";
      return outcome;
    }
    const std::vector<v1::LedgerEntry> ledger = state.ledger;
    const absl::Status status = Try(state, context, outcome);
    state.ledger = ledger;
    const absl::Duration taken = context.taken();
    state.goal.longest_try = std::max(state.goal.longest_try, taken);
    state.goal.spent += taken;
    if (IsModelRefused(status)) {  // this is too little
      absl::StrAppend(&outcome.note, "; not published: ", status.message());
    } else {
      CYTOPRESS_RETURN_IF_ERROR(status);
    }
    // How long the next ones take follows from what this one came to.
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<GoalTry> tries, FinishedTries(state, index_ + 1));
    search_->NoteResults(state.spec.goal(), tries);
    if (state.goal.spent > Budget(state)) {
      absl::StrAppendFormat(&outcome.note, "; ended %.0f s after the time budget",
                            absl::ToDoubleSeconds(state.goal.spent - Budget(state)));
    }
    return outcome;
  }

 private:
  std::unique_ptr<Stage> Finetune(const PipelineState& state, const v1::PruneOptions& prune,
                                  absl::Duration time_limit = absl::InfiniteDuration(),
                                  double cost_after = 0) const {
    FinetuneOptions options;
    options.train = recipe_.finetune();
    options.train.set_epochs(Epochs(state));
    options.time_limit = time_limit;
    options.cost_after = cost_after;
    options.gradual = prune;
    options.reestimate_batch_norm = recipe_.reestimate_batch_norm();
    return MakeFinetuneStage(absl::StrCat(name(), " fine-tune"), options);
  }
  std::unique_ptr<Stage> Cell(const PipelineState& state,
                              const v1::QuantizeOptions& quantize) const {
    return MakeCellStage(NameOfTry(state, index_), quantize);
  }

  int Epochs(const PipelineState& state) const {
    const int first = state.goal.epochs > 0 ? state.goal.epochs : recipe_.finetune().epochs();
    return search_->EpochFactor(index_) * first;
  }

  static absl::Duration Budget(const PipelineState& state) {
    const double seconds = state.spec.goal().time_budget_seconds();
    return seconds > 0 ? absl::Seconds(seconds) : absl::InfiniteDuration();
  }

  // Only the first try is cut: it is made in any case, and for the others there is room.
  absl::Duration TimeLeft(const PipelineState& state, const StageContext& context) const {
    return index_ == 0 ? Budget(state) - state.goal.spent - context.taken()
                       : absl::InfiniteDuration();
  }

  // Where the search is.
  struct Next {
    std::vector<GoalTry> tries;
    std::optional<double> budget;  // of this try; nothing when the search is over
  };

  absl::StatusOr<Next> FindNext(const PipelineState& state) const {
    Next next;
    CYTOPRESS_ASSIGN_OR_RETURN(next.tries, FinishedTries(state, index_));
    search_->NoteResults(state.spec.goal(), next.tries);
    if (next.tries.size() == index_) {
      next.budget = NextBudget(state.spec.goal(), SizesOf(state), next.tries);
    }
    return next;
  }

  // Where the first try lost too much: the same, trained twice as long.
  static bool IsMadeAgain(const Next& next) {
    return !next.tries.empty() && !next.tries.back().accurate &&
           next.tries.back().budget == *next.budget;
  }

  bool OutOfTime(const PipelineState& state, const StageContext& context, const Next& next) const {
    if (index_ == 0) return false;  // made in any case
    // Once a try was left out, all that follow are: their budgets would come from it.
    return state.goal.out_of_time_at.has_value() ||
           state.goal.spent + context.taken() +
                   (IsMadeAgain(next) ? 2 : 1) * state.goal.longest_try >
               Budget(state);
  }

  static StageOutcome SearchOver() {
    StageOutcome outcome;
    outcome.sparsity = 0;  // the network is that of an earlier try
    outcome.note = "not needed: the search is over";
    return outcome;
  }

  // The last try whose layers would have the same choices, and that was trained as long.
  std::optional<size_t> SameAs(const v1::Goal& goal, const Next& next) const {
    if (IsMadeAgain(next)) return std::nullopt;
    const std::vector<int> chosen = ChooseForLayers(goal, search_->sensitivity(), *next.budget);
    for (size_t i = next.tries.size(); i-- > 0;) {
      if (ChooseForLayers(goal, search_->sensitivity(), next.tries[i].budget) == chosen) return i;
    }
    return std::nullopt;
  }

  absl::Status Try(PipelineState& state, StageContext& context, StageOutcome& outcome) {
    const auto restart = MakeRestartStage(absl::StrCat(name(), " restart"));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*restart, nullptr, 0, kRestarted));
    CYTOPRESS_RETURN_IF_ERROR(search_->Measure(state, [&](double done) {
      return context.progress(kRestarted + (kMeasured - kRestarted) * done, {});
    }));
    // Again: only now is the least known.
    CYTOPRESS_ASSIGN_OR_RETURN(const Next next, FindNext(state));
    if (!next.budget) {
      outcome = SearchOver();
      return absl::OkStatus();
    }
    const TryPlan plan = MakeTryPlan(recipe_, state, search_->sensitivity(), *next.budget);
    outcome.note = plan.text;
    state.try_plan = absl::StrCat(plan.choices, Epochs(state), " epochs");
    if (IsMadeAgain(next)) {
      absl::StrAppend(&outcome.note, "; again, with ", Epochs(state), " epochs");
    }
    if (const std::optional<size_t> same = SameAs(state.spec.goal(), next)) {
      absl::StrAppend(&outcome.note, "; the same as try ", *same + 1,
                      ", which is not trained again");
      CYTOPRESS_RETURN_IF_ERROR(PublishAgain(*same, state));
      return Summarize(state, outcome);
    }
    const auto cell = Cell(state, plan.quantize);
    const double training = Finetune(state, plan.prune)->Cost(state);
    const double share = training / (training + cell->Cost(state));
    const double trained = kMeasured + (1 - kMeasured) * share;
    const auto finetune = Finetune(state, plan.prune, TimeLeft(state, context), cell->Cost(state));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*finetune, cell.get(), kMeasured, trained));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*cell, nullptr, trained, 1));
    if (!state.refused.empty()) return RefuseModel(state.refused);
    return Summarize(state, outcome);
  }

  // The earlier try's file is this one's, too. Refuses the model when that has none.
  absl::Status PublishAgain(size_t same, const PipelineState& state) const {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, same));
    if (!model) return RefuseModel(absl::StrCat("nor was try ", same + 1));
    ModelRegistry& registry = *state.context.registry;
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes, registry.Read(VersionOf(*model)));
    return registry.Publish(NameOfTry(state, index_), bytes, state.context.job_id).status();
  }

  // Refuses the model when there is none.
  absl::Status Summarize(const PipelineState& state, StageOutcome& outcome) const {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, index_));
    if (!model) return RefuseModel("its file was deleted");
    if (model->evaluations_size() > 0) outcome.score = ScoreOf(model->evaluations(0));
    outcome.sparsity = model->size().sparsity();
    AddBytes(model->size(), outcome);
    outcome.published = ToString(*model);
    absl::StrAppend(&outcome.note, "; published as ", outcome.published);
    return absl::OkStatus();
  }

  const v1::Recipe recipe_;
  const size_t index_;
  const std::shared_ptr<Search> search_;
};

}  // namespace

void AddGoalStages(const v1::JobSpec& spec, std::vector<std::unique_ptr<Stage>>& stages) {
  const auto search = std::make_shared<Search>();
  for (int i = 0; i < spec.goal().max_tries(); ++i) {
    stages.push_back(std::make_unique<TryStage>(spec.recipe(), i, search));
  }
  stages.push_back(MakePublishBestStage());
}

}  // namespace cytopress
