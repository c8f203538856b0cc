#include "core/pipeline/base_model.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/compression/batch_norm.h"
#include "core/compression/encoding.h"
#include "core/compression/scoring.h"
#include "core/dataset/class_names.h"
#include "core/network/network.h"
#include "core/pipeline/network_steps.h"
#include "core/pipeline/publishing.h"

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

// Where the job was told no names, those that the base model's job was told for the same data;
// else, where the data have none of their own, those of the base model.
void NameClasses(const Artifact& artifact, PipelineState& state) {
  Dataset& dataset = state.dataset;
  const bool nameless = AreDefaultNames(dataset.class_names);
  const auto& told = artifact.provenance.spec().dataset().class_names();
  const bool same_data = artifact.provenance.dataset_hash() == dataset.content_hash;
  if ((nameless || state.told_names.empty()) && same_data && told.size() == dataset.classes()) {
    state.told_names.assign(told.begin(), told.end());
    dataset.class_names = state.told_names;
  } else if (nameless) {
    dataset.class_names = artifact.class_names;
  }
}

// As many as a message has room for.
std::string JoinFew(std::vector<std::string> texts) {
  const bool more = texts.size() > kNamedClasses;
  if (more) texts.resize(kNamedClasses);
  return absl::StrCat(absl::StrJoin(texts, ", "), more ? " and more" : "");
}

// Where not all classes are found by their names: INVALID_ARGUMENT if one of them would be taken
// for another than its name says.
absl::Status CheckPositions(const std::vector<std::string>& names, const PipelineState& state) {
  const Dataset& dataset = state.dataset;
  std::string moved;
  std::set<int> found;
  for (int i = 0; i < dataset.classes(); ++i) {
    const std::string& name = dataset.class_names[i];
    const std::optional<int> place = FindClassName(name, names);
    if (!place) continue;
    found.insert(*place);
    if (*place == i || !moved.empty()) continue;
    moved = absl::StrCat("'", name, "' is class ", i, " of ", dataset.name, " and class ", *place,
                         " of ", state.parent.name);
  }
  if (moved.empty()) return absl::OkStatus();
  std::vector<std::string> missing;
  for (int i = 0; i < static_cast<int>(names.size()); ++i) {
    if (found.count(i) == 0) missing.push_back(absl::StrCat("'", names[i], "'"));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "dataset.class_names: ", moved,
      ", so that classes cannot go by their position; nor can they by their names, as the data "
      "have no ",
      JoinFew(std::move(missing)), "; name the data's classes as ", state.parent.name,
      " does, in the order of their labels (--class-names)"));
}

// Numbers and spells the data set's classes as the base model does, whose answers are numbers,
// where both have the same, spelled in whatever way. Others go by their position, if no name
// contradicts that.
absl::Status TakeOrderOf(const std::vector<std::string>& names, PipelineState& state) {
  Dataset& dataset = state.dataset;
  if (names == dataset.class_names) return absl::OkStatus();
  const std::optional<std::vector<int>> number_of = MatchClassNames(dataset.class_names, names);
  if (!number_of) return CheckPositions(names, state);
  for (Split* split : dataset.splits()) {
    for (int& label : split->labels) label = (*number_of)[label];
  }
  dataset.class_names = names;
  return absl::OkStatus();
}

// As it is served: what is made from it will be compared as a file, too.
absl::StatusOr<Score> ScoreOfFile(const Artifact& artifact, const PipelineState& state) {
  const v1::Evaluation* const stored =
      StoredEvaluation(artifact, state.dataset, state.told_names, "val");
  if (stored != nullptr) return ScoreOf(*stored);
  CYTOPRESS_ASSIGN_OR_RETURN(
      const v1::Evaluation evaluation,
      EvaluateArtifact(artifact, state.dataset, "val", {at::get_num_threads()},
                       [&](double) { return CheckStop(state); }));
  return ScoreOf(evaluation);
}

// Classes of other names go by their position. Those without a name of their own have no other.
std::string RemarkOnClasses(const std::vector<std::string>& names,
                            const std::vector<std::string>& found) {
  std::vector<std::string> pairs;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string unnamed = DefaultClassName(static_cast<int>(i));
    if (names[i] == found[i] || names[i] == unnamed || found[i] == unnamed) continue;
    if (FindClassName(found[i], names) == static_cast<int>(i)) continue;
    pairs.push_back(absl::StrCat("'", found[i], "' for '", names[i], "'"));
  }
  if (pairs.empty()) return "";
  return absl::StrCat("; classes go by their position: ", JoinFew(std::move(pairs)),
                      "; where that is wrong, call the data's classes by the base model's names "
                      "(--class-names)");
}

// Training may go on with other data; but a folder that has changed can hold the base model's
// training images in its test split, and its classes may be called otherwise.
std::optional<Finding> RemarkOnData(const Artifact& artifact, const PipelineState& state) {
  const std::string& hash = artifact.provenance.dataset_hash();
  const std::string classes = RemarkOnClasses(artifact.class_names, state.dataset.class_names);
  const bool same = hash == state.dataset.content_hash;
  if ((same || hash.empty()) && classes.empty()) return std::nullopt;
  std::string text;
  if (hash.empty()) {
    text = absl::StrCat(state.parent.name, " does not say what data it was made from");
  } else if (same) {
    text = absl::StrCat("the data that ", state.parent.name, " was made from, by other names");
  } else {
    text = absl::StrCat(
        "other data: ", state.parent.name, " was made from ", artifact.provenance.dataset_name(),
        " ", hash.substr(0, kHashDigits), ", these are ", state.dataset.name, " ",
        state.dataset.content_hash.substr(0, kHashDigits),
        "; where they share images with its training images, test figures are too good");
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
        state.parent.name, network.input_height, network.input_width, network.input_channels,
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
  CYTOPRESS_RETURN_IF_ERROR(TakeOrderOf(artifact.class_names, state));
  // Its weights know images normalized in its way, and what is made of it is served in that way.
  state.dataset.preprocessing = artifact.preprocessing;
  CYTOPRESS_ASSIGN_OR_RETURN(state.parent.score, ScoreOfFile(artifact, state));
  CYTOPRESS_ASSIGN_OR_RETURN(const Network parent, BuildNetwork(artifact.network));
  if (state.spec.network().stem() != v1::STEM_UNSPECIFIED) {
    CYTOPRESS_ASSIGN_OR_RETURN(artifact.network.stem, FromProto(state.spec.network().stem()));
  }
  CYTOPRESS_ASSIGN_OR_RETURN(Network network, BuildNetwork(artifact.network));
  state.parent.macs_ratio = static_cast<double>(Macs(parent)) / static_cast<double>(Macs(network));
  state.network =
      std::make_unique<TorchNetwork>(std::move(network), state.device, state.spec.recipe().seed());
  CYTOPRESS_RETURN_IF_ERROR(TakeWeights(artifact, state));
  state.base_sparsity = SparsityBeforeRounding(artifact.ledger);
  return RemarkOnData(artifact, state);
}

}  // namespace cytopress
