#include "core/safetensors/import.h"

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

// One value a channel, none above 1: Preprocessing has pixels between 0 and 1.
absl::StatusOr<std::vector<float>> OfChannels(std::vector<float> values, int channels,
                                              absl::string_view field) {
  for (const float value : values) {
    if (value >= 0 && value <= 1) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": ", value,
                     " is not within 0 to 1, where pixels are; divide by 255 what is meant for "
                     "pixels of 0 to 255"));
  }
  if (values.size() == 1) values.resize(channels, values[0]);
  if (static_cast<int>(values.size()) == channels) return values;
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", values.size(), " values for ",
                                                 channels,
                                                 " channels; give one of each, or one for all"));
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
