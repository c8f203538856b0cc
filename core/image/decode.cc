#include <new>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/image/codec.h"

namespace cytopress {
namespace {

constexpr absl::string_view kPngStart("\x89PNG\r\n\x1a\n", 8);
constexpr absl::string_view kJpegStart("\xff\xd8\xff", 3);

}  // namespace

absl::Status CheckImage(const Image& image) {
  if (image.width <= 0 || image.height <= 0 || (image.channels != 1 && image.channels != 3)) {
    return absl::InvalidArgumentError(
        absl::StrCat("an image of ", image.width, " x ", image.height, " pixels with ",
                     image.channels, " channels; needed are positive sides and 1 or 3 channels"));
  }
  // Sides up to 2^31 - 1 and 3 channels fit 64 bits unsigned.
  const uint64_t bytes = uint64_t{static_cast<uint32_t>(image.width)} *
                         static_cast<uint32_t>(image.height) * image.channels;
  if (image.pixels.size() != bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("an image of ", image.width, " x ", image.height, " x ", image.channels,
                     " needs ", bytes, " bytes of pixels, but there are ", image.pixels.size()));
  }
  return absl::OkStatus();
}

absl::Status CheckLimits(int64_t width, int64_t height, const DecodeLimits& limits) {
  // Formats allow sides below 2^32, so the product could overflow; a division cannot.
  if (width < 1 || height < 1) return absl::InvalidArgumentError("the image has no pixels");
  if (width > limits.max_pixels / height) {
    return absl::OutOfRangeError(absl::StrCat("the image is ", width, " x ", height,
                                              " pixels; at most ", limits.max_pixels,
                                              " pixels are decoded"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeLimits& limits) try {
  if (absl::StartsWith(bytes, kPngStart)) return DecodePng(bytes, limits);
  if (absl::StartsWith(bytes, kJpegStart)) return DecodeJpeg(bytes, limits);
  if (bytes.empty()) return absl::InvalidArgumentError("the image is empty (0 bytes)");
  return absl::InvalidArgumentError(absl::StrCat("neither PNG nor JPEG: ", bytes.size(),
                                                 " bytes that begin with \"",
                                                 absl::CHexEscape(bytes.substr(0, 8)), "\""));
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to decode the image");
}

}  // namespace cytopress
