// The search for a model that keeps to a goal: tries, and the publication of the best.
#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/compression/goal_search.h"
#include "core/compression/sensitivity.h"
#include "core/compression/stages.h"

namespace cytopress {
namespace {

constexpr int64_t kSensitivityImages = 512;

std::string TryName(const v1::JobSpec& spec, size_t index) {
  return absl::StrCat(spec.model_name(), "-try", index + 1);
}

double DenseBytes(const PipelineState& state) {
  double parameters = 0;
  for (const auto& [name, tensor] : state.network->Parameters()) {
    parameters += static_cast<double>(tensor.numel());
  }
  return parameters * sizeof(float);
}

// The model of a try of this job, if it was published.
absl::StatusOr<std::optional<v1::Model>> FindTry(const PipelineState& state, size_t index) {
  CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<v1::Model> models,
                             state.context.registry->List(TryName(state.spec, index)));
  for (const v1::Model& model : models) {
    if (model.provenance().job_id() == state.context.job_id) return std::optional(model);
  }
  return std::optional<v1::Model>();
}

// What the first `count` tries came to. The registry remembers it, so that a resumed job searches
// on where it was: the budgets follow from the results.
absl::StatusOr<std::vector<GoalTry>> FinishedTries(const PipelineState& state,
                                                   const GoalSizes& sizes, size_t count) {
  std::vector<GoalTry> tries;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<double> budget = NextBudget(state.spec.goal(), sizes, tries);
    if (!budget) break;
    GoalTry done;
    done.budget = *budget;
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, i));
    if (model) {
      done.accurate = true;
      done.bytes = static_cast<double>(model->size().disk_bytes());
      done.latency_ms = 1e3 * model->certificate().latency_seconds();
    }
    tries.push_back(done);
  }
  return tries;
}

double LeastOf(const LayerSensitivity& layer) {
  double least = layer.choices.front().bytes;
  for (const LayerChoice& choice : layer.choices) least = std::min(least, choice.bytes);
  return least;
}

// What the tries share. Times and the least bytes are kept in the work folder, so that a resumed
// job does not get its whole time budget again, and has the same budgets of bytes.
class Search {
 public:
  // The first call begins the search, or goes on with that of earlier attempts.
  absl::Status Begin(const PipelineState& state) {
    if (begun_) return absl::OkStatus();
    const absl::StatusOr<std::string> text = ReadFile(PathOf(state), kMostFileBytes);
    if (!text.ok() && !absl::IsNotFound(text.status())) return text.status();
    if (text.ok() && !Parse(*text)) {
      CYTOPRESS_RETURN_IF_ERROR(SetAside(PathOf(state), "it has not the figures of a search"));
    }
    begun_ = true;
    started_ = RealClock()->Steady();
    return absl::OkStatus();
  }

  absl::Status Save(const PipelineState& state) const {
    const int left_out = out_of_time_at ? static_cast<int>(*out_of_time_at) : -1;
    return WriteFileAtomically(PathOf(state), absl::StrCat(absl::ToDoubleSeconds(spent()), " ",
                                                           absl::ToDoubleSeconds(longest_try), " ",
                                                           left_out, " ", least_bytes_));
  }

  // REQUIRES: the network is the dense model.
  absl::Status Measure(const PipelineState& state,
                       const std::function<absl::Status(double)>& progress) {
    if (!sensitivity.empty()) return absl::OkStatus();
    const v1::Recipe& recipe = state.spec.recipe();
    CYTOPRESS_ASSIGN_OR_RETURN(sensitivity,
                               MeasureSensitivity(*state.network, state.dataset, recipe.quantize(),
                                                  kSensitivityImages, recipe.seed(), progress));
    double least = 0;
    for (const LayerSensitivity& layer : sensitivity) least += LeastOf(layer);
    least_bytes_ = std::ceil(least);
    return absl::OkStatus();
  }

  GoalSizes Sizes(const PipelineState& state) const {
    return {DenseBytes(state), FixedBytes(state.network->network()), least_bytes_};
  }

  // Since the search began, without the time between attempts and a try that a crash cut off.
  absl::Duration spent() const { return spent_before_ + (RealClock()->Steady() - started_); }

  absl::Duration longest_try = absl::ZeroDuration();
  std::optional<size_t> out_of_time_at;       // the first try that was left out
  std::vector<LayerSensitivity> sensitivity;  // of the dense model; empty until measured

 private:
  static constexpr int64_t kMostFileBytes = 1024;

  static std::string PathOf(const PipelineState& state) {
    return state.context.work_folder + "/goal_search.txt";
  }

  // False when the text is not one of Save().
  bool Parse(absl::string_view text) {
    double spent = 0, longest = 0, least = 0;
    int left_out = -1;
    const std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
    if (words.size() != 4 || !absl::SimpleAtod(words[0], &spent) ||
        !absl::SimpleAtod(words[1], &longest) || !absl::SimpleAtoi(words[2], &left_out) ||
        !absl::SimpleAtod(words[3], &least)) {
      return false;
    }
    spent_before_ = absl::Seconds(spent);
    longest_try = absl::Seconds(longest);
    least_bytes_ = least;
    if (left_out >= 0) out_of_time_at = static_cast<size_t>(left_out);
    return true;
  }

  absl::Duration started_;  // in this attempt, once begun
  absl::Duration spent_before_ = absl::ZeroDuration();
  double least_bytes_ = 0;  // as GoalSizes has it
  bool begun_ = false;
};

// Options of the stages of one try.
struct Plan {
  v1::PruneOptions prune;
  v1::QuantizeOptions quantize;
  std::string text;
};

std::vector<int> Choose(const std::vector<LayerSensitivity>& sensitivity, double budget) {
  std::vector<std::vector<LayerChoice>> choices;
  for (const LayerSensitivity& layer : sensitivity) choices.push_back(layer.choices);
  return Allocate(choices, budget);
}

Plan MakePlan(const v1::Recipe& recipe, const PipelineState& state,
              const std::vector<LayerSensitivity>& sensitivity, double budget) {
  const std::vector<int> chosen = Choose(sensitivity, budget);
  Plan plan{recipe.prune(), recipe.quantize(), ""};
  double removed = 0, weights = 0, least = 1, most = 0;
  int int4_layers = 0;
  for (size_t i = 0; i < sensitivity.size(); ++i) {
    const LayerChoice& choice = sensitivity[i].choices[chosen[i]];
    const std::string& layer = sensitivity[i].layer;
    (*plan.prune.mutable_layer_sparsity())[layer] = choice.sparsity;
    (*plan.quantize.mutable_layer_weights())[layer] = choice.weights;
    const auto count = static_cast<double>(state.network->tensors().at(layer + ".weight").numel());
    removed += std::round(choice.sparsity * count);
    weights += count;
    least = std::min(least, choice.sparsity);
    most = std::max(most, choice.sparsity);
    int4_layers += choice.weights == v1::WEIGHT_TYPE_INT4 ? 1 : 0;
  }
  plan.prune.set_sparsity(removed / weights);
  plan.text = absl::StrFormat(
      "%.2f MB for the weights: %d of %d layers INT4, the others INT8; %.1f %% pruned, %g to %g %% "
      "of a layer",
      budget / 1e6, int4_layers, sensitivity.size(), 100 * removed / weights, 100 * least,
      100 * most);
  return plan;
}

class TryStage : public Stage {
 public:
  TryStage(const v1::Recipe& recipe, size_t index, std::shared_ptr<Search> search)
      : recipe_(recipe), index_(index), search_(std::move(search)) {}

  std::string name() const override { return absl::StrCat("try ", index_ + 1); }
  bool skipped_on_resume() const override { return true; }
  bool in_lineage() const override { return false; }
  double Cost(const PipelineState& state) const override {
    v1::QuantizeOptions quantize = recipe_.quantize();
    quantize.set_weights(v1::WEIGHT_TYPE_INT4);
    return Finetune({})->Cost(state) + Cell(state, quantize)->Cost(state) +
           3 * static_cast<double>(kSensitivityImages);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_RETURN_IF_ERROR(search_->Begin(state));
    CYTOPRESS_ASSIGN_OR_RETURN(const Next next, FindNext(state));
    StageOutcome outcome;
    if (!next.budget) return Over();
    if (OutOfTime(state)) {
      if (!search_->out_of_time_at) search_->out_of_time_at = index_;
      CYTOPRESS_RETURN_IF_ERROR(search_->Save(state));
      outcome.sparsity = 0;
      outcome.note = "left out: it would end after the time budget";
      return outcome;
    }
    const absl::Duration start = RealClock()->Steady();
    const std::vector<v1::LedgerEntry> ledger = state.ledger;
    const absl::Status status = Try(state, context, outcome);
    state.ledger = ledger;
    search_->longest_try = std::max(search_->longest_try, RealClock()->Steady() - start);
    CYTOPRESS_RETURN_IF_ERROR(search_->Save(state));
    if (IsModelRefused(status)) {  // this is too little
      absl::StrAppend(&outcome.note, "; not published: ", status.message());
      return outcome;
    }
    CYTOPRESS_RETURN_IF_ERROR(status);
    return outcome;
  }

 private:
  std::unique_ptr<Stage> Finetune(const v1::PruneOptions& prune) const {
    FinetuneOptions options;
    options.train = recipe_.finetune();
    options.gradual = prune;
    options.reestimate_batch_norm = recipe_.reestimate_batch_norm();
    return MakeFinetuneStage(absl::StrCat(name(), " fine-tune"), options);
  }
  std::unique_ptr<Stage> Cell(const PipelineState& state,
                              const v1::QuantizeOptions& quantize) const {
    return MakeCellStage(TryName(state.spec, index_), quantize);
  }

  bool OutOfTime(const PipelineState& state) const {
    const double seconds = state.spec.goal().time_budget_seconds();
    if (seconds <= 0) return false;
    // Once a try was left out, all that follow are: their budgets would come from it.
    return search_->out_of_time_at.has_value() ||
           search_->spent() + search_->longest_try > absl::Seconds(seconds);
  }

  // Where the search is.
  struct Next {
    std::vector<GoalTry> tries;
    std::optional<double> budget;  // of this try; nothing when the search is over
  };

  absl::StatusOr<Next> FindNext(const PipelineState& state) const {
    Next next;
    const GoalSizes sizes = search_->Sizes(state);
    CYTOPRESS_ASSIGN_OR_RETURN(next.tries, FinishedTries(state, sizes, index_));
    if (next.tries.size() == index_) {
      next.budget = NextBudget(state.spec.goal(), sizes, next.tries);
    }
    return next;
  }

  static StageOutcome Over() {
    StageOutcome outcome;
    outcome.sparsity = 0;  // the network is that of an earlier try
    outcome.note = "not needed: the search is over";
    return outcome;
  }

  // The earlier try whose layers would have the same choices.
  std::optional<size_t> SameAs(const Next& next) const {
    const std::vector<int> chosen = Choose(search_->sensitivity, *next.budget);
    for (size_t i = 0; i < next.tries.size(); ++i) {
      if (Choose(search_->sensitivity, next.tries[i].budget) == chosen) return i;
    }
    return std::nullopt;
  }

  absl::Status Try(PipelineState& state, StageContext& context, StageOutcome& outcome) {
    const auto restart = MakeRestartStage(absl::StrCat(name(), " restart"));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*restart, nullptr, 0, 0.01));
    CYTOPRESS_RETURN_IF_ERROR(search_->Measure(
        state, [&](double done) { return context.progress(0.01 + 0.01 * done, {}); }));
    // Again: only now is the least known.
    CYTOPRESS_ASSIGN_OR_RETURN(const Next next, FindNext(state));
    if (!next.budget) {
      outcome = Over();
      return absl::OkStatus();
    }
    const Plan plan = MakePlan(recipe_, state, search_->sensitivity, *next.budget);
    outcome.note = plan.text;
    if (const std::optional<size_t> same = SameAs(next)) {
      absl::StrAppend(&outcome.note, "; the same as try ", *same + 1,
                      ", which is not trained again");
      CYTOPRESS_RETURN_IF_ERROR(PublishAgain(*same, state));
      return Summarize(state, outcome);
    }
    const auto finetune = Finetune(plan.prune);
    const auto cell = Cell(state, plan.quantize);
    const double share = finetune->Cost(state) / (finetune->Cost(state) + cell->Cost(state));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*finetune, cell.get(), 0.02, share));
    CYTOPRESS_RETURN_IF_ERROR(context.run(*cell, nullptr, share, 1));
    return Summarize(state, outcome);
  }

  // The earlier try's file, if there is one, is this one's, too.
  absl::Status PublishAgain(size_t same, const PipelineState& state) const {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, same));
    if (!model) return absl::OkStatus();
    ModelRegistry& registry = *state.context.registry;
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               registry.Read({model->name(), model->version()}));
    return registry.Publish(TryName(state.spec, index_), bytes, state.context.job_id).status();
  }

  // Refuses the model when none was published.
  absl::Status Summarize(const PipelineState& state, StageOutcome& outcome) const {
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, index_));
    if (!model) return RefuseModel("it lost more accuracy than the goal allows");
    if (model->evaluations_size() > 0) outcome.score = ScoreOf(model->evaluations(0));
    outcome.sparsity = model->size().sparsity();
    outcome.packed_bytes = model->size().packed_bytes();
    outcome.disk_bytes = model->size().disk_bytes();
    absl::StrAppend(&outcome.note, "; published as ", model->name(), "@", model->version());
    return absl::OkStatus();
  }

  const v1::Recipe recipe_;
  const size_t index_;
  const std::shared_ptr<Search> search_;
};

class PublishBestStage : public Stage {
 public:
  explicit PublishBestStage(std::shared_ptr<Search> search) : search_(std::move(search)) {}

  std::string name() const override { return "publish"; }
  double Cost(const PipelineState& state) const override { return 100; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_RETURN_IF_ERROR(search_->Begin(state));
    const v1::Goal& goal = state.spec.goal();
    const size_t count = search_->out_of_time_at.value_or(goal.max_tries());
    CYTOPRESS_ASSIGN_OR_RETURN(const std::vector<GoalTry> tries,
                               FinishedTries(state, search_->Sizes(state), count));
    const std::optional<size_t> best = BestTry(goal, tries);
    if (!best) {
      CYTOPRESS_ASSIGN_OR_RETURN(const std::string nearest, Nearest(state, tries));
      return absl::FailedPreconditionError(absl::StrCat(
          "no try keeps to the goal (", Describe(tries),
          search_->out_of_time_at ? "; then the time budget was used up" : "", ")", nearest,
          "; allow a larger max_accuracy_drop, max_bytes, max_latency_ms or time budget"));
    }
    CYTOPRESS_ASSIGN_OR_RETURN(const std::optional<v1::Model> model, FindTry(state, *best));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               state.context.registry->Read({model->name(), model->version()}));
    CYTOPRESS_ASSIGN_OR_RETURN(
        const ModelVersion published,
        state.context.registry->Publish(state.spec.model_name(), bytes, state.context.job_id));
    state.published = ToString(published);
    StageOutcome outcome;
    outcome.sparsity = model->size().sparsity();
    outcome.packed_bytes = model->size().packed_bytes();
    outcome.disk_bytes = model->size().disk_bytes();
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
    return absl::StrFormat(
        "; the nearest is published as %s@%d: %.2f MB, %.3g ms, validation "
        "accuracy %.4f",
        model->name(), model->version(), tries[*index].bytes / 1e6, tries[*index].latency_ms,
        accuracy);
  }

  static std::string Describe(const std::vector<GoalTry>& tries) {
    if (tries.empty()) return "none was made";
    return absl::StrJoin(tries, ", ", [](std::string* text, const GoalTry& done) {
      if (done.accurate) {
        absl::StrAppendFormat(text, "%.2f MB and %.2f ms: accurate", done.bytes / 1e6,
                              done.latency_ms);
      } else {
        absl::StrAppendFormat(text, "%.2f MB: lost too much", done.budget / 1e6);
      }
    });
  }

  const std::shared_ptr<Search> search_;
};

}  // namespace

void AddGoalStages(const v1::JobSpec& spec, std::vector<std::unique_ptr<Stage>>& stages) {
  const auto search = std::make_shared<Search>();
  for (int i = 0; i < spec.goal().max_tries(); ++i) {
    stages.push_back(std::make_unique<TryStage>(spec.recipe(), i, search));
  }
  stages.push_back(std::make_unique<PublishBestStage>(search));
}

}  // namespace cytopress
