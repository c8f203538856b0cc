// How a job begins.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/amounts.h"
#include "core/base/status_macros.h"
#include "core/compression/pruning.h"
#include "core/compression/sensitivity.h"
#include "core/compression/weight_rounding.h"
#include "core/pipeline/base_model.h"
#include "core/pipeline/publishing.h"
#include "core/pipeline/stages.h"

namespace cytopress {
namespace {

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
      CYTOPRESS_RETURN_IF_ERROR(AddBytesOfParent(state, outcome));
      outcome.score = state.parent.score;
    }
    CYTOPRESS_RETURN_IF_ERROR(CheckLayers(*state.network, state.spec.recipe().prune()));
    CYTOPRESS_RETURN_IF_ERROR(
        CheckLayers(state.network->network(), state.spec.recipe().quantize()));
    CYTOPRESS_RETURN_IF_ERROR(CheckSweep(state));
    CYTOPRESS_RETURN_IF_ERROR(CheckGoal(state));
    outcome.note = note + FinerThanTheSplit(state);
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
      state.parent.name = ToString(model);
      of_folder = FromProto(model.preprocessing());
    }
    CYTOPRESS_ASSIGN_OR_RETURN(state.dataset, LoadDataset(source.uri(), options));
    return CheckSplits(state.dataset);
  }

  // A tolerance below two validation images is decided by one of them.
  static std::string FinerThanTheSplit(const PipelineState& state) {
    constexpr double kFewestImages = 2;
    const double tolerated = state.spec.recipe().max_accuracy_drop();
    const int64_t images = state.dataset.val.size();
    const double needed = tolerated > 0 ? std::ceil(kFewestImages / tolerated - 1e-9) : 0;
    if (static_cast<double>(images) >= needed) return "";
    return absl::StrFormat(
        "; %d validation images cannot show a loss of %g points: %.0f or more can", images,
        100 * tolerated, needed);
  }

  // A sweep of models that are all the same is a mistake.
  static absl::Status CheckSweep(const PipelineState& state) {
    const auto& fixed = state.spec.recipe().prune().layer_sparsity();
    const auto& sparsities = state.spec.sweep().sparsities();
    const auto pruned = std::count_if(sparsities.begin(), sparsities.end(),
                                      [](double sparsity) { return sparsity > 0; });
    if (pruned < 2 || fixed.empty()) return absl::OkStatus();
    for (const Layer& layer : state.network->network().layers) {
      if (IsPrunable(layer) && fixed.count(layer.name) == 0) return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        "recipe.prune.layer_sparsity: gives every layer that is pruned a sparsity, so that "
        "sweep.sparsities would change nothing; leave out the layers that the sweep is to prune, "
        "or compress without a sweep");
  }

  // What no try can reach is refused before anything is trained.
  static absl::Status CheckGoal(const PipelineState& state) {
    const int64_t most = state.spec.goal().max_bytes();
    const auto least = static_cast<int64_t>(
        std::ceil(LeastBytes(state.network->network(), state.spec.recipe().prune())));
    if (most == 0 || most >= least) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrFormat(
        "goal.max_bytes: %d (%s) is out of reach: with every layer as sparse as the search makes "
        "it the file has at least %d bytes (%s); allow more",
        most, ReadableBytes(most), least, ReadableBytes(least)));
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
};

}  // namespace

std::unique_ptr<Stage> MakeLoadStage() { return std::make_unique<LoadStage>(); }

}  // namespace cytopress
