#include "client/cli/colour_notes.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "core/image/image.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// A PNG begins with its signature and the chunk IHDR, which has the width and the height first.
constexpr absl::string_view kPngStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
constexpr size_t kPngBits = 24;
constexpr size_t kPngColourType = 25;  // 0 is gray, 4 is gray with alpha
constexpr absl::string_view kJpegStart("\xff\xd8\xff", 3);
constexpr size_t kJpegComponents = 9;  // behind the marker of a frame
constexpr uint8_t kDarkest = 256 / 8;  // of the upper eight bits

uint8_t ByteAt(absl::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

bool IsDark(absl::string_view png) {
  const absl::StatusOr<Image> image = DecodeImage(png);
  return image.ok() && !image->pixels.empty() &&
         *std::max_element(image->pixels.begin(), image->pixels.end()) < kDarkest;
}

ImageKind KindOfPng(absl::string_view bytes) {
  ImageKind kind;
  if (bytes.size() <= kPngColourType) return kind;
  const uint8_t colour_type = ByteAt(bytes, kPngColourType);
  kind.gray = colour_type == 0 || colour_type == 4;
  kind.dark = ByteAt(bytes, kPngBits) == 16 && IsDark(bytes);
  return kind;
}

// Of all that begin with C0 to CF, three markers are no frame's (ITU-T T.81, table B.1).
bool IsFrame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

// Goes from segment to segment: FF, the marker, and in two bytes the length of what follows the
// marker.
ImageKind KindOfJpeg(absl::string_view bytes) {
  size_t at = 2;
  while (at + kJpegComponents < bytes.size() && ByteAt(bytes, at) == 0xFF) {
    const uint8_t marker = ByteAt(bytes, at + 1);
    if (IsFrame(marker)) return {ByteAt(bytes, at + kJpegComponents) == 1, false};
    const bool fills = marker == 0xFF;  // there may be any number of these before a marker
    at += fills ? 1 : 2 + 256 * size_t{ByteAt(bytes, at + 2)} + ByteAt(bytes, at + 3);
  }
  return {};
}

}  // namespace

ImageKind ReadImageKind(absl::string_view bytes) {
  if (absl::StartsWith(bytes, kPngStart)) return KindOfPng(bytes);
  if (absl::StartsWith(bytes, kJpegStart)) return KindOfJpeg(bytes);
  return {};
}

std::vector<std::string> ColourNotes(const v1::Model& model, const std::vector<ImageKind>& kinds) {
  const auto gray =
      std::count_if(kinds.begin(), kinds.end(), [](const ImageKind& kind) { return kind.gray; });
  const auto dark =
      std::count_if(kinds.begin(), kinds.end(), [](const ImageKind& kind) { return kind.dark; });
  std::vector<std::string> notes;
  if (gray > 0 && model.preprocessing().channels() == 3) {
    notes.push_back(absl::StrFormat(
        "%d of %d images are gray, and %s takes colour: expect wrong answers unless it was "
        "trained on gray ones, too; take the photographs in colour",
        gray, kinds.size(), ToString(model)));
  }
  if (dark > 0) {
    notes.push_back(absl::StrFormat(
        "%d of %d images are PNGs of 16 bits that use less than an eighth of the range, so that "
        "%s sees them almost black; stretch them to the whole range first",
        dark, kinds.size(), ToString(model)));
  }
  return notes;
}

}  // namespace cytopress
