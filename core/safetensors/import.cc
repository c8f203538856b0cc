#include "core/safetensors/import.h"

#include <cstddef>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/sha256.h"
#include "core/base/status_macros.h"
#include "core/dataset/class_names.h"
#include "core/safetensors/safetensors.h"
#include "core/safetensors/state_dict.h"

namespace cytopress {
namespace {

// One value a channel.
absl::StatusOr<std::vector<float>> OfChannels(std::vector<float> values, int channels,
                                              absl::string_view field) {
  if (values.size() == 1) values.resize(channels, values[0]);
  if (static_cast<int>(values.size()) == channels) return values;
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", values.size(), " values for ",
                                                 channels,
                                                 " channels; give one of each, or one for all"));
}

// Others could not be meant by their names (recipes, data sets), or no file may hold them.
absl::Status CheckClassNames(const std::vector<std::string>& names) {
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string& name = names[i];
    std::string wrong;
    if (name.empty()) {
      wrong = "is empty; give every class a name";
    } else if (name.size() > kMaxClassNameBytes) {
      wrong = absl::StrCat("is ", name.size(), " bytes long; at most ", kMaxClassNameBytes,
                           ": give a shorter name");
    } else if (!seen.insert(name).second) {
      wrong = absl::StrCat("\"", name, "\" is there twice; names must differ");
    }
    if (!wrong.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("class_names[", i, "]: ", wrong));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Artifact> ImportSafetensors(absl::string_view bytes, const ImportOptions& options) {
  CYTOPRESS_RETURN_IF_ERROR(CheckClassNames(options.class_names));
  CYTOPRESS_ASSIGN_OR_RETURN(TensorMap tensors, ReadSafetensors(bytes));
  CYTOPRESS_ASSIGN_OR_RETURN(RecognizedNetwork recognized,
                             RecognizeNetwork(std::move(tensors), options.stem));
  Artifact artifact;
  artifact.network = recognized.spec;
  artifact.network.input_height = options.preprocessing.height;
  artifact.network.input_width = options.preprocessing.width;
  artifact.preprocessing = options.preprocessing;
  Preprocessing& preprocessing = artifact.preprocessing;
  preprocessing.channels = artifact.network.input_channels;
  CYTOPRESS_ASSIGN_OR_RETURN(preprocessing.mean, OfChannels(std::move(preprocessing.mean),
                                                            preprocessing.channels, "mean"));
  CYTOPRESS_ASSIGN_OR_RETURN(preprocessing.stddev, OfChannels(std::move(preprocessing.stddev),
                                                              preprocessing.channels, "stddev"));
  artifact.class_names = options.class_names;
  for (int i = 0; options.class_names.empty() && i < artifact.network.classes; ++i) {
    artifact.class_names.push_back(DefaultClassName(i));
  }
  artifact.weights = v1::WEIGHT_TYPE_FP32;
  for (auto& [name, tensor] : recognized.tensors) {
    StoredTensor& stored = artifact.tensors[name];
    stored.shape = std::move(tensor.shape);
    stored.floats = std::move(tensor.values);
  }
  artifact.provenance.set_imported_from(
      absl::StrCat(options.source, ", SHA-256 ", Sha256Hex(bytes)));
  artifact.provenance.mutable_created()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  return artifact;
}

}  // namespace cytopress
