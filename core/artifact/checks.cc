#include "core/artifact/checks.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "core/artifact/tensor_codec.h"
#include "core/artifact/weight_type.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

constexpr float kFloat16Overflow = 65520.0f;  // rounds to infinity

bool IsPositive(float value) { return std::isnormal(value) && value > 0; }

absl::Status CheckClassNames(const std::vector<std::string>& names, int classes) {
  if (static_cast<int>(names.size()) != classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("class_names: ", names.size(), " names for ", classes, " classes"));
  }
  std::set<absl::string_view> seen;
  for (size_t i = 0; i < names.size(); ++i) {
    std::string wrong;
    if (names[i].empty()) {
      wrong = "is empty; give every class a name";
    } else if (names[i].size() > kMaxClassNameBytes) {
      wrong = absl::StrCat("is ", names[i].size(), " bytes long; at most ", kMaxClassNameBytes,
                           ": give a shorter name");
    } else if (!seen.insert(names[i]).second) {
      wrong = absl::StrCat("\"", names[i], "\" is there twice; names must differ");
    }
    if (!wrong.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("class_names[", i, "]: ", wrong));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPreprocessing(const Preprocessing& preprocessing, const NetworkSpec& network) {
  if (preprocessing.width != network.input_width || preprocessing.height != network.input_height ||
      preprocessing.channels != network.input_channels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "preprocessing: its result is ", preprocessing.width, "x", preprocessing.height, "x",
        preprocessing.channels, "; the network takes ", network.input_width, "x",
        network.input_height, "x", network.input_channels, " (width x height x channels)"));
  }
  const auto channels = static_cast<size_t>(preprocessing.channels);
  if (preprocessing.mean.size() != channels || preprocessing.stddev.size() != channels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "preprocessing: ", preprocessing.mean.size(), " means and ", preprocessing.stddev.size(),
        " standard deviations; give one of each for ", channels, " channels"));
  }
  for (size_t c = 0; c < channels; ++c) {
    if (!std::isfinite(preprocessing.mean[c]) || !IsPositive(preprocessing.stddev[c])) {
      return absl::InvalidArgumentError(absl::StrCat(
          "preprocessing: mean ", preprocessing.mean[c], " and standard deviation ",
          preprocessing.stddev[c], " of channel ", c, " are not a number and a positive number"));
    }
  }
  if (preprocessing.center_crop < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing.center_crop: ", preprocessing.center_crop,
                     " is negative; 0 is the largest part of the input's shape"));
  }
  if (preprocessing.jpeg_quality < 0 || preprocessing.jpeg_quality > 100) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing.jpeg_quality: ", preprocessing.jpeg_quality,
                     " is not within 0 (none) to 100"));
  }
  return absl::OkStatus();
}

absl::Status CheckRanges(const std::map<std::string, float>& ranges, const Network& network) {
  std::set<std::string> layers;
  for (const Layer& layer : network.layers) layers.insert(layer.name);
  for (const auto& [layer, range] : ranges) {
    if (layers.count(layer) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("activation_ranges: the network has no layer '", layer, "'"));
    }
    if (!IsPositive(range)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "activation_ranges: ", range, " of the layer '", layer, "' is not a positive number"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckEvaluation(const std::string& field, const v1::Evaluation& evaluation,
                             int classes) {
  const int recalls = evaluation.class_recall_size();
  const int64_t cells = evaluation.confusion_size();
  if ((recalls != 0 && recalls != classes) || (cells != 0 && cells != int64_t{classes} * classes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": '", evaluation.split(), "' has ", recalls, " recalls and ", cells,
                     " cells of a confusion matrix; the network has ", classes, " classes"));
  }
  const int64_t images = evaluation.images();
  const auto bytes = static_cast<int64_t>(evaluation.right().size());
  if (images < 0 || (bytes != 0 && bytes != images / 8 + (images % 8 != 0 ? 1 : 0))) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": '", evaluation.split(), "' has ",
                                                   bytes, " bytes of answers to ", images,
                                                   " images"));
  }
  return absl::OkStatus();
}

// A time, a rate or a number of something.
absl::Status CheckMeasured(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": ", value, " is no finite number of at least 0 (unknown)"));
}

absl::Status CheckShare(absl::string_view field, double value) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", value, " is not within 0 to 1"));
}

absl::Status CheckCertificate(const v1::Certificate& certificate, int classes) {
  CYTOPRESS_RETURN_IF_ERROR(
      CheckEvaluation("certificate.parent_test", certificate.parent_test(), classes));
  CYTOPRESS_RETURN_IF_ERROR(
      CheckEvaluation("certificate.weights_only_test", certificate.weights_only_test(), classes));
  CYTOPRESS_RETURN_IF_ERROR(CheckMeasured("certificate.only_parent_right",
                                          static_cast<double>(certificate.only_parent_right())));
  CYTOPRESS_RETURN_IF_ERROR(CheckMeasured("certificate.only_model_right",
                                          static_cast<double>(certificate.only_model_right())));
  CYTOPRESS_RETURN_IF_ERROR(
      CheckShare("certificate.mcnemar_p_value", certificate.mcnemar_p_value()));
  CYTOPRESS_RETURN_IF_ERROR(CheckShare("certificate.lowest_recall", certificate.lowest_recall()));
  return CheckMeasured("certificate.latency_seconds", certificate.latency_seconds());
}

absl::Status CheckLedger(const std::vector<v1::LedgerEntry>& ledger) {
  for (size_t i = 0; i < ledger.size(); ++i) {
    const v1::LedgerEntry& line = ledger[i];
    for (const auto& [name, value] : {std::pair<const char*, double>{"seconds", line.seconds()},
                                      {"images_per_second", line.images_per_second()},
                                      {"dense_bytes", static_cast<double>(line.dense_bytes())},
                                      {"packed_bytes", static_cast<double>(line.packed_bytes())},
                                      {"disk_bytes", static_cast<double>(line.disk_bytes())}}) {
      CYTOPRESS_RETURN_IF_ERROR(CheckMeasured(absl::StrCat("ledger[", i, "].", name), value));
    }
  }
  return absl::OkStatus();
}

// JSON has no other times.
absl::Status CheckTime(const google::protobuf::Timestamp& time) {
  using google::protobuf::util::TimeUtil;
  if (time.seconds() < TimeUtil::kTimestampMinSeconds ||
      time.seconds() > TimeUtil::kTimestampMaxSeconds || time.nanos() < 0 ||
      time.nanos() > 999999999) {
    return absl::InvalidArgumentError(absl::StrCat("provenance.created: ", time.seconds(),
                                                   " s and ", time.nanos(),
                                                   " ns are not between the years 1 and 9999"));
  }
  return absl::OkStatus();
}

// The shapes that a network's tensors have, by name.
TensorShapes KnownShapes(const Network& network) {
  TensorShapes shapes;
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() == 0) continue;
    std::vector<int64_t> weight = {layer.out_channels, layer.in_channels};
    if (layer.op == Op::kConv) weight.insert(weight.end(), {layer.kernel, layer.kernel});
    const std::vector<int64_t> channels = {layer.out_channels};
    shapes[layer.name + ".weight"] = weight;
    shapes[layer.name + ".bias"] = channels;
    if (layer.batch_norm.empty()) continue;
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
      shapes[layer.batch_norm + part] = channels;
    }
  }
  return shapes;
}

absl::Status CheckLayer(const Layer& layer, const TensorShapes& tensors) {
  const auto has = [&](const std::string& name) { return tensors.count(name) != 0; };
  if (!has(layer.name + ".weight")) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensor ", layer.name, ".weight is missing"));
  }
  int norm_parts = 0;
  if (!layer.batch_norm.empty()) {
    for (const char* part : {".weight", ".bias", ".running_mean", ".running_var"}) {
      norm_parts += has(layer.batch_norm + part) ? 1 : 0;
    }
  }
  const bool folded = has(layer.name + ".bias");
  if (norm_parts != (folded ? 0 : 4)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the layer ", layer.name, " has ", folded ? "a" : "no", " bias and ",
                     norm_parts, " of 4 batch-norm tensors; it needs a bias or a batch norm"));
  }
  return absl::OkStatus();
}

bool Fits(Encoding encoding, size_t dimensions, v1::WeightType weights) {
  switch (encoding) {
    case Encoding::kFloat32:
      return true;
    case Encoding::kFloat16:
      return weights != v1::WEIGHT_TYPE_FP32;
    case Encoding::kInt8:
      return dimensions > 1 && IsInteger(weights);
    case Encoding::kInt4:
      return dimensions > 1 && weights == v1::WEIGHT_TYPE_INT4;
  }
  return false;
}

absl::Status CheckFloats(const std::string& name, const StoredTensor& tensor) {
  const bool half = tensor.encoding == Encoding::kFloat16;
  const bool variance = absl::EndsWith(name, ".running_var");
  for (const float value : tensor.floats) {
    const bool fits = half ? std::fabs(value) < kFloat16Overflow : std::isfinite(value);
    if (!fits || (variance && value < 0)) {
      return absl::InvalidArgumentError(absl::StrCat("the tensor ", name, " holds ", value,
                                                     ", which ",
                                                     fits   ? "is no variance"
                                                     : half ? "FP16 cannot hold"
                                                            : "is not a finite number"));
    }
  }
  return absl::OkStatus();
}

// That the integers are what 4 bits and their group's multiplier make.
absl::Status CheckGroups(const std::string& name, const StoredTensor& tensor) {
  const int64_t channel = tensor.count() / tensor.shape[0];
  const int64_t groups = GroupsOfChannel(tensor.shape, tensor.group_size);
  if (tensor.encoding != Encoding::kInt4 ||
      static_cast<int64_t>(tensor.multipliers.size()) != tensor.shape[0] * groups) {
    return absl::InvalidArgumentError(
        absl::StrCat("the tensor ", name, " has ", tensor.multipliers.size(),
                     " multipliers of groups of ", tensor.group_size,
                     "; only INT4 tensors have such groups, and each of them one multiplier"));
  }
  int64_t i = 0;
  for (int64_t group = 0; group < tensor.shape[0] * groups; ++group) {
    const int multiplier = tensor.multipliers[group];
    const int64_t left_of_channel = (group / groups + 1) * channel - i;
    const int64_t end = i + std::min(tensor.group_size, left_of_channel);
    for (; i < end; ++i) {
      const int integer = tensor.integers[i];
      if (multiplier < 1 || multiplier > kMostGroupMultiplier || integer % multiplier != 0 ||
          std::abs(integer / multiplier) > 7) {
        return absl::InvalidArgumentError(absl::StrCat("the tensor ", name, " holds ", integer,
                                                       " in a group with the multiplier ",
                                                       multiplier));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckIntegers(const std::string& name, const StoredTensor& tensor) {
  if (tensor.group_size > 0) CYTOPRESS_RETURN_IF_ERROR(CheckGroups(name, tensor));
  const int largest = tensor.encoding == Encoding::kInt4 && tensor.group_size == 0 ? 7 : 127;
  for (const int value : tensor.integers) {
    if (value < -largest || value > largest) {
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor ", name, " holds ", value, "; its integers end at +-", largest));
    }
  }
  for (const float scale : tensor.scales) {
    if (!std::isfinite(scale)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor ", name, " has the scale ", scale, ", not a finite number"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckMetadata(const Artifact& artifact, const Network& network) {
  const int classes = network.spec.classes;
  CYTOPRESS_RETURN_IF_ERROR(CheckClassNames(artifact.class_names, classes));
  if (!v1::WeightType_IsValid(artifact.weights) ||
      artifact.weights == v1::WEIGHT_TYPE_UNSPECIFIED) {
    return absl::InvalidArgumentError(
        absl::StrCat("weights: the weight type ", artifact.weights, " is not one of a file"));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckPreprocessing(artifact.preprocessing, network.spec));
  CYTOPRESS_RETURN_IF_ERROR(CheckRanges(artifact.activation_ranges, network));
  for (const v1::Evaluation& evaluation : artifact.evaluations) {
    CYTOPRESS_RETURN_IF_ERROR(CheckEvaluation("evaluations", evaluation, classes));
  }
  if (artifact.certificate) {
    CYTOPRESS_RETURN_IF_ERROR(CheckCertificate(*artifact.certificate, classes));
  }
  CYTOPRESS_RETURN_IF_ERROR(CheckLedger(artifact.ledger));
  CYTOPRESS_RETURN_IF_ERROR(CheckTime(artifact.provenance.created()));
  return absl::OkStatus();
}

absl::Status CheckShapes(const TensorShapes& tensors, const Network& network) {
  const TensorShapes known = KnownShapes(network);
  for (const auto& [name, shape] : tensors) {
    const auto it = known.find(name);
    if (it == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("the network has no tensor ", name));
    }
    if (it->second != shape) {
      return absl::InvalidArgumentError(
          absl::StrCat("the tensor ", name, " has the shape [", absl::StrJoin(shape, ", "),
                       "]; the network has [", absl::StrJoin(it->second, ", "), "]"));
    }
  }
  for (const Layer& layer : network.layers) {
    if (layer.weight_count() > 0) CYTOPRESS_RETURN_IF_ERROR(CheckLayer(layer, tensors));
  }
  return absl::OkStatus();
}

absl::Status CheckTensor(const std::string& name, const StoredTensor& tensor,
                         v1::WeightType weights) {
  const auto count = static_cast<size_t>(tensor.count());
  const bool integer = IsInteger(tensor.encoding);
  if (!Fits(tensor.encoding, tensor.shape.size(), weights)) {
    return absl::InvalidArgumentError(absl::StrCat("the tensor ", name,
                                                   " has an encoding that a file with ",
                                                   v1::WeightType_Name(weights), " does not have"));
  }
  if (tensor.integers.size() != (integer ? count : 0) ||
      tensor.floats.size() != (integer ? 0 : count) ||
      tensor.scales.size() != static_cast<size_t>(integer ? tensor.shape[0] : 0)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the tensor ", name, " has ", tensor.floats.size(), " floats, ", tensor.integers.size(),
        " integers and ", tensor.scales.size(), " scales, which do not fit its shape [",
        absl::StrJoin(tensor.shape, ", "), "] and encoding"));
  }
  return integer ? CheckIntegers(name, tensor) : CheckFloats(name, tensor);
}

absl::Status CheckArtifact(const Artifact& artifact, const Network& network) {
  CYTOPRESS_RETURN_IF_ERROR(CheckMetadata(artifact, network));
  TensorShapes shapes;
  for (const auto& [name, tensor] : artifact.tensors) shapes[name] = tensor.shape;
  CYTOPRESS_RETURN_IF_ERROR(CheckShapes(shapes, network));
  for (const auto& [name, tensor] : artifact.tensors) {
    CYTOPRESS_RETURN_IF_ERROR(CheckTensor(name, tensor, artifact.weights));
  }
  return absl::OkStatus();
}

}  // namespace cytopress
