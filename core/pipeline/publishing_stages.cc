// From stored weights to a published model.
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/artifact/weight_type.h"
#include "core/base/amounts.h"
#include "core/base/file.h"
#include "core/base/status_macros.h"
#include "core/compression/calibration.h"
#include "core/compression/encoding.h"
#include "core/jobs/model_names.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

class PublishParentStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_PUBLISH_DENSE; }
  std::string name() const override { return "publish-dense"; }
  bool skipped_on_resume() const override { return true; }
  double Cost(const PipelineState& state) const override {
    return static_cast<double>(state.dataset.val.size() + state.dataset.test.size()) * 2;
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    const std::string path = state.context.work_folder + "/dense.cyp";
    Artifact built = DescribeArtifact(state, v1::WEIGHT_TYPE_FP16);
    built.tensors = EncodeFloats(state.network->Export(), v1::WEIGHT_TYPE_FP16);
    CYTOPRESS_RETURN_IF_ERROR(WriteAndReadBack(built, path).status());
    const ShareDone done = [&](double fraction) { return context.progress(fraction, {}); };
    CYTOPRESS_RETURN_IF_ERROR(EvaluateFile(state, path, done).status());
    CYTOPRESS_ASSIGN_OR_RETURN(state.parent.published,
                               PublishFile(state, path, ParentModelName(state.spec.model_name())));
    state.parent.name = state.parent.published;
    // Not training's score, which has other arithmetic: files are compared with files. Nor always
    // that of the file above: an attempt whose checkpoint is lost may have published another.
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Evaluation evaluation, EvaluateParent(state, "val", done));
    state.parent.score = ScoreOf(evaluation);
    StageOutcome outcome;
    outcome.score = state.parent.score;
    CYTOPRESS_RETURN_IF_ERROR(AddBytesOfParent(state, outcome));
    outcome.published = state.parent.name;
    outcome.note = absl::StrCat("FP16, published as ", state.parent.name);
    return outcome;
  }
};

class PackageStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_PACKAGE; }
  std::string name() const override { return "package"; }
  double Cost(const PipelineState& state) const override { return 3000; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    state.artifact_path = state.context.work_folder + "/model.cyp";
    state.artifact.ledger = state.ledger;
    CYTOPRESS_ASSIGN_OR_RETURN(WrittenArtifact written,
                               WriteAndReadBack(state.artifact, state.artifact_path));
    state.artifact = std::move(written.artifact);
    const v1::ModelSize size = MeasureSize(state.artifact, written.disk_bytes);
    StageOutcome outcome;
    AddBytes(size, outcome);
    outcome.note = absl::StrFormat(
        "%s as FP32, %s packed, %s on disk: %.1fx smaller", ReadableBytes(size.dense_bytes()),
        ReadableBytes(size.packed_bytes()), ReadableBytes(size.disk_bytes()),
        static_cast<double>(size.dense_bytes()) / static_cast<double>(size.disk_bytes()));
    return outcome;
  }
};

class EvaluateStage : public Stage {
 public:
  explicit EvaluateStage(const v1::QuantizeOptions& options) : options_(options) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_EVALUATE; }
  std::string name() const override { return "evaluate"; }
  double Cost(const PipelineState& state) const override {
    // The served arithmetic on two splits, the weights alone and perhaps the parent on one.
    return static_cast<double>(state.dataset.val.size() + 3 * state.dataset.test.size());
  }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    return Evaluate(state, context);
  }

  // Other ranges of the activations: only here are those rounded, too.
  absl::StatusOr<std::optional<StageOutcome>> Mend(PipelineState& state, StageContext& context,
                                                   int attempt) override {
    const std::vector<v1::RangeMethod> others = OtherRanges();
    if (attempt >= static_cast<int>(others.size())) return std::nullopt;
    v1::QuantizeOptions options = options_;
    options.set_activation_range(others[attempt]);
    state.artifact.activation_ranges =
        CalibrateActivations(*state.network, state.dataset, options, state.spec.recipe().seed());
    CYTOPRESS_RETURN_IF_ERROR(WriteAndReadBack(state.artifact, state.artifact_path).status());
    CYTOPRESS_ASSIGN_OR_RETURN(StageOutcome outcome, Evaluate(state, context));
    absl::StrAppend(&outcome.note, ", ranges of the activations by ",
                    absl::StripPrefix(v1::RangeMethod_Name(others[attempt]), "RANGE_METHOD_"));
    return std::optional<StageOutcome>(std::move(outcome));
  }

 private:
  std::vector<v1::RangeMethod> OtherRanges() const {
    std::vector<v1::RangeMethod> others;
    if (!IsInteger(options_.weights())) return others;  // their activations stay floating-point
    const bool clips_nothing = options_.activation_range() == v1::RANGE_METHOD_PERCENTILE &&
                               options_.activation_percentile() >= 100;
    const v1::RangeMethod now =
        clips_nothing ? v1::RANGE_METHOD_MIN_MAX : options_.activation_range();
    for (const v1::RangeMethod method : {v1::RANGE_METHOD_MSE, v1::RANGE_METHOD_MIN_MAX}) {
      if (method != now) others.push_back(method);
    }
    return others;
  }

  static absl::StatusOr<StageOutcome> Evaluate(const PipelineState& state,
                                               const StageContext& context) {
    CYTOPRESS_ASSIGN_OR_RETURN(const v1::Evaluation evaluation,
                               EvaluateFile(state, state.artifact_path, [&](double fraction) {
                                 return context.progress(fraction, {});
                               }));
    StageOutcome outcome;
    outcome.score = ScoreOf(evaluation);
    outcome.note = absl::StrCat("the file, by ", evaluation.engine());
    return outcome;
  }

  const v1::QuantizeOptions options_;
};

class PublishStage : public Stage {
 public:
  explicit PublishStage(std::string model_name) : model_name_(std::move(model_name)) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_PUBLISH; }
  std::string name() const override { return "publish"; }
  double Cost(const PipelineState& state) const override { return kNegligibleCost; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    // The file's ledger ends with the line of its evaluation.
    CYTOPRESS_ASSIGN_OR_RETURN(const std::string bytes,
                               ReadFile(state.artifact_path, kMaxArtifactFileBytes));
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ParseArtifact(bytes));
    CYTOPRESS_ASSIGN_OR_RETURN(
        const std::string complete,
        ReplaceMetadata(bytes, {artifact.evaluations, state.ledger, artifact.certificate}));
    CYTOPRESS_RETURN_IF_ERROR(WriteFileAtomically(state.artifact_path, complete));
    CYTOPRESS_ASSIGN_OR_RETURN(state.published,
                               PublishFile(state, state.artifact_path, model_name_));
    StageOutcome outcome;
    outcome.published = state.published;
    outcome.note = absl::StrCat("published as ", state.published);
    return outcome;
  }

 private:
  const std::string model_name_;
};

}  // namespace

std::unique_ptr<Stage> MakePublishParentStage() { return std::make_unique<PublishParentStage>(); }

std::unique_ptr<Stage> MakePackageStage() { return std::make_unique<PackageStage>(); }

std::unique_ptr<Stage> MakeEvaluateStage(const v1::QuantizeOptions& options) {
  return std::make_unique<EvaluateStage>(options);
}

std::unique_ptr<Stage> MakePublishStage(const std::string& model_name) {
  return std::make_unique<PublishStage>(model_name);
}

}  // namespace cytopress
