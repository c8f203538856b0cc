// The stages that change the network's floating-point weights.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/checkpoint.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/compression/trainer.h"
#include "core/pipeline/checkpoint_pace.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

// A training step costs a forward pass and about two for the backward one.
constexpr double kTrainingCost = 3;
// The share of the prunable weights from which on it is worth a word that zeros are none any more.
constexpr double kLeastRevived = 0.0005;
// The share from which on a base model counts as pruned: training itself leaves a few zeros.
constexpr double kLeastPruned = 0.01;
// Steps that tell how long an epoch takes. The first sets everything up and does not count; a GPU
// is waited for after it and after every eighth from there.
constexpr int64_t kTimedSteps = 17;

// The remedy of every stage that leaves floating-point weights.
absl::StatusOr<std::optional<StageOutcome>> MendBatchNorm(PipelineState& state, int attempt) {
  if (attempt > 0) return std::nullopt;
  RemeasureBatchNorm(state);
  StageOutcome outcome;
  CYTOPRESS_ASSIGN_OR_RETURN(outcome.score, ScoreNetwork(state));
  outcome.note = kBatchNormRemeasured;
  return std::optional<StageOutcome>(std::move(outcome));
}

double TeacherCost(const v1::TrainOptions& options, const PipelineState& state) {
  return options.distillation() > 0 ? static_cast<double>(state.dataset.train.size()) : 0;
}

// Of an epoch's steps, without its validation.
double StepsCost(const v1::TrainOptions& options, const PipelineState& state) {
  const int64_t all = state.dataset.train.size();
  const int64_t images =
      options.max_images() > 0 ? std::min<int64_t>(options.max_images(), all) : all;
  return kTrainingCost * static_cast<double>(images);
}

double EpochCost(const v1::TrainOptions& options, const PipelineState& state) {
  return StepsCost(options, state) + static_cast<double>(state.dataset.val.size());
}

double TrainingCost(const v1::TrainOptions& options, const PipelineState& state) {
  return TeacherCost(options, state) + options.epochs() * EpochCost(options, state);
}

v1::Progress ToProgress(const StepReport& report) {
  v1::Progress progress;
  progress.set_epoch(report.epoch);
  progress.set_epochs(report.epochs);
  progress.set_step(report.step);
  progress.set_steps(report.steps);
  progress.set_loss(report.loss);
  progress.set_learning_rate(report.learning_rate);
  progress.set_images_per_second(report.images_per_second);
  progress.set_validation_accuracy(report.validation_accuracy);
  return progress;
}

// `epochs` of those asked for were trained.
std::string Describe(const v1::TrainOptions& options, int epochs) {
  std::string text = absl::StrCat(epochs);
  if (epochs < options.epochs()) absl::StrAppend(&text, " of ", options.epochs());
  text += options.epochs() == 1 ? " epoch" : " epochs";
  if (epochs < options.epochs()) text += ", to keep to the time budget";
  absl::StrAppendFormat(&text, ", peak learning rate %g", options.learning_rate());
  if (options.distillation() > 0) {
    absl::StrAppendFormat(&text, ", %g of the loss from the dense model's answers",
                          options.distillation());
  }
  if (options.ema_decay() > 0) {
    absl::StrAppendFormat(&text, ", weights averaged with decay %g", options.ema_decay());
  }
  if (options.freeze_batch_norm()) text += ", batch norms frozen";
  return text;
}

// The dense parent's answers for the training images, once a job attempt.
absl::Status PrepareTeacher(const v1::TrainOptions& options, PipelineState& state,
                            const std::function<absl::Status(double)>& progress) {
  if (options.distillation() <= 0 || state.parent.empty() || state.teacher_logits.defined()) {
    return absl::OkStatus();
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ReadParent(state));
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
  TorchNetwork teacher(std::move(network), state.device, /*seed=*/0);
  CYTOPRESS_RETURN_IF_ERROR(teacher.Import(DecodeTensors(artifact.tensors)));
  absl::Status status;
  const torch::Tensor logits =
      LogitsOf(teacher, state.dataset, state.dataset.train, state.bfloat16, {}, [&](double done) {
        status = progress(done);
        return status.ok();
      });
  CYTOPRESS_RETURN_IF_ERROR(status);
  state.teacher_logits = logits;
  return absl::OkStatus();
}

// How many of the epochs end so long before `deadline` (of RealClock()->Steady()) that there is
// time for `cost_after`; at least one. A few steps tell; the network is left as it was, so that the
// time changes nothing but the number.
absl::StatusOr<int> EpochsUntil(absl::Duration deadline, double cost_after,
                                const v1::TrainOptions& options, TrainerSetup setup,
                                PipelineState& state, const std::function<absl::Status()>& check) {
  const TensorMap before = state.network->Export();
  Masks masks = *setup.masks;
  setup.masks = &masks;
  absl::Duration start = RealClock()->Steady();
  std::optional<double> epoch_seconds;
  Trainer::Hooks hooks;
  hooks.on_epoch = [] { return absl::OkStatus(); };
  hooks.on_step = [&](const StepReport& report) -> absl::Status {
    CYTOPRESS_RETURN_IF_ERROR(check());
    if (report.step < std::min(report.steps, kTimedSteps)) {
      if (report.step == 1) start = RealClock()->Steady();
      return absl::OkStatus();
    }
    const double seconds = absl::ToDoubleSeconds(RealClock()->Steady() - start);
    const double timed = static_cast<double>(std::max<int64_t>(report.step - 1, 1));
    epoch_seconds = seconds / timed * static_cast<double>(report.steps) *
                    EpochCost(options, state) / StepsCost(options, state);
    return absl::CancelledError("timed");
  };
  const absl::Status status =
      Trainer(*state.network, state.dataset, options, std::move(setup)).Run(hooks);
  if (!epoch_seconds) return status;
  CYTOPRESS_RETURN_IF_ERROR(state.network->Import(before));
  const double left = absl::ToDoubleSeconds(deadline - RealClock()->Steady());
  return static_cast<int>(std::clamp(left / *epoch_seconds - cost_after / EpochCost(options, state),
                                     1.0, static_cast<double>(options.epochs())));
}

// How many epochs a round has that goes on: as many as it began with.
absl::StatusOr<int> EpochsOf(const TensorTable& resumed) {
  const auto epochs = resumed.find("epochs");
  if (epochs == resumed.end()) return absl::DataLossError("the checkpoint lacks epochs");
  return static_cast<int>(epochs->second.item<int64_t>());
}

// Trains with progress, and checkpoints between epochs; `time_limit` and `cost_after` as
// FinetuneOptions has them.
absl::StatusOr<StageOutcome> RunTraining(const v1::TrainOptions& asked, TrainerSetup setup,
                                         PipelineState& state, StageContext& context,
                                         absl::Duration time_limit = absl::InfiniteDuration(),
                                         double cost_after = 0) {
  v1::TrainOptions options = asked;
  const absl::Duration begin = RealClock()->Steady();
  const double teacher = TeacherCost(options, state) / TrainingCost(options, state);
  CYTOPRESS_RETURN_IF_ERROR(PrepareTeacher(options, state, [&](double done) {
    // A resumed round is further than that.
    return context.resumed.empty() ? context.progress(teacher * done, {}) : absl::OkStatus();
  }));
  setup.seed = state.spec.recipe().seed();
  setup.masks = &state.masks;
  setup.teacher_logits = state.teacher_logits;
  if (time_limit < absl::InfiniteDuration() && asked.epochs() > 1) {
    CYTOPRESS_ASSIGN_OR_RETURN(
        const int epochs, context.resumed.empty()
                              ? EpochsUntil(begin + time_limit, cost_after, asked, setup, state,
                                            [&] { return context.progress(teacher, {}); })
                              : EpochsOf(context.resumed));
    options.set_epochs(epochs);
    if (epochs < asked.epochs()) state.goal.epochs = epochs;
  }
  Trainer trainer(*state.network, state.dataset, options, std::move(setup));
  if (!context.resumed.empty()) CYTOPRESS_RETURN_IF_ERROR(trainer.Load(context.resumed));
  Trainer::Hooks hooks;
  hooks.on_step = [&](const StepReport& report) {
    const double steps = static_cast<double>(report.epochs) * static_cast<double>(report.steps);
    const double done = static_cast<double>(report.epoch - 1) * static_cast<double>(report.steps) +
                        static_cast<double>(report.step);
    return context.progress(teacher + (1 - teacher) * done / steps, ToProgress(report));
  };
  hooks.on_validation = [&] { return CheckStop(state); };
  CheckpointPace pace(RealClock());
  hooks.on_epoch = [&]() -> absl::Status {
    if (!pace.IsDue()) return absl::OkStatus();
    const absl::Duration start = RealClock()->Steady();
    TensorTable table;
    trainer.Save(table);
    table["epochs"] = torch::tensor(int64_t{options.epochs()});
    const absl::Status saved = context.checkpoint(table);
    if (WarnedOfNoRoom(saved)) return absl::OkStatus();  // the next epoch tries again
    CYTOPRESS_RETURN_IF_ERROR(saved);
    pace.Saved(start);
    return absl::OkStatus();
  };
  CYTOPRESS_RETURN_IF_ERROR(trainer.Run(hooks));
  StageOutcome outcome;
  outcome.score = ScoreOf(trainer.best());
  outcome.images_per_second = trainer.images_per_second();
  outcome.note = Describe(asked, options.epochs());
  return outcome;
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
    state.dense = *outcome.score;
    outcome.remark = RemarkOnDense(state.dense, state.dataset.class_names);
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

std::string Describe(const v1::PruneOptions& options) {
  const bool by_layer =
      options.method() == v1::PRUNE_METHOD_LAYER_MAGNITUDE || !options.layer_sparsity().empty();
  const char* const among = options.pattern() == v1::PRUNE_PATTERN_TWO_OF_FOUR ? "every four"
                            : by_layer                                         ? "each layer"
                                                                               : "all layers";
  return absl::StrFormat("%.4g %% of the prunable weights, %s, smallest magnitudes of %s",
                         100 * options.sparsity(), NameOf(options.pattern()), among);
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
           (reestimates_ ? static_cast<double>(kReestimationImages) : 0);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    state.masks = MagnitudeMasks(*state.network, options_, options_.sparsity());
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
    return TrainingCost(options_.train, state) + ReestimationCost();
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
