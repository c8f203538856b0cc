#include <algorithm>
#include <cstddef>
#include <string>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/image/codec.h"
#include "core/image/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/image/drawing.h"

namespace cytopress {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

// Files written by other programs, in hexadecimal.
constexpr char kPalette[] =
    "89504e470d0a1a0a0000000d49484452000000020000000208030000004568fd1600000009504c54450a141e"
    "28323c46505a16ac84740000000374524e530080ffecf7b3180000000e4944415478da636060646062040000"
    "0f000536b42a390000000049454e44ae426082";
constexpr char kRgb16_2x1[] =
    "89504e470d0a1a0a0000000d49484452000000020000000110020000002bd0349e000000154944415478da63"
    "60fccff49ff9ff0986930ca718002492055f9d48014a0000000049454e44ae426082";
constexpr char kRgba2x1[] =
    "89504e470d0a1a0a0000000d4948445200000002000000010806000000f4227f8a000000114944415478da63"
    "e0e4606748c9abf80f00057c0262c32139b90000000049454e44ae426082";
constexpr char kGrayAlpha2x1[] =
    "89504e470d0a1a0a0000000d49484452000000020000000108040000005e2bb7010000000d4944415478da63"
    "5064f0fd0f000222016e4c6340da0000000049454e44ae426082";
constexpr char kGray1bit8x1[] =
    "89504e470d0a1a0a0000000d4948445200000008000000010100000000cb7bd2ee0000000a4944415478da63"
    "d8040000b400b38990cd2f0000000049454e44ae426082";
constexpr char kHuge[] =
    "89504e470d0a1a0a0000000d494844520000ea600000ea6008020000000fb0e2150000000c4944415478da63"
    "60a03d000000640001b899ef990000000049454e44ae426082";
constexpr char kCmyk[] =
    "ffd8ffee000e41646f626500640000000000ffdb0043001b12141714111b1716171e1c1b2028422b28252528"
    "513a3d3042605565645f555d5b6a7899816a7190735b5d85b586909ea3abadab6780bcc9baa6c799a8aba4ff"
    "c000140800080008044311004d11005911004b1100ffc4001f00000105010101010101000000000000000001"
    "02030405060708090a0bffc400b5100002010303020403050504040000017d01020300041105122131410613"
    "516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
    "434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495"
    "969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3"
    "e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9faffda000e0443004d0059004b00003f00e8eba0addadaafffd9";
constexpr char kProg[] =
    "ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a1816"
    "16183123251d283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c6567"
    "63ffdb0043011112121815182f1a1a2f63423842636363636363636363636363636363636363636363636363"
    "6363636363636363636363636363636363636363636363636363ffc200110800100010030122000211010311"
    "01ffc4001500010100000000000000000000000000000405ffc4001401010000000000000000000000000000"
    "0000ffda000c030100021003100000019ab4b0ffc400161000030000000000000000000000000000000203ff"
    "da0008010100010502598b31662ccfffc4001511010100000000000000000000000000000300ffda00080103"
    "01013f0107bfffc4001511010100000000000000000000000000000100ffda0008010201013f011bffc40014"
    "100100000000000000000000000000000020ffda0008010100063f021fffc400141001000000000000000000"
    "00000000000020ffda0008010100013f21001fffda000c0301000200030000001063ffc40016110003000000"
    "0000000000000000000000002131ffda0008010301013f109b3fffc400141101000000000000000000000000"
    "00000000ffda0008010201013f107fffc400161000030000000000000000000000000000002131ffda000801"
    "0100013f109224892248ffd9";

absl::StatusOr<Image> DecodeHex(const char* hex) {
  return DecodeImage(absl::HexStringToBytes(hex));
}

TEST(DecodeImageTest, PngComesBackAsItWas) {
  for (const int channels : {1, 3}) {
    const Image image = DrawPattern(13, 7, channels);
    const absl::StatusOr<std::string> png = EncodePng(image);
    ASSERT_TRUE(png.ok()) << png.status();
    const absl::StatusOr<Image> decoded = DecodeImage(*png);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, 13);
    EXPECT_EQ(decoded->height, 7);
    EXPECT_EQ(decoded->channels, channels);
    EXPECT_EQ(decoded->pixels, image.pixels);
  }
}

// A chunk of a PNG whose checksum is of no use.
std::string PngChunk(const std::string& type, const std::string& data) {
  std::string chunk;
  for (int shift = 24; shift >= 0; shift -= 8) {
    chunk.push_back(static_cast<char>(data.size() >> shift & 0xff));
  }
  return chunk + type + data + "\1\2\3\4";
}

// So many zeros as zlib writes them where it does not compress, without its checksum.
std::string StoredZeros(size_t bytes) {
  std::string stream = "\x78\x01";
  while (bytes > 0) {
    const size_t block = std::min(bytes, size_t{0xffff});
    stream.push_back('\0');
    for (const size_t number : {block, ~block}) {
      stream.push_back(static_cast<char>(number & 0xff));
      stream.push_back(static_cast<char>(number >> 8 & 0xff));
    }
    stream.append(block, '\0');
    bytes -= block;
  }
  return stream;
}

TEST(DecodeImageTest, TextAndColourProfilesOfAPngArePassedOver) {
  constexpr size_t kAfterHeader = 8 + 25;  // the signature and the first chunk
  constexpr size_t kMuch = 9 << 20;
  const Image image = DrawPattern(13, 7, 3);
  const std::string png = *EncodePng(image);
  const std::string comment("Comment\0", 8);
  std::string many;
  for (int i = 0; i < 1200; ++i) many += PngChunk("tEXt", comment + "text");
  for (const std::string& chunks :
       {many, PngChunk("tEXt", comment + std::string(kMuch, 'x')),
        PngChunk("iCCP", std::string("profile\0\0", 9) + StoredZeros(kMuch))}) {
    std::string longer = png;
    longer.insert(kAfterHeader, chunks);
    const absl::StatusOr<Image> decoded = DecodeImage(longer);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->pixels, image.pixels);
    EXPECT_EQ(ReadImageSize(longer)->width, 13);
    EXPECT_EQ(DecodeImage(longer.substr(0, kAfterHeader + chunks.size() - 1)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(DecodeImageTest, PaletteBecomesRgbWithoutItsTransparency) {
  const absl::StatusOr<Image> image = DecodeHex(kPalette);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->channels, 3);
  EXPECT_THAT(image->pixels, ElementsAreArray({10, 20, 30, 40, 50, 60, 70, 80, 90, 40, 50, 60}));
}

TEST(DecodeImageTest, AlphaIsDropped) {
  const absl::StatusOr<Image> rgb = DecodeHex(kRgba2x1);
  ASSERT_TRUE(rgb.ok()) << rgb.status();
  EXPECT_THAT(rgb->pixels, ElementsAreArray({9, 8, 7, 100, 110, 120}));
  const absl::StatusOr<Image> gray = DecodeHex(kGrayAlpha2x1);
  ASSERT_TRUE(gray.ok()) << gray.status();
  EXPECT_EQ(gray->channels, 1);
  EXPECT_THAT(gray->pixels, ElementsAreArray({33, 77}));
}

TEST(DecodeImageTest, OtherDepthsBecomeEightBits) {
  const absl::StatusOr<Image> deep = DecodeHex(kRgb16_2x1);
  ASSERT_TRUE(deep.ok()) << deep.status();
  EXPECT_THAT(deep->pixels, ElementsAreArray({1, 2, 3, 200, 201, 202}));
  const absl::StatusOr<Image> bits = DecodeHex(kGray1bit8x1);
  ASSERT_TRUE(bits.ok()) << bits.status();
  EXPECT_EQ(bits->channels, 1);
  EXPECT_THAT(bits->pixels, ElementsAreArray({255, 0, 255, 255, 0, 0, 255, 0}));
}

TEST(DecodeImageTest, JpegOfGrayAndColour) {
  for (const int channels : {1, 3}) {
    const Image image{16, 8, channels, std::vector<uint8_t>(16 * 8 * channels, 100)};
    const absl::StatusOr<std::string> jpeg = EncodeJpeg(image, 90);
    ASSERT_TRUE(jpeg.ok()) << jpeg.status();
    const absl::StatusOr<Image> decoded = DecodeImage(*jpeg);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_EQ(decoded->width, 16);
    EXPECT_EQ(decoded->height, 8);
    EXPECT_EQ(decoded->channels, channels);
    ASSERT_EQ(decoded->pixels.size(), image.pixels.size());
    for (const uint8_t value : decoded->pixels) EXPECT_NEAR(value, 100, 2);
  }
}

TEST(DecodeImageTest, ProgressiveJpeg) {
  const absl::StatusOr<Image> image = DecodeHex(kProg);
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, 16);
  const int first_pixels[] = {1, 1, 1, 13, 4, 7, 31, 5, 16, 48, 3, 23};
  for (int i = 0; i < 12; ++i) EXPECT_NEAR(image->pixels[i], first_pixels[i], 3);
}

// A small file could ask for thousands of passes over a large image.
TEST(DecodeImageTest, PassesOverAProgressiveJpegAreBounded) {
  const std::string bytes = absl::HexStringToBytes(kProg);  // has 10 scans
  const size_t scan = bytes.find("\xff\xda", bytes.find("\xff\xda") + 2);
  const size_t end = bytes.find("\xff\xc4", scan);
  const auto decode = [&](int more, int64_t max_pixels) {
    std::string longer = bytes;
    for (int i = 0; i < more; ++i) longer.insert(end, bytes, scan, end - scan);
    DecodeLimits limits;
    limits.max_pixels = max_pixels;
    return DecodeImage(longer, limits).status();
  };
  EXPECT_EQ(decode(54, 1 << 20), absl::OkStatus());
  EXPECT_THAT(decode(55, 1 << 20).message(), HasSubstr("more than 64 scans"));
  EXPECT_EQ(decode(6, 16 * 16), absl::OkStatus());
  // Over the limits, as a large image: who tried with smaller ones than there are may try again.
  EXPECT_EQ(decode(7, 16 * 16).code(), absl::StatusCode::kOutOfRange);
  EXPECT_THAT(decode(7, 16 * 16).message(),
              HasSubstr("more than 16 scans, too many for one of its size"));
}

TEST(DecodeImageTest, CmykIsRefused) {
  const absl::Status status = DecodeHex(kCmyk).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("4 components"));
  EXPECT_THAT(status.message(), HasSubstr("save it as RGB"));
}

TEST(DecodeImageTest, SaysWhatOtherBytesAre) {
  EXPECT_THAT(DecodeImage("").status().message(), HasSubstr("empty"));
  const auto said = [](absl::string_view bytes) {
    return std::string(DecodeImage(bytes).status().message());
  };
  const std::string zeros(8, '\0');
  EXPECT_EQ(said("II*" + zeros), "neither PNG nor JPEG, but TIFF; convert it to PNG or JPEG");
  EXPECT_THAT(said("GIF89a"), HasSubstr("but GIF; convert"));
  EXPECT_THAT(said(absl::StrCat(zeros.substr(0, 4), "ftypheic")), HasSubstr("but HEIC; convert"));
  EXPECT_THAT(said(absl::StrCat(zeros.substr(0, 4), "ftypavif")), HasSubstr("but AVIF; convert"));
  EXPECT_THAT(said(absl::StrCat("MM", zeros.substr(0, 1), "*", zeros)), HasSubstr("but TIFF"));
  EXPECT_THAT(said("BM1234" + zeros), HasSubstr("but BMP"));
  EXPECT_THAT(said("RIFF1234WEBP"), HasSubstr("but WebP"));
  EXPECT_THAT(said("BM is how this text begins"), HasSubstr("BM is ho"));
  EXPECT_EQ(said("BM"),
            "neither PNG nor JPEG: 2 bytes that begin with \"BM\"; convert it to PNG or JPEG");
}

TEST(ReadImageSizeTest, NeedsNoMoreThanTheHeader) {
  const Image image = DrawPattern(40, 24, 3);
  for (const std::string& bytes : {*EncodePng(image), *EncodeJpeg(image, 80)}) {
    const absl::StatusOr<ImageSize> size = ReadImageSize(bytes.substr(0, bytes.size() - 20));
    ASSERT_TRUE(size.ok()) << size.status();
    EXPECT_EQ(size->width, 40);
    EXPECT_EQ(size->height, 24);
    EXPECT_EQ(ReadImageSize(bytes.substr(0, 10)).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(ReadImageSize(absl::HexStringToBytes(kHuge))->width, 60000) << "nothing is decoded";
  EXPECT_THAT(ReadImageSize("GIF89a").status().message(), HasSubstr("neither PNG nor JPEG"));
}

TEST(DecodeImageTest, LimitsAreCheckedBeforeMemoryIsTaken) {
  const absl::Status huge = DecodeHex(kHuge).status();
  EXPECT_EQ(huge.code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(huge.message(),
            "the image is 60000 x 60000 pixels, which are 3600 megapixels; at most 67.11 are "
            "decoded: scale it down, or cut it");
  DecodeLimits limits;
  limits.max_pixels = 16 * 16 - 1;
  EXPECT_EQ(DecodeImage(absl::HexStringToBytes(kProg), limits).status().code(),
            absl::StatusCode::kOutOfRange);
  limits.max_pixels = 16 * 16;
  EXPECT_TRUE(DecodeImage(absl::HexStringToBytes(kProg), limits).ok());
}

// A cut-off photograph has gray where cells were: it must not pass for one.
TEST(DecodeImageTest, EveryTruncationIsAnError) {
  const Image image = DrawPattern(40, 40, 3);
  for (const std::string& bytes : {*EncodePng(image), *EncodeJpeg(image, 80)}) {
    // The last 16 bytes of a PNG are a checksum and the end chunk, which hold no pixels.
    for (size_t size = 0; size + 16 < bytes.size(); ++size) {
      ASSERT_EQ(DecodeImage(bytes.substr(0, size)).status().code(),
                absl::StatusCode::kInvalidArgument)
          << size << " of " << bytes.size() << " bytes";
    }
  }
}

TEST(DecodeImageTest, DamageIsAnErrorOrAnImageNeverACrash) {
  const Image image = DrawPattern(24, 24, 3);
  for (const std::string& bytes :
       {*EncodePng(image), *EncodeJpeg(image, 80), absl::HexStringToBytes(kProg)}) {
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x5a);
      DecodeLimits limits;
      limits.max_pixels = 1 << 20;
      const absl::StatusOr<Image> decoded = DecodeImage(damaged, limits);
      if (decoded.ok()) {
        EXPECT_TRUE(CheckImage(*decoded).ok());
      } else {
        EXPECT_FALSE(decoded.status().message().empty());
      }
    }
  }
}

TEST(EncodePngTest, RefusesAnImageThatLies) {
  EXPECT_EQ(EncodePng(Image{2, 2, 3, {1, 2, 3}}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(EncodePng(Image{0, 2, 3, {}}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace cytopress
