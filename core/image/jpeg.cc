// libjpeg reports errors by a callback that must not return, so both directions jump out of it. The
// functions that may be jumped over hold no object with a destructor; their callers own everything.
// clang-format off
#include <cstddef>
#include <cstdio>
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include <algorithm>
#include <csetjmp>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/image/codec.h"

namespace cytopress {
namespace {

// A progressive file of a few KB may hold thousands of scans, each of which costs a pass over all
// pixels. Encoders write about ten; where they are many, they may cost what this many do on the
// largest image that is read.
constexpr int kUsualScans = 16;
constexpr int kMaxScans = 64;

// With as many libjpeg's own destination begins.
constexpr size_t kFirstOutputBytes = 4096;

struct ErrorHandler {
  jpeg_error_mgr base;  // first, so that a pointer to it is one to this
  jmp_buf jump;
  int max_scans;
  bool has_too_many_scans;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void JumpOut(j_common_ptr codec) {
  ErrorHandler* const handler = reinterpret_cast<ErrorHandler*>(codec->err);
  handler->base.format_message(codec, handler->message);
  longjmp(handler->jump, 1);
}

// libjpeg fills what is missing or damaged with gray and warns; a diagnosis must not rest on that.
void OnMessage(j_common_ptr codec, int level) {
  if (level >= 0) return;  // trace
  switch (codec->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      JumpOut(codec);
    default:
      return;
  }
}

void CountScans(j_common_ptr codec) {
  if (!codec->is_decompressor) return;
  ErrorHandler* const handler = reinterpret_cast<ErrorHandler*>(codec->err);
  if (reinterpret_cast<j_decompress_ptr>(codec)->input_scan_number > handler->max_scans) {
    handler->has_too_many_scans = true;
    longjmp(handler->jump, 1);
  }
}

void SetUp(ErrorHandler* handler) {
  jpeg_std_error(&handler->base);
  handler->base.error_exit = JumpOut;
  handler->base.emit_message = OnMessage;
  handler->max_scans = kMaxScans;
  handler->has_too_many_scans = false;
  handler->message[0] = '\0';
}

// Owns a decompressor; it stays valid, and is released, whatever jumped.
struct Decoder {
  jpeg_decompress_struct codec = {};
  ErrorHandler handler = {};
  jpeg_progress_mgr progress = {};
  Decoder() {
    SetUp(&handler);
    codec.err = &handler.base;
    progress.progress_monitor = CountScans;
  }
  ~Decoder() { jpeg_destroy_decompress(&codec); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

bool ReadHeader(Decoder* decoder, const char* bytes, size_t size) {
  if (setjmp(decoder->handler.jump) != 0) return false;
  jpeg_create_decompress(&decoder->codec);
  decoder->codec.progress = &decoder->progress;
  jpeg_mem_src(&decoder->codec, reinterpret_cast<const unsigned char*>(bytes), size);
  jpeg_read_header(&decoder->codec, TRUE);
  return true;
}

// `pixels` has room for the whole image. The defaults of libjpeg: exact integer DCT, smooth
// upsampling of chroma.
bool ReadPixels(Decoder* decoder, uint8_t* pixels) {
  if (setjmp(decoder->handler.jump) != 0) return false;
  jpeg_decompress_struct* const codec = &decoder->codec;
  jpeg_start_decompress(codec);
  const size_t stride = static_cast<size_t>(codec->output_width) * codec->output_components;
  while (codec->output_scanline < codec->output_height) {
    JSAMPROW row = pixels + codec->output_scanline * stride;
    jpeg_read_scanlines(codec, &row, 1);
  }
  jpeg_finish_decompress(codec);
  return true;
}

// Owns a compressor and what it writes. libjpeg's own destination in memory would free its buffer
// as it grows and say so only at the end: without memory for the next one, its owner would free it
// again.
struct Encoder {
  jpeg_compress_struct codec = {};
  ErrorHandler handler = {};
  jpeg_destination_mgr destination = {};
  std::string bytes;
  Encoder() {
    SetUp(&handler);
    codec.err = &handler.base;
    codec.client_data = this;
  }
  ~Encoder() { jpeg_destroy_compress(&codec); }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

// Apart, for an exception must not go through libjpeg. False: there is no memory.
bool Resize(std::string* bytes, size_t size) try {
  bytes->resize(size);
  return true;
} catch (const std::bad_alloc&) {
  return false;
}

// When all bytes are written.
boolean GrowOutput(j_compress_ptr codec) {
  std::string* const bytes = &static_cast<Encoder*>(codec->client_data)->bytes;
  const size_t written = bytes->size();
  if (!Resize(bytes, std::max(kFirstOutputBytes, 2 * written))) {
    ERREXIT1(codec, JERR_OUT_OF_MEMORY, 0);
  }
  codec->dest->next_output_byte = reinterpret_cast<JOCTET*>(bytes->data() + written);
  codec->dest->free_in_buffer = bytes->size() - written;
  return TRUE;
}

void StartOutput(j_compress_ptr codec) { GrowOutput(codec); }

void FinishOutput(j_compress_ptr codec) {
  std::string* const bytes = &static_cast<Encoder*>(codec->client_data)->bytes;
  bytes->resize(bytes->size() - codec->dest->free_in_buffer);
}

bool WriteImage(Encoder* encoder, const Image* image, int quality) {
  if (setjmp(encoder->handler.jump) != 0) return false;
  jpeg_compress_struct* const codec = &encoder->codec;
  jpeg_create_compress(codec);
  encoder->destination.init_destination = StartOutput;
  encoder->destination.empty_output_buffer = GrowOutput;
  encoder->destination.term_destination = FinishOutput;
  codec->dest = &encoder->destination;
  codec->image_width = image->width;
  codec->image_height = image->height;
  codec->input_components = image->channels;
  codec->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(codec);  // chroma at half resolution both ways
  jpeg_set_quality(codec, quality, TRUE);
  jpeg_start_compress(codec, TRUE);
  const size_t stride = static_cast<size_t>(image->width) * image->channels;
  while (codec->next_scanline < codec->image_height) {
    JSAMPROW row = const_cast<uint8_t*>(image->pixels.data()) + codec->next_scanline * stride;
    jpeg_write_scanlines(codec, &row, 1);
  }
  jpeg_finish_compress(codec);
  return true;
}

absl::Status JpegError(absl::string_view action, const ErrorHandler& handler) {
  if (handler.base.msg_code == JERR_OUT_OF_MEMORY) {
    return absl::ResourceExhaustedError("no memory to decode or encode a JPEG");
  }
  if (handler.has_too_many_scans) {
    const bool are_fewer_for_its_size = handler.max_scans < kMaxScans;
    return absl::Status(
        are_fewer_for_its_size ? absl::StatusCode::kOutOfRange : absl::StatusCode::kInvalidArgument,
        absl::StrCat("a progressive JPEG of more than ", handler.max_scans, " scans",
                     are_fewer_for_its_size ? ", too many for one of its size" : ""));
  }
  return absl::InvalidArgumentError(absl::StrCat(action, ": ", handler.message));
}

}  // namespace

absl::StatusOr<Image> DecodeJpeg(absl::string_view bytes, const DecodeLimits& limits) {
  const std::unique_ptr<Decoder> decoder = std::make_unique<Decoder>();
  if (!ReadHeader(decoder.get(), bytes.data(), bytes.size())) {
    return JpegError("damaged JPEG", decoder->handler);
  }
  jpeg_decompress_struct& codec = decoder->codec;
  CYTOPRESS_RETURN_IF_ERROR(CheckLimits(codec.image_width, codec.image_height, limits));
  if (codec.num_components != 1 && codec.num_components != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("a JPEG of ", codec.num_components,
                     " components (CMYK?); needed is gray (1) or colour (3): save it as RGB"));
  }
  const int64_t pixels = int64_t{codec.image_width} * codec.image_height;
  decoder->handler.max_scans = static_cast<int>(std::clamp<int64_t>(
      kUsualScans * limits.max_pixels / std::max<int64_t>(pixels, 1), kUsualScans, kMaxScans));
  Image image;
  image.width = static_cast<int>(codec.image_width);
  image.height = static_cast<int>(codec.image_height);
  image.channels = codec.num_components;
  codec.out_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  image.pixels.resize(size_t{codec.image_width} * codec.image_height * image.channels);
  if (!ReadPixels(decoder.get(), image.pixels.data())) {
    return JpegError("damaged or truncated JPEG", decoder->handler);
  }
  return image;
}

absl::StatusOr<ImageSize> ReadJpegSize(absl::string_view bytes) {
  const std::unique_ptr<Decoder> decoder = std::make_unique<Decoder>();
  if (!ReadHeader(decoder.get(), bytes.data(), bytes.size())) {
    return JpegError("damaged JPEG", decoder->handler);
  }
  const jpeg_decompress_struct& codec = decoder->codec;
  return ImageSize{static_cast<int>(codec.image_width), static_cast<int>(codec.image_height)};
}

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  const std::unique_ptr<Encoder> encoder = std::make_unique<Encoder>();
  if (!WriteImage(encoder.get(), &image, quality)) {
    return JpegError("cannot encode a JPEG", encoder->handler);
  }
  return std::move(encoder->bytes);
}

}  // namespace cytopress
