// Decoding what a client sends and preparing it for a network.
#ifndef CYTOPRESS_CORE_IMAGE_IMAGE_H_
#define CYTOPRESS_CORE_IMAGE_IMAGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cytopress {

// uint8, row-major, channels interleaved (HWC): pixels[(y * width + x) * channels + c].
struct Image {
  int width = 0;
  int height = 0;
  int channels = 3;  // 1 = gray, 3 = RGB
  std::vector<uint8_t> pixels;
};

struct ImageSize {
  int width = 0;
  int height = 0;
};

struct DecodeLimits {
  int64_t max_pixels = int64_t{64} << 20;  // width * height, checked before memory is taken
};

// A PNG (libspng) or JPEG (libjpeg-turbo), told apart by its first bytes. Gray stays gray; palette,
// 16 bits and transparency become 8-bit RGB: alpha is dropped, so that a transparent pixel has the
// colour that is stored with it; CMYK JPEG is refused. The orientation that EXIF states is ignored.
// INVALID_ARGUMENT says what is wrong with the bytes; OUT_OF_RANGE when over the limits,
// RESOURCE_EXHAUSTED without the memory for it.
// Never crashes on hostile input. Thread-safe.
absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeLimits& limits = {});

// Of a PNG or JPEG, from its header alone; what follows may be damaged. Errors are those of
// DecodeImage, without limits.
absl::StatusOr<ImageSize> ReadImageSize(absl::string_view bytes);

// PNG bytes of an image; for tests and tools.
absl::StatusOr<std::string> EncodePng(const Image& image);

// How a decoded image becomes the network's input, in this order.
struct Preprocessing {
  // Side in pixels of the square cut from the centre; a smaller side of the image bounds it. 0 =
  // the largest rectangle of the shape of width x height, so that what it shows is not distorted.
  // Half a pixel of margin is rounded to even (81.5 to 82, 84.5 to 84). An image that already is
  // width x height is not cut, scaled or re-encoded.
  int center_crop = 0;
  int width = 28;
  int height = 28;
  int channels = 3;
  int jpeg_quality = 0;  // one JPEG round trip (4:2:0) after scaling; 0 = none
  std::vector<float> mean = {0.5f, 0.5f, 0.5f};  // value = (pixel / 255 - mean) / stddev
  std::vector<float> stddev = {0.5f, 0.5f, 0.5f};
};

// Cuts, scales and converts to the wanted channels (gray -> RGB by copying, RGB -> gray by ITU-R
// BT.601 luma); the result is width x height x channels. Scaling is bilinear with antialiasing,
// equal to Pillow's `resize(BILINEAR)` bit for bit. Normalization is left to the engine.
// Thread-safe.
absl::StatusOr<Image> Preprocess(const Image& image, const Preprocessing& preprocessing);

// Pillow's antialiased bilinear resize: separable triangle filter whose support grows with the
// reduction, 8-bit fixed-point coefficients, horizontal pass first.
Image ResizeBilinear(const Image& image, int width, int height);

}  // namespace cytopress

#endif  // CYTOPRESS_CORE_IMAGE_IMAGE_H_
