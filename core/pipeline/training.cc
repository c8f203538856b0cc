#include "core/pipeline/training.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/compression/checkpoint.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/pipeline/checkpoint_pace.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/publishing.h"

namespace cytopress {
namespace {

// A training step costs a forward pass and about two for the backward one.
constexpr double kTrainingCost = 3;
// Steps that tell how long an epoch takes. The first sets everything up and does not count; a GPU
// is waited for after it and after every eighth from there.
constexpr int64_t kTimedSteps = 17;
// Only in the checkpoint of a training that has ended.
constexpr char kImagesPerSecond[] = "images_per_second";

double TeacherCost(const v1::TrainOptions& options, const PipelineState& state) {
  if (options.distillation() <= 0) return 0;
  return state.parent.macs_ratio * static_cast<double>(state.dataset.train.size());
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

// Knowledge distillation: the dense parent's logits of the training images, once a job attempt.
absl::Status PrepareTeacher(const v1::TrainOptions& options, PipelineState& state,
                            const std::function<absl::Status(double)>& progress) {
  if (options.distillation() <= 0 || state.parent.name.empty() ||
      state.parent.teacher_logits.defined()) {
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
  state.parent.teacher_logits = logits;
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

// How many of the epochs that are asked for are trained. `teacher` is the share of the work that is
// done when the teacher's logits are there.
absl::StatusOr<int> EpochsToTrain(const v1::TrainOptions& asked, absl::Duration deadline,
                                  double cost_after, double teacher, const TrainerSetup& setup,
                                  PipelineState& state, const StageContext& context) {
  if (deadline == absl::InfiniteDuration() || asked.epochs() <= 1) return asked.epochs();
  CYTOPRESS_ASSIGN_OR_RETURN(const int epochs,
                             context.resumed.empty()
                                 ? EpochsUntil(deadline, cost_after, asked, setup, state,
                                               [&] { return context.progress(teacher, {}); })
                                 : EpochsOf(context.resumed));
  if (epochs < asked.epochs()) state.goal.epochs = epochs;
  return epochs;
}

// `save_if_due` is called where a checkpoint can be made. `state` and `context` must outlive the
// hooks.
Trainer::Hooks MakeHooks(const PipelineState& state, const StageContext& context, double teacher,
                         const std::function<absl::Status()>& save_if_due) {
  Trainer::Hooks hooks;
  hooks.on_step = [&context, teacher](const StepReport& report) {
    const double steps = static_cast<double>(report.epochs) * static_cast<double>(report.steps);
    const double done = static_cast<double>(report.epoch - 1) * static_cast<double>(report.steps) +
                        static_cast<double>(report.step);
    return context.progress(teacher + (1 - teacher) * done / steps, ToProgress(report));
  };
  hooks.on_validation = [&state] { return CheckStop(state); };
  hooks.on_epoch = save_if_due;
  return hooks;
}

}  // namespace

double TrainingCost(const v1::TrainOptions& options, const PipelineState& state) {
  return TeacherCost(options, state) + options.epochs() * EpochCost(options, state);
}

absl::StatusOr<StageOutcome> RunTraining(const v1::TrainOptions& asked, TrainerSetup setup,
                                         PipelineState& state, StageContext& context,
                                         absl::Duration time_limit, double cost_after) {
  v1::TrainOptions options = asked;
  const absl::Duration begin = RealClock()->Steady();
  const auto ended = context.resumed.find(kImagesPerSecond);
  const bool has_ended = ended != context.resumed.end();
  const double teacher = TeacherCost(options, state) / TrainingCost(options, state);
  if (!has_ended) {
    CYTOPRESS_RETURN_IF_ERROR(PrepareTeacher(options, state, [&](double done) {
      // A resumed round is further than that.
      return context.resumed.empty() ? context.progress(teacher * done, {}) : CheckStop(state);
    }));
  }
  setup.seed = state.spec.recipe().seed();
  setup.masks = &state.masks;
  setup.teacher_logits = state.parent.teacher_logits;
  CYTOPRESS_ASSIGN_OR_RETURN(const int epochs, EpochsToTrain(asked, begin + time_limit, cost_after,
                                                             teacher, setup, state, context));
  options.set_epochs(epochs);
  Trainer trainer(*state.network, state.dataset, options, std::move(setup));
  if (!context.resumed.empty()) CYTOPRESS_RETURN_IF_ERROR(trainer.Load(context.resumed));
  CheckpointPace pace(RealClock());
  const auto save = [&](TensorTable table) -> absl::Status {
    const absl::Duration start = RealClock()->Steady();
    trainer.Save(table);
    table["epochs"] = torch::tensor(int64_t{options.epochs()});
    const absl::Status saved = context.checkpoint(table);
    if (WarnedOfNoRoom(saved)) return absl::OkStatus();  // a later epoch tries again
    CYTOPRESS_RETURN_IF_ERROR(saved);
    pace.Saved(start);
    return absl::OkStatus();
  };
  CYTOPRESS_RETURN_IF_ERROR(trainer.Run(MakeHooks(
      state, context, teacher, [&] { return pace.IsDue() ? save({}) : absl::OkStatus(); })));
  StageOutcome outcome;
  if (has_ended) {
    outcome.images_per_second = ended->second.item<double>();
  } else {
    outcome.images_per_second = trainer.images_per_second();
    CYTOPRESS_RETURN_IF_ERROR(
        save({{kImagesPerSecond, torch::tensor(outcome.images_per_second, torch::kFloat64)}}));
  }
  outcome.score = ScoreOf(trainer.best());
  outcome.note = Describe(asked, options.epochs());
  return outcome;
}

}  // namespace cytopress
