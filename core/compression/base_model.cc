#include "core/compression/base_model.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/encoding.h"
#include "core/compression/publishing.h"
#include "core/compression/scoring.h"
#include "core/dataset/class_names.h"

namespace cytopress {
namespace {

constexpr size_t kHashDigits = 12;  // enough to tell data sets apart
constexpr size_t kNamedClasses = 4;

bool AreDefaultNames(const std::vector<std::string>& names) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] != DefaultClassName(static_cast<int>(i))) return false;
  }
  return true;
}

// Where the data have none: the names that the base model's job was told for the same data, else
// those of the base model.
void NameClasses(const Artifact& artifact, PipelineState& state) {
  Dataset& dataset = state.dataset;
  if (!AreDefaultNames(dataset.class_names)) return;
  const auto& told = artifact.provenance.spec().dataset().class_names();
  const bool same_data = artifact.provenance.dataset_hash() == dataset.content_hash;
  if (same_data && told.size() == dataset.classes()) {
    state.told_names.assign(told.begin(), told.end());
    dataset.class_names = state.told_names;
  } else {
    dataset.class_names = artifact.class_names;
  }
}

// Numbers the data set's classes as the base model does, where both have the same names in
// another order: its answers are numbers.
void TakeOrderOf(const std::vector<std::string>& names, Dataset& dataset) {
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
absl::StatusOr<Score> ScoreOfFile(const Artifact& artifact, const PipelineState& state) {
  const v1::Evaluation* const stored =
      StoredEvaluation(artifact, state.dataset, state.told_names, "val");
  if (stored != nullptr) return ScoreOf(*stored);
  CYTOPRESS_ASSIGN_OR_RETURN(
      const v1::Evaluation evaluation,
      EvaluateArtifact(artifact, state.dataset, "val", {at::get_num_threads()}));
  return ScoreOf(evaluation);
}

// Classes of other names go by their position. Those without a name of their own have no other.
std::string RemarkOnClasses(const std::vector<std::string>& names,
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

// Training may go on with other data; but a folder that has changed can hold the base model's
// training images in its test split, and its classes may be called otherwise.
std::optional<Finding> RemarkOnData(const Artifact& artifact, const PipelineState& state) {
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

absl::Status CheckFits(const Artifact& artifact, const PipelineState& state) {
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

}  // namespace

std::optional<double> SparsityBeforeRounding(const std::vector<v1::LedgerEntry>& ledger) {
  std::optional<double> sparsity;
  for (const v1::LedgerEntry& line : ledger) {
    switch (line.kind()) {
      case v1::STAGE_KIND_LOAD:
      case v1::STAGE_KIND_TRAIN:
      case v1::STAGE_KIND_RESTART:
      case v1::STAGE_KIND_PRUNE:
      case v1::STAGE_KIND_FINE_TUNE:
        sparsity = line.sparsity();
        break;
      default:
        break;
    }
  }
  return sparsity;
}

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

absl::StatusOr<std::optional<Finding>> LoadBaseModel(PipelineState& state) {
  CYTOPRESS_ASSIGN_OR_RETURN(Artifact artifact, ReadParent(state));
  CYTOPRESS_RETURN_IF_ERROR(CheckFits(artifact, state));
  NameClasses(artifact, state);
  TakeOrderOf(artifact.class_names, state.dataset);
  // Its weights know images normalized in its way, and what is made of it is served in that way.
  state.dataset.preprocessing = artifact.preprocessing;
  CYTOPRESS_ASSIGN_OR_RETURN(state.dense, ScoreOfFile(artifact, state));
  if (state.spec.network().stem() != v1::STEM_UNSPECIFIED) {
    CYTOPRESS_ASSIGN_OR_RETURN(artifact.network.stem, FromProto(state.spec.network().stem()));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
  state.network =
      std::make_unique<TorchNetwork>(std::move(network), state.device, state.spec.recipe().seed());
  CYTOPRESS_RETURN_IF_ERROR(TakeWeights(artifact, state));
  state.base_sparsity = SparsityBeforeRounding(artifact.ledger);
  return RemarkOnData(artifact, state);
}

}  // namespace cytopress
