#include "client/cli/colour_notes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "core/image/image.h"

namespace cytopress {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
    "89504e470d0a1a0a0000000d4948445200000001000000011002000000c0e78f9d0000000f49444154789c63"
    "60606048516000000173008526fef1910000000049454e44ae426082";

// The segments of a JPEG up to its frame's header: JFIF, a fill byte, Huffman tables.
std::string JpegOf(char components) {
  std::string bytes = absl::HexStringToBytes("ffd8ffe00006aaaaaaaaffffc40003aaffc0000b0800010001");
  bytes.push_back(components);
  return bytes.append("....");
}

ImageKind KindOfHex(const char* hex) { return ReadImageKind(absl::HexStringToBytes(hex)); }

TEST(ReadImageKind, TellsGrayFromColour) {
  EXPECT_TRUE(ReadImageKind(*EncodePng({2, 1, 1, {0, 9}})).gray);
  EXPECT_FALSE(ReadImageKind(*EncodePng({1, 1, 3, {0, 0, 0}})).gray);
  EXPECT_FALSE(ReadImageKind(*EncodePng({1, 1, 3, {0, 0, 0}})).dark) << "it has 8 bits";
  EXPECT_TRUE(KindOfHex(kGrayTo65280).gray);
  EXPECT_FALSE(KindOfHex(kColourTo8192).gray);
  EXPECT_TRUE(ReadImageKind(JpegOf(1)).gray);
  EXPECT_FALSE(ReadImageKind(JpegOf(3)).gray);
}

TEST(ReadImageKind, TellsWhatUsesLittleOfItsRange) {
  EXPECT_TRUE(KindOfHex(kGrayTo4080).dark);
  EXPECT_TRUE(KindOfHex(kColourTo8191).dark);
  EXPECT_FALSE(KindOfHex(kColourTo8192).dark);
  EXPECT_FALSE(KindOfHex(kGrayTo65280).dark);
}

TEST(ReadImageKind, SaysNothingOfWhatItCannotRead) {
  for (const std::string& whole : {absl::HexStringToBytes(kGrayTo4080), JpegOf(1)}) {
    for (size_t size = 0; size < 20; ++size) {
      EXPECT_FALSE(ReadImageKind(whole.substr(0, size)).gray) << size;
    }
  }
  EXPECT_FALSE(ReadImageKind(absl::HexStringToBytes("ffd8ffe0ffff0102030405060708090a")).gray);
  EXPECT_FALSE(ReadImageKind("GIF89a").gray);
}

TEST(ColourNotes, NamesHowManyImagesAreOdd) {
  v1::Model model;
  model.set_name("blood");
  model.set_version(2);
  model.mutable_preprocessing()->set_channels(3);
  const std::vector<ImageKind> kinds = {{true, false}, {false, false}, {true, true}};
  EXPECT_THAT(ColourNotes(model, kinds),
              ElementsAre(AllOf(HasSubstr("2 of 3 images are gray"), HasSubstr("blood@2")),
                          HasSubstr("1 of 3 images are PNGs of 16 bits")));
  model.mutable_preprocessing()->set_channels(1);
  EXPECT_THAT(ColourNotes(model, kinds), ElementsAre(HasSubstr("PNGs of 16 bits")));
  EXPECT_THAT(ColourNotes(model, {{false, false}}), IsEmpty());
}

}  // namespace
}  // namespace cytopress
