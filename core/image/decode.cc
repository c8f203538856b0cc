#include <new>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/image/codec.h"

namespace cytopress {
namespace {

constexpr absl::string_view kPngStart("\x89PNG\r\n\x1a\n", 8);
constexpr absl::string_view kJpegStart("\xff\xd8\xff", 3);
constexpr absl::string_view kTiffStart("II*\0", 4);
constexpr absl::string_view kBigEndianTiffStart("MM\0*", 4);
constexpr absl::string_view kBmpReserved("\0\0\0\0", 4);  // after "BM" and the file's size

constexpr char kRemedy[] = "; convert it to PNG or JPEG";

// Of a file in the container of ISO/IEC 14496-12, such as a telephone's photograph.
absl::string_view FormatOfBrand(absl::string_view brand) {
  if (brand == "avif" || brand == "avis") return "AVIF";
  for (const absl::string_view heif : {"heic", "heix", "heim", "heis", "mif1", "msf1"}) {
    if (brand == heif) return "HEIC";
  }
  return "";
}

// What cameras and microscopes write besides PNG and JPEG; empty for what is none of it.
absl::string_view OtherFormat(absl::string_view bytes) {
  if (absl::StartsWith(bytes, kTiffStart) || absl::StartsWith(bytes, kBigEndianTiffStart)) {
    return "TIFF";
  }
  if (absl::StartsWith(bytes, "GIF8")) return "GIF";
  if (bytes.size() < 12) return "";
  if (absl::StartsWith(bytes, "BM") && bytes.substr(6, 4) == kBmpReserved) return "BMP";
  if (absl::StartsWith(bytes, "RIFF") && bytes.substr(8, 4) == "WEBP") return "WebP";
  if (bytes.substr(4, 4) == "ftyp") return FormatOfBrand(bytes.substr(8, 4));
  return "";
}

absl::Status NeitherPngNorJpeg(absl::string_view bytes) {
  if (bytes.empty()) return absl::InvalidArgumentError("the image is empty (0 bytes)");
  if (const absl::string_view format = OtherFormat(bytes); !format.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("neither PNG nor JPEG, but ", format, kRemedy));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("neither PNG nor JPEG: ", bytes.size(), " bytes that begin with \"",
                   absl::CHexEscape(bytes.substr(0, 8)), "\"", kRemedy));
}

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
    constexpr double kMegapixel = 1e6;
    return absl::OutOfRangeError(absl::StrFormat(
        "the image is %d x %d pixels, which are %.4g megapixels; at most %.4g are decoded: scale "
        "it down, or cut it",
        width, height, static_cast<double>(width) * static_cast<double>(height) / kMegapixel,
        static_cast<double>(limits.max_pixels) / kMegapixel));
  }
  return absl::OkStatus();
}

absl::StatusOr<Image> DecodeImage(absl::string_view bytes, const DecodeLimits& limits) try {
  if (absl::StartsWith(bytes, kPngStart)) return DecodePng(bytes, limits);
  if (absl::StartsWith(bytes, kJpegStart)) return DecodeJpeg(bytes, limits);
  return NeitherPngNorJpeg(bytes);
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to decode the image");
}

absl::StatusOr<ImageSize> ReadImageSize(absl::string_view bytes) try {
  if (absl::StartsWith(bytes, kPngStart)) return ReadPngSize(bytes);
  if (absl::StartsWith(bytes, kJpegStart)) return ReadJpegSize(bytes);
  return NeitherPngNorJpeg(bytes);
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to read the image's header");
}

}  // namespace cytopress
