#include "client/cli/colour_notes.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/registry/model_registry.h"

namespace cytopress {
namespace {

// A PNG begins with its signature and the chunk IHDR, which has the width and the height first.
constexpr absl::string_view kPngStart("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", 16);
constexpr size_t kPngBits = 24;
constexpr size_t kPngColourType = 25;  // 0 is gray, 4 is gray with alpha
constexpr absl::string_view kJpegStart("\xff\xd8\xff", 3);
constexpr size_t kJpegComponents = 9;  // behind the marker of a frame

constexpr size_t kMostDecoded = 500;
constexpr int64_t kMostPixels = int64_t{64} << 20;  // of all that are decoded

// Levels of 256.
constexpr uint8_t kDarkest = 256 / 8;
constexpr int kChromaNoise = 2;  // on average: what JPEG makes of gray
constexpr int kShades = 4;       // as many show nothing

uint8_t ByteAt(absl::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

// Of all that begin with C0 to CF, three markers are no frame's (ITU-T T.81, table B.1).
bool IsFrame(uint8_t marker) {
  return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

bool IsGrayPng(absl::string_view bytes) {
  if (bytes.size() <= kPngColourType) return false;
  const uint8_t colour_type = ByteAt(bytes, kPngColourType);
  return colour_type == 0 || colour_type == 4;
}

// Goes from segment to segment: FF, the marker, and in two bytes the length of what follows the
// marker.
bool IsGrayJpeg(absl::string_view bytes) {
  size_t at = 2;
  while (at + kJpegComponents < bytes.size() && ByteAt(bytes, at) == 0xFF) {
    const uint8_t marker = ByteAt(bytes, at + 1);
    if (IsFrame(marker)) return ByteAt(bytes, at + kJpegComponents) == 1;
    const bool fills = marker == 0xFF;  // there may be any number of these before a marker
    at += fills ? 1 : 2 + 256 * size_t{ByteAt(bytes, at + 2)} + ByteAt(bytes, at + 3);
  }
  return false;
}

bool HasGrayPixels(const Image& image) {
  if (image.channels == 1) return true;
  int64_t red_green = 0, green_blue = 0;
  for (size_t i = 0; i + 2 < image.pixels.size(); i += 3) {
    red_green += std::abs(image.pixels[i] - image.pixels[i + 1]);
    green_blue += std::abs(image.pixels[i + 1] - image.pixels[i + 2]);
  }
  const auto pixels = static_cast<int64_t>(image.pixels.size() / 3);
  return std::max(red_green, green_blue) < kChromaNoise * pixels;
}

bool IsOfOneColour(const Image& image) {
  for (int channel = 0; channel < image.channels; ++channel) {
    uint8_t lowest = 255, highest = 0;
    for (size_t i = channel; i < image.pixels.size(); i += image.channels) {
      lowest = std::min(lowest, image.pixels[i]);
      highest = std::max(highest, image.pixels[i]);
    }
    if (highest - lowest >= kShades) return false;
  }
  return true;
}

void LookAt(const Image& image, bool has_16_bits, ImageKind* kind) {
  kind->looked_at = true;
  kind->gray = HasGrayPixels(image);
  kind->dark =
      has_16_bits && *std::max_element(image.pixels.begin(), image.pixels.end()) < kDarkest;
  // There may be something to be seen in the bits that are not read.
  kind->one_colour = !kind->dark && IsOfOneColour(image);
}

// `known`: whether it is certain of a kind that it is not one of these.
void AddNote(const char* name, absl::string_view text, const std::vector<ImageKind>& kinds,
             absl::FunctionRef<bool(const ImageKind&)> is_odd,
             absl::FunctionRef<bool(const ImageKind&)> known, std::vector<ImageNote>* notes) {
  std::vector<size_t> images;
  bool all_known = true;
  for (size_t i = 0; i < kinds.size(); ++i) {
    if (is_odd(kinds[i])) {
      images.push_back(i);
    } else {
      all_known = all_known && known(kinds[i]);
    }
  }
  if (images.empty()) return;
  std::string sentence =
      absl::StrCat(all_known ? "" : "at least ", HowMany(images.size(), kinds.size()), text);
  notes->push_back({name, std::move(images), std::move(sentence)});
}

}  // namespace

ColourSample::ColourSample(size_t images)
    : step_(std::max<size_t>((images + kMostDecoded - 1) / kMostDecoded, 1)),
      pixels_left_(kMostPixels) {}

bool ColourSample::Takes(size_t image, const ImageSize& size) {
  const int64_t pixels = int64_t{size.width} * size.height;
  if (image % step_ != 0 || pixels > pixels_left_) return false;
  pixels_left_ -= pixels;
  return true;
}

ImageKind ReadImageKind(absl::string_view bytes, bool look) {
  ImageKind kind;
  bool has_16_bits = false;
  if (absl::StartsWith(bytes, kPngStart)) {
    kind.gray = IsGrayPng(bytes);
    has_16_bits = bytes.size() > kPngBits && ByteAt(bytes, kPngBits) == 16;
  } else if (absl::StartsWith(bytes, kJpegStart)) {
    kind.gray = IsGrayJpeg(bytes);
  } else {
    return kind;
  }
  if (!look && !has_16_bits) return kind;
  const absl::StatusOr<Image> image = DecodeImage(bytes);
  if (image.ok() && !image->pixels.empty()) LookAt(*image, has_16_bits, &kind);
  return kind;
}

std::vector<ImageNote> ColourNotes(const v1::Model& model, const std::vector<ImageKind>& kinds) {
  std::vector<ImageNote> notes;
  const auto was_looked_at = [](const ImageKind& kind) { return kind.looked_at; };
  if (model.preprocessing().channels() == 3) {
    AddNote(
        "gray",
        absl::StrCat(" gray, and ", ToString(model),
                     " takes colour: expect wrong answers unless it was trained on gray ones, "
                     "too; take the photographs in colour"),
        kinds, [](const ImageKind& kind) { return kind.gray && !kind.one_colour; }, was_looked_at,
        &notes);
  }
  AddNote(
      "one colour", " of one colour all over: there is nothing to be seen, whatever the answer is",
      kinds, [](const ImageKind& kind) { return kind.one_colour; }, was_looked_at, &notes);
  // Each that may be dark was looked at.
  AddNote(
      "dark",
      absl::StrCat(" stored with 16 bits, of which less than an eighth of the range is used, so "
                   "that ",
                   ToString(model), " sees it almost black; stretch it to the whole range first"),
      kinds, [](const ImageKind& kind) { return kind.dark; }, [](const ImageKind&) { return true; },
      &notes);
  return notes;
}

}  // namespace cytopress
