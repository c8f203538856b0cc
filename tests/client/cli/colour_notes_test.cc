#include "client/cli/colour_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "core/image/codec.h"
#include "core/image/image.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

// PNGs of 16 bits; the largest values are 0x0ff0, 0xff00, 0x1fff and 0x2000.
constexpr char kGrayTo4080[] =
    "89504e470d0a1a0a0000000d494844520000000200000001100000000081d9fc150000000d49444154789c63"
    "6060e0ff00000113010021467f3f0000000049454e44ae426082";
constexpr char kGrayTo65280[] =
    "89504e470d0a1a0a0000000d494844520000000200000001100000000081d9fc150000000d49444154789c63"
    "6060f8cf00000203010028e8fc6d0000000049454e44ae426082";
constexpr char kColourTo8191[] =
    "89504e470d0a1a0a0000000d4948445200000001000000011002000000c0e78f9d0000000f49444154789c63"
    "e0ffc09022ff1f00077a02824566c1890000000049454e44ae426082";
constexpr char kColourTo8192[] =
    "89504e470d0a1a0a0000000d4948445200000001000000011002000000c0e78f9d0000000f4944415478da"
    "63e0ffc090a2c00000067d01847c301af70000000049454e44ae426082";
// PNGs of a palette: two grays, and a gray beside purple.
constexpr char kGrayPalette[] =
    "89504e470d0a1a0a0000000d4948445200000002000000010803000000c3fc8fb800000006504c54450a0a0ac8c8"
    "c828d1b2500000000b4944415478da6360600400000400022cde48ad0000000049454e44ae426082";
constexpr char kColourPalette[] =
    "89504e470d0a1a0a0000000d4948445200000002000000010803000000c3fc8fb800000006504c54450a0a0ac814"
    "c8055c38430000000b4944415478da6360600400000400022cde48ad0000000049454e44ae426082";

// The segments of a JPEG up to its frame's header: JFIF, a fill byte, Huffman tables.
std::string JpegOf(char components) {
  std::string bytes = absl::HexStringToBytes("ffd8ffe00006aaaaaaaaffffc40003aaffc0000b0800010001");
  bytes.push_back(components);
  return bytes.append("....");
}

ImageKind KindOf(absl::string_view bytes) { return ReadImageKind(bytes, /*look=*/true); }
ImageKind KindOfHex(const char* hex) { return KindOf(absl::HexStringToBytes(hex)); }

// A photograph of 32x32 pixels in shades from dark to light, with this much between red and green
// everywhere; `dots` of its pixels are red.
Image Photograph(int chroma, int dots = 0) {
  Image image{32, 32, 3, {}};
  for (int i = 0; i < 32 * 32; ++i) {
    const auto shade = static_cast<uint8_t>(50 + i / 8);
    const auto red = static_cast<uint8_t>(i < dots ? 255 : shade + chroma);
    image.pixels.insert(image.pixels.end(), {red, shade, shade});
  }
  return image;
}

TEST(ReadImageKind, TellsGrayFromColourByTheHeader) {
  EXPECT_TRUE(ReadImageKind(*EncodePng({2, 1, 1, {0, 9}}), /*look=*/false).gray);
  EXPECT_FALSE(ReadImageKind(*EncodePng(Photograph(0)), /*look=*/false).gray);
  EXPECT_FALSE(ReadImageKind(*EncodePng(Photograph(0)), /*look=*/false).looked_at);
  EXPECT_TRUE(ReadImageKind(JpegOf(1), /*look=*/false).gray);
  EXPECT_FALSE(ReadImageKind(JpegOf(3), /*look=*/false).gray);
  EXPECT_TRUE(KindOf(JpegOf(1)).gray) << "though it cannot be decoded";
}

TEST(ReadImageKind, TellsGrayThatIsStoredAsColour) {
  EXPECT_TRUE(KindOf(*EncodePng(Photograph(0))).gray);
  EXPECT_TRUE(KindOf(*EncodePng(Photograph(0))).looked_at);
  EXPECT_TRUE(KindOf(*EncodePng(Photograph(1))).gray);
  EXPECT_FALSE(KindOf(*EncodePng(Photograph(2))).gray);
  EXPECT_TRUE(KindOf(*EncodePng(Photograph(0, 8))).gray) << "nearly all pixels are";
  EXPECT_FALSE(KindOf(*EncodePng(Photograph(0, 200))).gray);
  EXPECT_TRUE(KindOf(*EncodeJpeg(Photograph(0), 75)).gray);
  EXPECT_FALSE(KindOf(*EncodeJpeg(Photograph(40), 75)).gray);
  EXPECT_TRUE(KindOfHex(kGrayPalette).gray);
  EXPECT_FALSE(KindOfHex(kColourPalette).gray);
  EXPECT_TRUE(KindOfHex(kGrayTo65280).gray);
  EXPECT_FALSE(KindOfHex(kColourTo8192).gray);
}

TEST(ReadImageKind, TellsWhatIsOfOneColour) {
  const Image red{2, 1, 3, {200, 10, 10, 203, 10, 10}};
  EXPECT_TRUE(KindOf(*EncodePng(red)).one_colour);
  EXPECT_FALSE(KindOf(*EncodePng({2, 1, 3, {200, 10, 10, 204, 10, 10}})).one_colour);
  EXPECT_TRUE(KindOf(*EncodePng({2, 1, 1, {0, 0}})).one_colour);
  EXPECT_FALSE(KindOf(*EncodePng(Photograph(0))).one_colour);
  EXPECT_FALSE(ReadImageKind(*EncodePng(red), /*look=*/false).one_colour);
}

TEST(ReadImageKind, TellsWhatUsesLittleOfItsRange) {
  EXPECT_TRUE(KindOfHex(kGrayTo4080).dark);
  EXPECT_FALSE(KindOfHex(kGrayTo4080).one_colour);
  EXPECT_TRUE(KindOfHex(kColourTo8191).dark);
  EXPECT_TRUE(ReadImageKind(absl::HexStringToBytes(kColourTo8191), /*look=*/false).dark);
  EXPECT_TRUE(KindOfHex(kColourTo8192).looked_at);
  EXPECT_FALSE(KindOfHex(kColourTo8192).dark);
  EXPECT_FALSE(KindOfHex(kGrayTo65280).dark);
  EXPECT_FALSE(KindOf(*EncodePng({1, 1, 3, {0, 0, 0}})).dark) << "it has 8 bits";
}

TEST(ReadImageKind, SaysNothingOfWhatItCannotRead) {
  for (const std::string& whole : {absl::HexStringToBytes(kGrayTo4080), JpegOf(1)}) {
    for (size_t size = 0; size < 20; ++size) {
      EXPECT_FALSE(KindOf(whole.substr(0, size)).gray) << size;
    }
  }
  EXPECT_FALSE(KindOfHex("ffd8ffe0ffff0102030405060708090a").gray);
  EXPECT_FALSE(KindOf("GIF89a").gray);
}

TEST(ColourSample, TakesAllOfAFew) {
  ColourSample sample(500);
  for (size_t i = 0; i < 500; ++i) EXPECT_TRUE(sample.Takes(i, {360, 363})) << i;
}

TEST(ColourSample, TakesSomeOfManyFromAllOver) {
  ColourSample sample(3421);
  int taken = 0;
  int taken_late = 0;
  for (size_t i = 0; i < 3421; ++i) {
    const bool takes = sample.Takes(i, {28, 28});
    taken += takes ? 1 : 0;
    taken_late += takes && i > 3000 ? 1 : 0;
  }
  EXPECT_EQ(taken, 489);  // each seventh
  EXPECT_GT(taken_late, 50);
}

TEST(ColourSample, TakesNoMorePixelsThanItMay) {
  ColourSample sample(10);
  EXPECT_FALSE(sample.Takes(0, {1 << 20, 1 << 20}));
  EXPECT_TRUE(sample.Takes(1, {1 << 13, 1 << 12}));
  EXPECT_TRUE(sample.Takes(2, {1 << 13, 1 << 12}));
  EXPECT_FALSE(sample.Takes(3, {1, 1}));
}

TEST(ColourNotes, NamesHowManyImagesAreOdd) {
  v1::Model model;
  model.set_name("blood");
  model.set_version(2);
  model.mutable_preprocessing()->set_channels(3);
  ImageKind colour, gray, dark, blank;
  colour.looked_at = gray.looked_at = dark.looked_at = blank.looked_at = true;
  gray.gray = true;
  dark.gray = dark.dark = true;
  blank.gray = blank.one_colour = true;
  const auto note = [](const char* name, const std::vector<size_t>& images, const char* text) {
    return AllOf(Field(&ImageNote::name, name), Field(&ImageNote::images, images),
                 Field(&ImageNote::text, HasSubstr(text)));
  };
  std::vector<ImageKind> kinds = {gray, colour, dark, blank};
  EXPECT_THAT(ColourNotes(model, kinds),
              ElementsAre(note("gray", {0, 2}, "2 of 4 images are gray, and blood@2 takes colour"),
                          note("one colour", {3}, "1 of 4 images is of one colour"),
                          note("dark", {2}, "1 of 4 images is stored with 16 bits")));
  EXPECT_THAT(ColourNotes(model, {gray}), ElementsAre(note("gray", {0}, "the image is gray")));
  kinds[1].looked_at = false;
  EXPECT_THAT(
      ColourNotes(model, kinds),
      ElementsAre(Field(&ImageNote::text, StartsWith("at least 2 of 4 images are gray")),
                  Field(&ImageNote::text, StartsWith("at least 1 of 4 images is of one colour")),
                  Field(&ImageNote::text, StartsWith("1 of 4 images is stored"))));
  model.mutable_preprocessing()->set_channels(1);
  EXPECT_THAT(ColourNotes(model, {gray, dark}), ElementsAre(Field(&ImageNote::name, "dark")));
  EXPECT_THAT(ColourNotes(model, {colour}), IsEmpty());
}

}  // namespace
}  // namespace cytopress
