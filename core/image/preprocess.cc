#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/image/codec.h"

namespace cytopress {
namespace {

constexpr int kMaxSide = 8192;

absl::Status CheckPreprocessing(const Preprocessing& wanted) {
  if (wanted.width < 1 || wanted.width > kMaxSide || wanted.height < 1 ||
      wanted.height > kMaxSide) {
    return absl::InvalidArgumentError(absl::StrCat("preprocessing to ", wanted.width, " x ",
                                                   wanted.height, "; sides need to be 1 to ",
                                                   kMaxSide));
  }
  if (wanted.channels != 1 && wanted.channels != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("preprocessing to ", wanted.channels, " channels; needed are 1 or 3"));
  }
  if (wanted.center_crop < 0) {
    return absl::InvalidArgumentError(absl::StrCat("preprocessing with a centre crop of ",
                                                   wanted.center_crop, "; needed is 0 or more"));
  }
  if (wanted.jpeg_quality < 0 || wanted.jpeg_quality > 100) {
    return absl::InvalidArgumentError(absl::StrCat("preprocessing with JPEG quality ",
                                                   wanted.jpeg_quality, "; needed is 0 to 100"));
  }
  return absl::OkStatus();
}

// Half of what is cut away. A half pixel goes to the even side, as torchvision's CenterCrop
// (Python's round) has it: data sets were made that way, and a pixel's shift is visible at 28 x 28.
int CropOffset(int excess) {
  const int half = excess / 2;
  return excess % 2 == 1 && half % 2 == 1 ? half + 1 : half;
}

// `part` / `whole` of `side`, to the nearest pixel.
int ShareOf(int side, int part, int whole) {
  return std::max(1, static_cast<int>((int64_t{side} * part + whole / 2) / whole));
}

// Of what is cut from the image's centre and then scaled.
ImageSize CropSize(const Image& image, const Preprocessing& wanted) {
  if (wanted.center_crop > 0) {
    const int side = std::min({image.width, image.height, wanted.center_crop});
    return {side, side};
  }
  const bool is_wider = int64_t{image.width} * wanted.height > int64_t{image.height} * wanted.width;
  if (is_wider) return {ShareOf(image.height, wanted.width, wanted.height), image.height};
  return {image.width, ShareOf(image.width, wanted.height, wanted.width)};
}

Image CropCenter(const Image& image, ImageSize size) {
  const int left = CropOffset(image.width - size.width);
  const int top = CropOffset(image.height - size.height);
  Image out{size.width, size.height, image.channels, {}};
  const size_t row_bytes = static_cast<size_t>(size.width) * image.channels;
  out.pixels.resize(row_bytes * size.height);
  for (int y = 0; y < size.height; ++y) {
    const size_t from = (int64_t{top + y} * image.width + left) * image.channels;
    std::memcpy(&out.pixels[y * row_bytes], &image.pixels[from], row_bytes);
  }
  return out;
}

Image GrayToRgb(const Image& image) {
  Image out{image.width, image.height, 3, {}};
  out.pixels.reserve(image.pixels.size() * 3);
  for (const uint8_t value : image.pixels) out.pixels.insert(out.pixels.end(), 3, value);
  return out;
}

// Luma in 16-bit fixed point, the weights summing to 65536.
Image RgbToGray(const Image& image) {
  Image out{image.width, image.height, 1, {}};
  out.pixels.resize(image.pixels.size() / 3);
  for (size_t i = 0; i < out.pixels.size(); ++i) {
    const uint8_t* const rgb = &image.pixels[3 * i];
    out.pixels[i] =
        static_cast<uint8_t>((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
  }
  return out;
}

Image ConvertChannels(Image image, int channels) {
  if (image.channels == channels) return image;
  return channels == 3 ? GrayToRgb(image) : RgbToGray(image);
}

}  // namespace

absl::StatusOr<Image> Preprocess(const Image& image, const Preprocessing& preprocessing) try {
  CYTOPRESS_RETURN_IF_ERROR(CheckImage(image));
  CYTOPRESS_RETURN_IF_ERROR(CheckPreprocessing(preprocessing));
  if (image.width == preprocessing.width && image.height == preprocessing.height) {
    return ConvertChannels(image, preprocessing.channels);
  }
  const ImageSize size = CropSize(image, preprocessing);
  const bool is_cut = size.width != image.width || size.height != image.height;
  const Image cut = is_cut ? CropCenter(image, size) : Image();
  Image scaled = ResizeBilinear(is_cut ? cut : image, preprocessing.width, preprocessing.height);
  scaled = ConvertChannels(std::move(scaled), preprocessing.channels);
  if (preprocessing.jpeg_quality == 0) return scaled;
  CYTOPRESS_ASSIGN_OR_RETURN(const std::string jpeg,
                             EncodeJpeg(scaled, preprocessing.jpeg_quality));
  return DecodeJpeg(jpeg, DecodeLimits{});
} catch (const std::bad_alloc&) {
  return absl::ResourceExhaustedError("no memory to scale the image");
}

}  // namespace cytopress
