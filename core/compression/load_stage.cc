// How a job begins.
#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/encoding.h"
#include "core/compression/pruning.h"
#include "core/compression/publishing.h"
#include "core/compression/scoring.h"
#include "core/compression/sensitivity.h"
#include "core/compression/stages.h"
#include "core/compression/weight_rounding.h"
#include "core/dataset/class_names.h"

namespace cytopress {
namespace {

constexpr size_t kHashDigits = 12;  // enough to tell data sets apart
constexpr size_t kNamedClasses = 4;

absl::Status TakeWeights(const Artifact& artifact, PipelineState& state) {
  const TensorMap tensors = DecodeTensors(artifact.tensors);
  CYTOPRESS_RETURN_IF_ERROR(state.network->Import(tensors));
  const Network& network = state.network->network();
  const bool folded =
      std::any_of(network.layers.begin(), network.layers.end(), [&](const Layer& layer) {
        return layer.op == Op::kConv && tensors.count(layer.name + ".bias") != 0;
      });
  if (folded) UnfoldBatchNorm(*state.network, state.dataset, state.spec.recipe().seed());
  return absl::OkStatus();
}

class LoadStage : public Stage {
 public:
  v1::StageKind kind() const override { return v1::STAGE_KIND_LOAD; }
  std::string name() const override { return "load"; }
  double Cost(const PipelineState& state) const override { return 1000; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_RETURN_IF_ERROR(LoadData(state));
    const std::string note = absl::StrFormat(
        "%s: %d train / %d val / %d test images of %d classes%s", state.dataset.name,
        state.dataset.train.size(), state.dataset.val.size(), state.dataset.test.size(),
        state.dataset.classes(),
        state.dataset.synthetic ? "; SYNTHETIC: figures say nothing about real cells" : "");
    StageOutcome outcome;
    if (state.spec.base_model().empty()) {
      CYTOPRESS_RETURN_IF_ERROR(MakeFreshNetwork(state));
    } else {
      CYTOPRESS_ASSIGN_OR_RETURN(outcome.remark, LoadBaseModel(state));
      outcome.score = state.dense;
    }
    CYTOPRESS_RETURN_IF_ERROR(CheckLayers(*state.network, state.spec.recipe().prune()));
    CYTOPRESS_RETURN_IF_ERROR(
        CheckLayers(state.network->network(), state.spec.recipe().quantize()));
    CYTOPRESS_RETURN_IF_ERROR(CheckGoal(state));
    outcome.note = note;
    return outcome;
  }

 private:
  static absl::Status LoadData(PipelineState& state) {
    const v1::DatasetSource& source = state.spec.dataset();
    DatasetOptions options;
    options.class_names.assign(source.class_names().begin(), source.class_names().end());
    options.seed = source.seed();
    options.should_stop = [&state] { return state.context.observer->ShouldStop(); };
    const v1::NetworkSpec& asked = state.spec.network();
    Preprocessing& of_folder = options.folder_preprocessing;
    if (asked.input_height() > 0) of_folder.height = asked.input_height();
    if (asked.input_width() > 0) of_folder.width = asked.input_width();
    if (asked.input_channels() > 0) of_folder.channels = asked.input_channels();
    of_folder.mean.resize(of_folder.channels, of_folder.mean[0]);
    of_folder.stddev.resize(of_folder.channels, of_folder.stddev[0]);
    if (!state.spec.base_model().empty()) {
      CYTOPRESS_ASSIGN_OR_RETURN(const ModelVersion wanted,
                                 ParseModelVersion(state.spec.base_model()));
      CYTOPRESS_ASSIGN_OR_RETURN(const v1::Model model, state.context.registry->Get(wanted));
      state.parent = ToString(model);
      of_folder = FromProto(model.preprocessing());
    }
    CYTOPRESS_ASSIGN_OR_RETURN(state.dataset, LoadDataset(source.uri(), options));
    return CheckSplits(state.dataset);
  }

  // What no try can reach is refused before anything is trained.
  static absl::Status CheckGoal(const PipelineState& state) {
    const auto most = static_cast<double>(state.spec.goal().max_bytes());
    const double least = LeastBytes(state.network->network(), state.spec.recipe().prune());
    if (most == 0 || most >= least) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrFormat(
        "goal.max_bytes: %.0f is out of reach: with every layer as sparse as the search makes it "
        "the file has at least %.0f bytes",
        most, std::ceil(least)));
  }

  static absl::Status CheckSplits(const Dataset& dataset) {
    for (const Split* split : dataset.splits()) {
      if (split->size() == 0) {
        return absl::InvalidArgumentError(absl::StrCat(
            "dataset.uri: the data set ", dataset.name,
            " has an empty split; training, validation and test images are all needed"));
      }
    }
    return absl::OkStatus();
  }

  // What the request says of the data has to be so.
  static absl::Status CheckAsked(const v1::NetworkSpec& asked, const Dataset& dataset) {
    const auto check = [&](absl::string_view field, int wanted, int found, absl::string_view what) {
      if (wanted == 0 || wanted == found) return absl::OkStatus();
      return absl::InvalidArgumentError(
          absl::StrCat("network.", field, ": ", wanted, " is asked for and the data set ",
                       dataset.name, " has ", found, " ", what, "; leave it out, or give ", found));
    };
    CYTOPRESS_RETURN_IF_ERROR(check("classes", asked.classes(), dataset.classes(), "classes"));
    CYTOPRESS_RETURN_IF_ERROR(
        check("input_channels", asked.input_channels(), dataset.channels, "channels"));
    CYTOPRESS_RETURN_IF_ERROR(
        check("input_height", asked.input_height(), dataset.height, "rows of pixels"));
    return check("input_width", asked.input_width(), dataset.width, "columns of pixels");
  }

  static absl::Status MakeFreshNetwork(PipelineState& state) {
    CYTOPRESS_RETURN_IF_ERROR(CheckAsked(state.spec.network(), state.dataset));
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

  // Returns what the reader of the ledger is to know about it.
  static absl::StatusOr<std::optional<Finding>> LoadBaseModel(PipelineState& state) {
    CYTOPRESS_ASSIGN_OR_RETURN(Artifact artifact, ReadParent(state));
    CYTOPRESS_RETURN_IF_ERROR(CheckFits(artifact, state));
    TakeOrderOf(artifact.class_names, state.dataset);
    CYTOPRESS_ASSIGN_OR_RETURN(state.dense, ScoreOfFile(artifact, state));
    if (state.spec.network().stem() != v1::STEM_UNSPECIFIED) {
      CYTOPRESS_ASSIGN_OR_RETURN(artifact.network.stem, FromProto(state.spec.network().stem()));
    }
    CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
    state.network = std::make_unique<TorchNetwork>(std::move(network), state.device,
                                                   state.spec.recipe().seed());
    CYTOPRESS_RETURN_IF_ERROR(TakeWeights(artifact, state));
    return RemarkOnData(artifact, state);
  }

  // Numbers the data set's classes as the base model does, where both have the same names in
  // another order: its answers are numbers.
  static void TakeOrderOf(const std::vector<std::string>& names, Dataset& dataset) {
    if (names == dataset.class_names ||
        !std::is_permutation(names.begin(), names.end(), dataset.class_names.begin())) {
      return;
    }
    std::vector<int> number_of;
    for (const std::string& name : dataset.class_names) {
      number_of.push_back(
          static_cast<int>(std::find(names.begin(), names.end(), name) - names.begin()));
    }
    for (Split* split : dataset.splits()) {
      for (int& label : split->labels) label = number_of[label];
    }
    dataset.class_names = names;
  }

  // As it is served: what is made from it will be compared as a file, too.
  static absl::StatusOr<Score> ScoreOfFile(const Artifact& artifact, const PipelineState& state) {
    const v1::Evaluation* const stored = StoredEvaluation(artifact, state.dataset, "val");
    if (stored != nullptr) return ScoreOf(*stored);
    CYTOPRESS_ASSIGN_OR_RETURN(
        const v1::Evaluation evaluation,
        EvaluateArtifact(artifact, state.dataset, "val", {at::get_num_threads()}));
    return ScoreOf(evaluation);
  }

  // Training may go on with other data; but a folder that has changed can hold the base model's
  // training images in its test split, and its classes may be called otherwise.
  static std::optional<Finding> RemarkOnData(const Artifact& artifact, const PipelineState& state) {
    const std::string& hash = artifact.provenance.dataset_hash();
    const std::string classes = RemarkOnClasses(artifact.class_names, state.dataset.class_names);
    const bool same = hash.empty() || hash == state.dataset.content_hash;
    if (same && classes.empty()) return std::nullopt;
    std::string text = absl::StrCat("other data: ", state.parent, " was made from ",
                                    artifact.provenance.dataset_name(), " ",
                                    hash.substr(0, kHashDigits), ", these are ", state.dataset.name,
                                    " ", state.dataset.content_hash.substr(0, kHashDigits));
    if (!same) {
      text += "; where they share images with its training images, test figures are too good";
    }
    return Finding{v1::GUARD_VERDICT_OTHER_DATA, text + classes};
  }

  // Classes of other names go by their position. Those without a name of their own have no other.
  static std::string RemarkOnClasses(const std::vector<std::string>& names,
                                     const std::vector<std::string>& found) {
    std::vector<std::string> pairs;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::string unnamed = DefaultClassName(static_cast<int>(i));
      if (names[i] == found[i] || names[i] == unnamed || found[i] == unnamed) continue;
      pairs.push_back(absl::StrCat("'", found[i], "' for '", names[i], "'"));
    }
    if (pairs.empty()) return "";
    const bool more = pairs.size() > kNamedClasses;
    if (more) pairs.resize(kNamedClasses);
    return absl::StrCat("; classes go by their position: ", absl::StrJoin(pairs, ", "),
                        more ? " and more" : "",
                        "; where that is wrong, call the data's classes by the base model's names "
                        "(--class-names)");
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

class RestartStage : public Stage {
 public:
  explicit RestartStage(std::string name) : name_(std::move(name)) {}

  v1::StageKind kind() const override { return v1::STAGE_KIND_RESTART; }
  std::string name() const override { return name_; }
  double Cost(const PipelineState& state) const override { return 100; }
  bool skipped_on_resume() const override { return true; }

  absl::StatusOr<StageOutcome> Run(PipelineState& state, StageContext& context) override {
    CYTOPRESS_ASSIGN_OR_RETURN(const Artifact artifact, ReadParent(state));
    CYTOPRESS_RETURN_IF_ERROR(TakeWeights(artifact, state));
    state.masks.clear();
    StageOutcome outcome;
    outcome.score = state.dense;
    outcome.note = absl::StrCat("from ", state.parent, " again");
    return outcome;
  }

 private:
  const std::string name_;
};

}  // namespace

std::unique_ptr<Stage> MakeLoadStage() { return std::make_unique<LoadStage>(); }

std::unique_ptr<Stage> MakeRestartStage(const std::string& name) {
  return std::make_unique<RestartStage>(name);
}

}  // namespace cytopress
