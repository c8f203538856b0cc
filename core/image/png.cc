#include <spng.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/image/codec.h"

namespace cytopress {
namespace {

// A chunk is the length of its data, its type, the data and a checksum.
constexpr size_t kSignatureBytes = 8;
constexpr size_t kLengthBytes = 4;
constexpr size_t kTypeBytes = 4;
constexpr size_t kChecksumBytes = 4;

// The signature and the critical chunks of a file, which alone make its pixels, for libspng to
// read. It would keep text and colour profiles in memory, unpacked, and refuse a file that has much
// of them.
class CriticalChunks {
 public:
  explicit CriticalChunks(absl::string_view file)
      : chunk_(file.substr(0, kSignatureBytes)), rest_(file.substr(chunk_.size())) {}

  // A spng_rw_fn of a decoder whose user data are the CriticalChunks.
  static int Read(spng_ctx* /*context*/, void* chunks, void* out, size_t bytes) {
    return static_cast<CriticalChunks*>(chunks)->Take(static_cast<char*>(out), bytes)
               ? 0
               : static_cast<int>(SPNG_IO_EOF);
  }

 private:
  // False: there are fewer.
  bool Take(char* out, size_t bytes) {
    while (bytes > 0) {
      if (chunk_.empty() && !Advance()) return false;
      const size_t taken = std::min(bytes, chunk_.size());
      std::memcpy(out, chunk_.data(), taken);
      chunk_.remove_prefix(taken);
      out += taken;
      bytes -= taken;
    }
    return true;
  }

  // To the next chunk whose type begins with an upper-case letter; one that is cut off has what is
  // left of it. False: there is none.
  bool Advance() {
    do {
      if (rest_.size() < kLengthBytes + kTypeBytes) return false;
      uint64_t size = 0;
      for (size_t i = 0; i < kLengthBytes; ++i) size = size << 8 | static_cast<uint8_t>(rest_[i]);
      size += kLengthBytes + kTypeBytes + kChecksumBytes;
      chunk_ = rest_.substr(0, size);
      rest_.remove_prefix(chunk_.size());
    } while (absl::ascii_islower(static_cast<unsigned char>(chunk_[kLengthBytes])));
    return true;
  }

  absl::string_view chunk_;  // what is not yet taken of it
  absl::string_view rest_;   // behind it
};

struct ContextDeleter {
  void operator()(spng_ctx* context) const { spng_ctx_free(context); }
};
using Context = std::unique_ptr<spng_ctx, ContextDeleter>;

absl::Status PngError(absl::string_view action, int error) {
  if (error == SPNG_EMEM) {
    return absl::ResourceExhaustedError(absl::StrCat(action, ": ", spng_strerror(error)));
  }
  return absl::InvalidArgumentError(absl::StrCat(action, ": ", spng_strerror(error)));
}

// A file whose header is read.
struct OpenedPng {
  std::unique_ptr<CriticalChunks> chunks;
  Context context;
  spng_ihdr header = {};
};

// Decoding goes on in `bytes`, which have to be there until then.
absl::StatusOr<OpenedPng> OpenPng(absl::string_view bytes) {
  OpenedPng png;
  png.context.reset(spng_ctx_new(0));
  if (png.context == nullptr) return absl::ResourceExhaustedError("no memory to decode a PNG");
  png.chunks = std::make_unique<CriticalChunks>(bytes);
  if (const int error =
          spng_set_png_stream(png.context.get(), CriticalChunks::Read, png.chunks.get());
      error != 0) {
    return PngError("cannot read a PNG", error);
  }
  if (const int error = spng_get_ihdr(png.context.get(), &png.header); error != 0) {
    return PngError("damaged PNG", error);
  }
  return png;
}

// libspng gives gray of more than 8 bits, or with alpha, as RGB only.
void KeepFirstChannel(Image* image) {
  const size_t count = image->pixels.size() / 3;
  for (size_t i = 0; i < count; ++i) image->pixels[i] = image->pixels[3 * i];
  image->pixels.resize(count);
  image->channels = 1;
}

}  // namespace

absl::StatusOr<Image> DecodePng(absl::string_view bytes, const DecodeLimits& limits) {
  CYTOPRESS_ASSIGN_OR_RETURN(const OpenedPng png, OpenPng(bytes));
  const spng_ihdr& header = png.header;
  spng_ctx* const context = png.context.get();
  CYTOPRESS_RETURN_IF_ERROR(CheckLimits(header.width, header.height, limits));
  size_t size = 0;
  if (const int error = spng_decoded_image_size(context, SPNG_FMT_RGB8, &size); error != 0) {
    return PngError("damaged PNG", error);
  }
  Image image;
  image.width = static_cast<int>(header.width);
  image.height = static_cast<int>(header.height);
  image.channels = 3;
  image.pixels.resize(size);
  // Without SPNG_DECODE_TRNS, and into a format without alpha: transparency is dropped.
  if (const int error = spng_decode_image(context, image.pixels.data(), size, SPNG_FMT_RGB8, 0);
      error != 0) {
    return PngError("damaged or truncated PNG", error);
  }
  if (header.color_type == SPNG_COLOR_TYPE_GRAYSCALE ||
      header.color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA) {
    KeepFirstChannel(&image);
  }
  return image;
}

absl::StatusOr<ImageSize> ReadPngSize(absl::string_view bytes) {
  CYTOPRESS_ASSIGN_OR_RETURN(const OpenedPng png, OpenPng(bytes));
  return ImageSize{static_cast<int>(png.header.width), static_cast<int>(png.header.height)};
}

absl::StatusOr<std::string> EncodePng(const Image& image) {
  CYTOPRESS_RETURN_IF_ERROR(CheckImage(image));
  const Context context(spng_ctx_new(SPNG_CTX_ENCODER));
  if (context == nullptr) return absl::ResourceExhaustedError("no memory to encode a PNG");
  spng_set_option(context.get(), SPNG_ENCODE_TO_BUFFER, 1);
  spng_ihdr header = {};
  header.width = static_cast<uint32_t>(image.width);
  header.height = static_cast<uint32_t>(image.height);
  header.bit_depth = 8;
  header.color_type = image.channels == 1 ? SPNG_COLOR_TYPE_GRAYSCALE : SPNG_COLOR_TYPE_TRUECOLOR;
  if (const int error = spng_set_ihdr(context.get(), &header); error != 0) {
    return PngError("cannot encode a PNG", error);
  }
  if (const int error = spng_encode_image(context.get(), image.pixels.data(), image.pixels.size(),
                                          SPNG_FMT_PNG, SPNG_ENCODE_FINALIZE);
      error != 0) {
    return PngError("cannot encode a PNG", error);
  }
  size_t size = 0;
  int error = 0;
  const std::unique_ptr<void, decltype(&std::free)> buffer(
      spng_get_png_buffer(context.get(), &size, &error), &std::free);
  if (buffer == nullptr) return PngError("cannot encode a PNG", error);
  return std::string(static_cast<const char*>(buffer.get()), size);
}

}  // namespace cytopress
