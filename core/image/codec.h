// The two image formats behind DecodeImage and ReadImageSize, and the JPEG encoder that
// preprocessing needs.
#ifndef CYTOPRESS_CORE_IMAGE_CODEC_H_
#define CYTOPRESS_CORE_IMAGE_CODEC_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/image/image.h"

namespace cytopress {

// INVALID_ARGUMENT unless the sides are positive, channels are 1 or 3, and there are
// width * height * channels pixels.
absl::Status CheckImage(const Image& image);

// OUT_OF_RANGE when an image of this size is over the limits.
absl::Status CheckLimits(int64_t width, int64_t height, const DecodeLimits& limits);

absl::StatusOr<Image> DecodePng(absl::string_view bytes, const DecodeLimits& limits);
absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, const DecodeLimits& limits);

absl::StatusOr<ImageSize> ReadPngSize(absl::string_view bytes);
absl::StatusOr<ImageSize> ReadJpegSize(absl::string_view bytes);

// Baseline, 4:2:0, standard tables scaled to `quality` (1 to 100). REQUIRES: CheckImage is OK.
absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_IMAGE_CODEC_H_
