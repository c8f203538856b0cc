// Protobuf messages to plain structs and back.

#include "absl/strings/str_cat.h"
#include "core/artifact/artifact.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

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

}  // namespace

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
  switch (message.stem()) {
    case v1::STEM_UNSPECIFIED:
    case v1::STEM_IMAGENET:
      spec.stem = Stem::kImagenet;
      break;
    case v1::STEM_CIFAR:
      spec.stem = Stem::kCifar;
      break;
    case v1::STEM_STRIDE2:
      spec.stem = Stem::kStride2;
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("network.stem: ", message.stem(), " is not a known stem"));
  }
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

}  // namespace cytopress
