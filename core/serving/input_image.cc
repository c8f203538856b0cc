#include "core/serving/input_image.h"

#include <algorithm>
#include <new>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/status_macros.h"

namespace cytopress {
namespace {

absl::StatusOr<Image> ToImage(const InputImage& input, const DecodeLimits& limits) try {
  if (!input.raw) return DecodeImage(input.bytes, limits);
  return Image{input.width, input.height, input.channels,
               std::vector<uint8_t>(input.bytes.begin(), input.bytes.end())};
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory for the image");
}

}  // namespace

absl::Status PrepareImage(const InputImage& input, const Preprocessing& preprocessing,
                          const DecodeLimits& limits, uint8_t* pixels) {
  if (input.raw && input.width == preprocessing.width && input.height == preprocessing.height &&
      input.channels == preprocessing.channels) {
    std::copy(input.bytes.begin(), input.bytes.end(), pixels);
    return absl::OkStatus();
  }
  CYTOPRESS_ASSIGN_OR_RETURN(const Image image, ToImage(input, limits));
  CYTOPRESS_ASSIGN_OR_RETURN(const Image prepared, Preprocess(image, preprocessing));
  std::copy(prepared.pixels.begin(), prepared.pixels.end(), pixels);
  return absl::OkStatus();
}

}  // namespace cytopress
