// The stages, in the order in which a job runs them.

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/compression/publishing.h"
#include "core/compression/quantization.h"
#include "core/compression/scoring.h"
#include "core/compression/stage.h"
#include "core/compression/trainer.h"

namespace cytopress {
namespace {

// A training step costs a forward pass and about two for the backward one.
constexpr double kTrainingCost = 3;
constexpr int64_t kMaxArtifactBytes = int64_t{1} << 30;

bool IsInteger(v1::WeightType weights) {
  return weights == v1::WEIGHT_TYPE_INT8 || weights == v1::WEIGHT_TYPE_INT4;
}

StageOutcome OutcomeOf(const Evaluation& evaluation) {
  StageOutcome outcome;
  outcome.validation_accuracy = evaluation.accuracy;
  outcome.validation_auc = evaluation.auc;
  return outcome;
}

absl::StatusOr<StageOutcome> ScoreNetwork(const PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(
      const Evaluation evaluation,
      EvaluateNetwork(*state.network, state.dataset, state.dataset.val, state.bfloat16));
  return OutcomeOf(evaluation);
}

void AddBytes(const Artifact& artifact, int64_t disk_bytes, StageOutcome& outcome) {
  const v1::ModelSize size = MeasureSize(artifact, disk_bytes);
  outcome.packed_bytes = size.packed_bytes();
  outcome.disk_bytes = size.disk_bytes();
}

std::string Megabytes(int64_t bytes) {
  return absl::StrFormat("%.2f MB", static_cast<double>(bytes) / 1e6);
}

// Reads the data set and the base model, or makes a fresh network.
class LoadStage : public Stage {
 public:
  std::string name() const override { return "load"; }
  double Cost(const PipelineState& state) const override { return 1000; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    DatasetOptions options;
    const v1::DatasetSource& source = state.spec.dataset();
    options.class_names.assign(source.class_names().begin(), source.class_names().end());
    options.seed = source.seed();
    CYTOPRESS_ASSIGN_OR_RETURN(state.dataset, LoadDataset(source.uri(), options));
    CYTOPRESS_RETURN_IF_ERROR(CheckSplits(state.dataset));
    const std::string note = absl::StrFormat(
        "%s: %d train / %d val / %d test images of %d classes%s", state.dataset.name,
        state.dataset.train.size(), state.dataset.val.size(), state.dataset.test.size(),
        state.dataset.classes(),
        state.dataset.synthetic ? "; SYNTHETIC: figures say nothing about real cells" : "");
    StageOutcome outcome;
    if (state.spec.base_model().empty()) {
      CYTOPRESS_RETURN_IF_ERROR(MakeFreshNetwork(state));
    } else {
      CYTOPRESS_RETURN_IF_ERROR(LoadBaseModel(state));
      CYTOPRESS_ASSIGN_OR_RETURN(outcome, ScoreNetwork(state));
      state.dense_accuracy = *outcome.validation_accuracy;
    }
    outcome.note = note;
    return outcome;
  }

 private:
  static absl::Status CheckSplits(const Dataset& dataset) {
    for (const Split* split : {&dataset.train, &dataset.val, &dataset.test}) {
      if (split->size() == 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "dataset.uri: the data set ", dataset.name,
            " has an empty split; training, validation and test images are all needed"));
      }
    }
    return absl::OkStatus();
  }

  static absl::Status MakeFreshNetwork(PipelineState& state) {
    CYTOPRESS_ASSIGN_OR_RETURN(NetworkSpec spec, FromProto(state.spec.network()));
    spec.classes = state.dataset.classes();
    spec.input_channels = state.dataset.channels;
    spec.input_height = state.dataset.height;
    spec.input_width = state.dataset.width;
    CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(spec));
    state.network = std::make_unique<TorchNetwork>(std::move(network), state.device,
                                                   state.spec.recipe().seed());
    return absl::OkStatus();
  }

  static absl::Status LoadBaseModel(PipelineState& state) {
    CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion wanted,
                               ParseModelVersion(state.spec.base_model()));
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model, state.context.registry->Get(wanted));
    state.parent = absl::StrCat(model.name(), "@", model.version());
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               state.context.registry->Read({model.name(), model.version()}));
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(bytes));
    CYTOPRESS_RETURN_IF_ERROR(CheckFits(artifact, state));
    CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
    state.network = std::make_unique<TorchNetwork>(std::move(network), state.device,
                                                   state.spec.recipe().seed());
    return state.network->Import(DecodeTensors(artifact.tensors));
  }

  static absl::Status CheckFits(const Artifact& artifact, const PipelineState& state) {
    const Dataset& data = state.dataset;
    const NetworkSpec& network = artifact.network;
    if (network.classes != data.classes() || network.input_channels != data.channels ||
        network.input_height != data.height || network.input_width != data.width) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "base_model: %s classifies %dx%dx%d images into %d classes; the data set %s has %dx%dx%d "
          "images of %d classes",
          state.parent, network.input_height, network.input_width, network.input_channels,
          network.classes, data.name, data.height, data.width, data.channels, data.classes()));
    }
    return absl::OkStatus();
  }
};

// Training from scratch and fine-tuning differ in their options and in what they start from.
class TrainStage : public Stage {
 public:
  TrainStage(std::string name, const v1::TrainOptions& options)
      : name_(std::move(name)), options_(options) {}

  std::string name() const override { return name_; }
  bool skipped_on_resume() const override { return true; }

  double Cost(const PipelineState& state) const override {
    const int64_t all = state.dataset.train.size();
    const int64_t images =
        options_.max_images() > 0 ? std::min<int64_t>(options_.max_images(), all) : all;
    return options_.epochs() * (kTrainingCost * static_cast<double>(images) +
                                static_cast<double>(state.dataset.val.size()));
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    Trainer trainer(*state.network, state.dataset, options_, state.spec.recipe().seed(),
                    state.masks);
    if (!context.resumed.empty()) CYTOPRESS_RETURN_IF_ERROR(trainer.Load(context.resumed));
    Trainer::Hooks hooks;
    hooks.on_step = [&](const StepReport& report) {
      const double steps = static_cast<double>(report.epochs) * static_cast<double>(report.steps);
      const double done =
          static_cast<double>(report.epoch - 1) * static_cast<double>(report.steps) +
          static_cast<double>(report.step);
      return context.progress(done / steps, ToProgress(report));
    };
    hooks.on_epoch = [&]() -> absl::Status {
      TensorTable table;
      trainer.Save(table);
      return context.checkpoint(table);
    };
    CYTOPRESS_RETURN_IF_ERROR(trainer.Run(hooks));
    if (state.spec.base_model().empty() && name_ == "train") {
      state.dense_accuracy = trainer.best().accuracy;
    }
    StageOutcome outcome = OutcomeOf(trainer.best());
    outcome.images_per_second = trainer.images_per_second();
    outcome.note = absl::StrFormat("%d epochs, peak learning rate %g", options_.epochs(),
                                   options_.learning_rate());
    return outcome;
  }

  absl::Status CheckInvariant(const PipelineState& state) const override {
    return CheckMasks(state.masks, *state.network);
  }

 private:
  static v1::Progress ToProgress(const StepReport& report) {
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

  const std::string name_;
  const v1::TrainOptions options_;
};

// Publishes the dense model trained on the way as "<name>-dense", so that what compression costs
// can be measured against it and other recipes can start from it.
class PublishParentStage : public Stage {
 public:
  std::string name() const override { return "publish-dense"; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size() + state.dataset.test.size()) * 2;
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    const std::string path = state.context.work_folder + "/dense.cyp";
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact built, MakeArtifact(state, v1::WEIGHT_TYPE_FP16));
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact read, WriteAndReadBack(built, path));
    CYTOPRESS_ASSIGN_OR_RETURN(
        const v1::Evaluation evaluation,
        EvaluateFile(state, path, [&](double fraction) { return context.progress(fraction, {}); }));
    CYTOPRESS_ASSIGN_OR_RETURN(state.published_parent,
                               PublishFile(state, path, state.spec.model_name() + "-dense"));
    state.parent = state.published_parent;
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model,
                               state.context.registry->Get(*ParseModelVersion(state.parent)));
    StageOutcome outcome;
    outcome.validation_accuracy = evaluation.accuracy();
    outcome.validation_auc = evaluation.auc();
    AddBytes(read, model.size().disk_bytes(), outcome);
    outcome.note = absl::StrCat("FP16, published as ", state.parent);
    return outcome;
  }
};

class PruneStage : public Stage {
 public:
  explicit PruneStage(const v1::PruneOptions& options) : options_(options) {}

  std::string name() const override { return "prune"; }
  bool skipped_on_resume() const override { return true; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size());
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    state.masks = GlobalMagnitudeMasks(*state.network, options_.sparsity());
    ApplyMasks(state.masks, *state.network);
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, ScoreNetwork(state));
    outcome.note = absl::StrFormat("global magnitude, %g %% of the prunable weights",
                                   100 * options_.sparsity());
    return outcome;
  }

  absl::Status CheckInvariant(const PipelineState& state) const override {
    const double sparsity = Sparsity(*state.network);
    if (sparsity < options_.sparsity() - 1e-6) {
      return absl::InternalError(absl::StrFormat("pruning reached a sparsity of %g, not %g",
                                                 sparsity, options_.sparsity()));
    }
    return CheckMasks(state.masks, *state.network);
  }

 private:
  const v1::PruneOptions options_;
};

// Encodes the weights and, for integer arithmetic, calibrates the activations. The network then
// holds what the encoded weights stand for: the ledger shows the weight-only loss, the paper's
// figure.
class QuantizeStage : public Stage {
 public:
  explicit QuantizeStage(const v1::QuantizeOptions& options) : options_(options) {}

  std::string name() const override { return "quantize"; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size()) +
           (IsInteger(options_.weights()) ? 2.0 * options_.calibration_images() : 0);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(state.artifact, MakeArtifact(state, options_.weights()));
    CYTOPRESS_RETURN_IF_ERROR(state.network->Import(DecodeTensors(state.artifact.tensors)));
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, ScoreNetwork(state));
    CYTOPRESS_RETURN_IF_ERROR(context.progress(0.5, {}));
    if (IsInteger(options_.weights())) {
      CYTOPRESS_ASSIGN_OR_RETURN(
          state.artifact.activation_ranges,
          CalibrateActivations(*state.network, state.dataset, options_.calibration_images(),
                               options_.activation_percentile(), state.spec.recipe().seed()));
    }
    outcome.packed_bytes = MeasureSize(state.artifact, 0).packed_bytes();
    outcome.note = absl::StrCat(v1::WeightType_Name(options_.weights()).substr(12),
                                " weights only, activations still floating-point");
    return outcome;
  }

  // What was pruned is zero in the stored integers too.
  absl::Status CheckInvariant(const PipelineState& state) const override {
    return CheckMasks(state.masks, *state.network);
  }

 private:
  const v1::QuantizeOptions options_;
};

class PackageStage : public Stage {
 public:
  std::string name() const override { return "package"; }
  double Cost(const PipelineState& state) const override { return 3000; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    state.artifact_path = state.context.work_folder + "/model.cyp";
    state.artifact.ledger = state.ledger;
    CYTOPRESS_ASSIGN_OR_RETURN(state.artifact,
                               WriteAndReadBack(state.artifact, state.artifact_path));
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               ReadFile(state.artifact_path, kMaxArtifactBytes));
    const v1::ModelSize size = MeasureSize(state.artifact, static_cast<int64_t>(bytes.size()));
    StageOutcome outcome;
    AddBytes(state.artifact, size.disk_bytes(), outcome);
    outcome.note = absl::StrFormat(
        "%s as FP32, %s packed, %s on disk: %.1fx smaller", Megabytes(size.dense_bytes()),
        Megabytes(size.packed_bytes()), Megabytes(size.disk_bytes()),
        static_cast<double>(size.dense_bytes()) / static_cast<double>(size.disk_bytes()));
    return outcome;
  }
};

// Scores the file as it will be served, and refuses to publish a model that lost too much.
class EvaluateStage : public Stage {
 public:
  std::string name() const override { return "evaluate"; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size() + state.dataset.test.size()) *
           (IsInteger(state.spec.recipe().quantize().weights()) ? 0.5 : 2);
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Evaluation evaluation,
                               EvaluateFile(state, state.artifact_path, [&](double fraction) {
                                 return context.progress(fraction, {});
                               }));
    const double drop = state.dense_accuracy - evaluation.accuracy();
    const double allowed = state.spec.recipe().max_accuracy_drop();
    if (allowed > 0 && drop > allowed) {
      return absl::FailedPreconditionError(
          absl::StrFormat("recipe.max_accuracy_drop: the compressed model's validation accuracy is "
                          "%.4f, %.4f below "
                          "the dense model's %.4f, and at most %.4f is allowed; prune less, "
                          "fine-tune longer or keep "
                          "more bits",
                          evaluation.accuracy(), drop, state.dense_accuracy, allowed));
    }
    StageOutcome outcome;
    outcome.validation_accuracy = evaluation.accuracy();
    outcome.validation_auc = evaluation.auc();
    outcome.note = absl::StrCat("the file, by ", evaluation.engine());
    return outcome;
  }
};

class PublishStage : public Stage {
 public:
  std::string name() const override { return "publish"; }
  double Cost(const PipelineState& state) const override { return 100; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    // The file's ledger ends with the line of its evaluation.
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               ReadFile(state.artifact_path, kMaxArtifactBytes));
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(bytes));
    CYTOPRESS_ASSIGN_OR_RETURN(
        const std::string complete,
        ReplaceMetadata(bytes, {artifact.evaluations, state.ledger, artifact.certificate}));
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(state.artifact_path, complete));
    CYTOPRESS_ASSIGN_OR_RETURN(state.published,
                               PublishFile(state, state.artifact_path, state.spec.model_name()));
    StageOutcome outcome;
    outcome.note = absl::StrCat("published as ", state.published);
    return outcome;
  }
};

}  // namespace

std::vector<std::unique_ptr<Stage>> StagesFor(const v1::JobSpec& spec) {
  const v1::Recipe& recipe = spec.recipe();
  const bool prunes = recipe.has_prune() && recipe.prune().sparsity() > 0;
  std::vector<std::unique_ptr<Stage>> stages;
  stages.push_back(std::make_unique<LoadStage>());
  if (spec.base_model().empty()) {
    stages.push_back(std::make_unique<TrainStage>("train", recipe.train()));
    if (prunes || IsInteger(recipe.quantize().weights())) {
      stages.push_back(std::make_unique<PublishParentStage>());
    }
  }
  if (prunes) stages.push_back(std::make_unique<PruneStage>(recipe.prune()));
  if (recipe.has_finetune()) {
    stages.push_back(std::make_unique<TrainStage>("fine-tune", recipe.finetune()));
  }
  stages.push_back(std::make_unique<QuantizeStage>(recipe.quantize()));
  stages.push_back(std::make_unique<PackageStage>());
  stages.push_back(std::make_unique<EvaluateStage>());
  stages.push_back(std::make_unique<PublishStage>());
  return stages;
}

}  // namespace cytopress
