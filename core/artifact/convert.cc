// Protobuf messages to plain structs and back.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/status_macros.h"

namespace cytopress {
v1::Stem ToProto(Stem stem) {
  switch (stem) {
    case Stem::kImagenet:
      return v1::STEM_IMAGENET;
    case Stem::kCifar:
      return v1::STEM_CIFAR;
    case Stem::kStride2:
      return v1::STEM_STRIDE2;
  }
  return v1::STEM_UNSPECIFIED;
}

absl::StatusOr<Stem> FromProto(v1::Stem stem) {
  switch (stem) {
    case v1::STEM_UNSPECIFIED:
    case v1::STEM_IMAGENET:
      return Stem::kImagenet;
    case v1::STEM_CIFAR:
      return Stem::kCifar;
    case v1::STEM_STRIDE2:
      return Stem::kStride2;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("network.stem: ", static_cast<int>(stem), " is not a known stem"));
  }
}

v1::NetworkSpec ToProto(const NetworkSpec& spec) {
  v1::NetworkSpec message;
  message.set_architecture(spec.architecture);
  message.set_stem(ToProto(spec.stem));
  message.set_classes(spec.classes);
  message.set_input_channels(spec.input_channels);
  message.set_input_height(spec.input_height);
  message.set_input_width(spec.input_width);
  return message;
}

absl::StatusOr<NetworkSpec> FromProto(const v1::NetworkSpec& message) {
  NetworkSpec spec;
  if (!message.architecture().empty()) spec.architecture = message.architecture();
  CYTOPRESS_ASSIGN_OR_RETURN(spec.stem, FromProto(message.stem()));
  spec.classes = message.classes();
  spec.input_channels = message.input_channels();
  spec.input_height = message.input_height();
  spec.input_width = message.input_width();
  return spec;
}

v1::Preprocessing ToProto(const Preprocessing& preprocessing) {
  v1::Preprocessing message;
  message.set_center_crop(preprocessing.center_crop);
  message.set_width(preprocessing.width);
  message.set_height(preprocessing.height);
  message.set_channels(preprocessing.channels);
  message.set_jpeg_quality(preprocessing.jpeg_quality);
  for (float mean : preprocessing.mean) message.add_mean(mean);
  for (float stddev : preprocessing.stddev) message.add_stddev(stddev);
  return message;
}

Preprocessing FromProto(const v1::Preprocessing& message) {
  Preprocessing preprocessing;
  preprocessing.center_crop = message.center_crop();
  preprocessing.width = message.width();
  preprocessing.height = message.height();
  preprocessing.channels = message.channels();
  preprocessing.jpeg_quality = message.jpeg_quality();
  preprocessing.mean.assign(message.mean().begin(), message.mean().end());
  preprocessing.stddev.assign(message.stddev().begin(), message.stddev().end());
  return preprocessing;
}

v1::Evaluation ToProto(const Evaluation& evaluation, const std::string& split,
                       const std::string& engine) {
  v1::Evaluation message;
  message.set_split(split);
  message.set_images(evaluation.images);
  message.set_accuracy(evaluation.accuracy);
  message.set_auc(evaluation.auc);
  message.set_accuracy_low(evaluation.accuracy_interval.low);
  message.set_accuracy_high(evaluation.accuracy_interval.high);
  message.set_expected_calibration_error(evaluation.expected_calibration_error);
  for (const double recall : evaluation.class_recall) message.add_class_recall(recall);
  for (const int64_t count : evaluation.confusion) message.add_confusion(count);
  message.set_engine(engine);
  std::string bits((evaluation.right.size() + 7) / 8, '\0');
  for (size_t i = 0; i < evaluation.right.size(); ++i) {
    if (evaluation.right[i]) bits[i / 8] |= static_cast<char>(1 << (i % 8));
  }
  message.set_right(std::move(bits));
  return message;
}

std::vector<bool> RightOf(const v1::Evaluation& evaluation) {
  std::vector<bool> right(evaluation.images());
  for (size_t i = 0; i < right.size() && i / 8 < evaluation.right().size(); ++i) {
    right[i] = (evaluation.right()[i / 8] >> (i % 8)) & 1;
  }
  return right;
}

}  // namespace cytopress
