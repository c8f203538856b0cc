// The stages that change the network's floating-point weights.
#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/stages.h"
#include "core/pipeline/training.h"

namespace cytopress {
namespace {

// The share of the prunable weights from which on it is worth a word that zeros are none any more.
constexpr double kLeastRevived = 0.0005;
// The share from which on a base model counts as pruned: training itself leaves a few zeros.
constexpr double kLeastPruned = 0.01;
// A forward pass and a backward one, which costs about two.
constexpr double kFisherCost = 3;

// The remedy of every stage that leaves floating-point weights.
absl::StatusOr<std::optional<StageOutcome>> MendBatchNorm(PipelineState& state, int attempt) {
  if (attempt > 0) return std::nullopt;
  RemeasureBatchNorm(state);
  StageOutcome outcome;
  CYTOPRESS_ASSIGN_OR_RETURN(outcome.score, ScoreNetwork(state));
  outcome.note = kBatchNormRemeasured;
  return std::optional<StageOutcome>(std::move(outcome));
}

class TrainStage : public Stage {
 public:
  explicit TrainStage(const v1::TrainOptions& options) : options_(options) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_TRAIN; }
  std::string name() const override { return "train"; }
  bool skipped_on_resume() const override { return true; }
  bool trains() const override { return true; }
  double Cost(const PipelineState& state) const override { return TrainingCost(options_, state); }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, RunTraining(options_, {}, state, context));
    state.parent.score = *outcome.score;
    outcome.remark = RemarkOnDense(state.parent.score, state.dataset.class_names);
    return outcome;
  }

 private:
  const v1::TrainOptions options_;
};

std::string NameOf(v1::PrunePattern pattern) {
  switch (pattern) {
    case v1::PRUNE_PATTERN_BLOCK4:
      return "1x4 blocks";
    case v1::PRUNE_PATTERN_TWO_OF_FOUR:
      return "two of four";
    default:
      return "unstructured";
  }
}

absl::string_view Among(const v1::PruneOptions& options) {
  if (options.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR) return "of every four";
  const bool by_layer =
      !options.layer_sparsity().empty() || options.method() == v1::PRUNE_METHOD_LAYER_MAGNITUDE;
  return by_layer ? "of each layer" : "of all layers";
}

std::string Smallest(const v1::PruneOptions& options) {
  if (!UsesFisher(options)) return absl::StrCat("smallest magnitudes ", Among(options));
  return options.method() == v1::PRUNE_METHOD_FISHER ? "least part in the loss"
                                                     : "least part in the loss for what they cost";
}

std::string Describe(const v1::PruneOptions& options) {
  return absl::StrFormat("%.4g %% of the prunable weights, %s, %s", 100 * options.sparsity(),
                         NameOf(options.pattern()), Smallest(options));
}

double FisherCost(const v1::PruneOptions& options, const PipelineState& state) {
  if (!UsesFisher(options)) return 0;
  return kFisherCost *
         static_cast<double>(std::min<int64_t>(kFisherImages, state.dataset.train.size()));
}

absl::Status CheckSparsity(const PipelineState& state, double wanted) {
  const double sparsity = Sparsity(*state.network);
  if (sparsity < wanted - 1e-6) {
    return absl::InternalError(
        absl::StrFormat("pruning reached a sparsity of %g, not %g", sparsity, wanted));
  }
  return CheckMasks(state.masks, *state.network);
}

// Of the network that the stage before left. A resumed attempt has trained on since.
double SparsityBefore(const PipelineState& state) {
  return state.ledger.empty() ? Sparsity(*state.network) : state.ledger.back().sparsity();
}

// Without a mask a zero is a weight as any other: so a pruned base model gets dense again.
std::string DescribeRevived(double before, double now) {
  if (before - now < kLeastRevived) return "";
  return absl::StrFormat(
      ", zeros trained again: %.1f %% of the prunable weights before, %.1f %% now", 100 * before,
      100 * now);
}

class PruneStage : public Stage {
 public:
  PruneStage(std::string name, const PruneStageOptions& options)
      : name_(std::move(name)),
        options_(options.prune),
        reestimates_(options.reestimate_batch_norm) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_PRUNE; }
  std::string name() const override { return name_; }
  bool skipped_on_resume() const override { return true; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size()) +
           (reestimates_ ? static_cast<double>(kReestimationImages) : 0) +
           FisherCost(options_, state);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(state.masks, FindMasks(state));
    ApplyMasks(state.masks, *state.network);
    StageOutcome outcome;
    outcome.note = Describe(options_);
    if (reestimates_) {
      RemeasureBatchNorm(state);
      absl::StrAppend(&outcome.note, ", ", kBatchNormRemeasured);
    }
    CYTOPRESS_ASSIGN_OR_RETURN(outcome.score, ScoreNetwork(state));
    return outcome;
  }

  absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state, StageContext& context,
                                                   int attempt) override {
    if (reestimates_) return std::nullopt;
    return MendBatchNorm(state, attempt);
  }

  absl::Status CheckInvariant(const PipelineState& state) const override {
    return CheckSparsity(state, WantedSparsity(*state.network, options_));
  }

 private:
  absl::StatusOr<Masks> FindMasks(PipelineState& state) const {
    if (!UsesFisher(options_)) {
      return MagnitudeMasks(*state.network, options_, options_.sparsity());
    }
    CYTOPRESS_ASSIGN_OR_RETURN(
        const FisherDiagonal fisher,
        MeasureFisher(*state.network, state.dataset, kFisherImages, state.spec.recipe().seed(),
                      [&](double) { return CheckStop(state); }));
    return FisherMasks(*state.network, options_, options_.sparsity(), fisher);
  }

  const std::string name_;
  const v1::PruneOptions options_;
  const bool reestimates_;
};

class FinetuneStage : public Stage {
 public:
  FinetuneStage(std::string name, const FinetuneOptions& options)
      : name_(std::move(name)), options_(options) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_FINE_TUNE; }
  std::string name() const override { return name_; }
  bool skipped_on_resume() const override { return true; }
  bool trains() const override { return true; }
  double Cost(const PipelineState& state) const override {
    return TrainingCost(options_.train, state) + ReestimationCost() +
           (options_.gradual ? FisherCost(*options_.gradual, state) : 0);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    const double sparsity_before = SparsityBefore(state);
    TrainerSetup setup;
    setup.gradual = options_.gradual;
    CYTOPRESS_ASSIGN_OR_RETURN(
        StageOutcome outcome,
        RunTraining(options_.train, std::move(setup), state, context, options_.time_limit,
                    options_.cost_after + ReestimationCost()));
    if (options_.gradual) {
      outcome.note = absl::StrCat(Describe(*options_.gradual), ", cubic schedule; ", outcome.note);
    }
    if (options_.reestimate_batch_norm) {
      RemeasureBatchNorm(state);
      CYTOPRESS_ASSIGN_OR_RETURN(outcome.score, ScoreNetwork(state));
      absl::StrAppend(&outcome.note, ", ", kBatchNormRemeasured);
    }
    outcome.note += DescribeRevived(sparsity_before, Sparsity(*state.network));
    return outcome;
  }

  absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state, StageContext& context,
                                                   int attempt) override {
    return options_.reestimate_batch_norm ? std::optional<StageOutcome>()
                                          : MendBatchNorm(state, attempt);
  }

  absl::Status CheckInvariant(const PipelineState& state) const override {
    return CheckSparsity(state,
                         options_.gradual ? WantedSparsity(*state.network, *options_.gradual) : 0);
  }

 private:
  double ReestimationCost() const {
    return options_.reestimate_batch_norm ? static_cast<double>(kReestimationImages) : 0;
  }

  const std::string name_;
  const FinetuneOptions options_;
};

class QatStage : public Stage {
 public:
  explicit QatStage(const v1::QuantizeOptions& options) : options_(options) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_QUANTIZATION_AWARE_TRAINING; }
  std::string name() const override { return "quantization-aware training"; }
  bool skipped_on_resume() const override { return true; }
  bool trains() const override { return true; }
  double Cost(const PipelineState& state) const override {
    return TrainingCost(options_.aware(), state);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    // A resumed attempt has both in its checkpoint: the weights have moved on since.
    if (state.frozen_grids.empty()) {
      state.frozen_grids = FindWeightGrids(*state.network, options_);
      // What a base model was pruned of before this job stays zero, too. Zeros of one that was only
      // rounded are weights that are small; in a pruned one they cannot be told apart.
      const bool only_rounded = state.base_sparsity && *state.base_sparsity < kLeastPruned;
      if (state.masks.empty() && !only_rounded) state.masks = MasksOfZeros(*state.network);
    }
    TrainerSetup setup;
    setup.hooks = FakeQuantizationHooks(*state.network, options_, state.frozen_grids);
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome,
                               RunTraining(options_.aware(), std::move(setup), state, context));
    AssignIntegers(RoundToNearest(*state.network, options_, state.frozen_grids), *state.network);
    outcome.note += ", weights rounded in the forward pass";
    if (!state.masks.empty()) outcome.note += ", zeros kept";
    return outcome;
  }

  absl::Status CheckInvariant(const PipelineState& state) const override {
    return CheckMasks(state.masks, *state.network);
  }

 private:
  const v1::QuantizeOptions options_;
};

}  // namespace

std::unique_ptr<Stage> MakeTrainStage(const v1::TrainOptions& options) {
  return std::make_unique<TrainStage>(options);
}

std::unique_ptr<Stage> MakePruneStage(const std::string& name, const PruneStageOptions& options) {
  return std::make_unique<PruneStage>(name, options);
}

std::unique_ptr<Stage> MakeFinetuneStage(const std::string& name, const FinetuneOptions& options) {
  return std::make_unique<FinetuneStage>(name, options);
}

std::unique_ptr<Stage> MakeQatStage(const v1::QuantizeOptions& options) {
  return std::make_unique<QatStage>(options);
}

}  // namespace cytopress
