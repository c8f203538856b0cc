#include "absl/strings/string_view.h"
#include "core/base/sha256.h"
#include "core/image/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/image/drawing.h"

namespace cytopress {
namespace {

using testing::ElementsAreArray;

// The expected numbers of this file are those of Pillow 9.4, `resize(size, BILINEAR)`, for the same
// drawing.

TEST(ResizeBilinearTest, ShrinksRgbBothWaysAsPillow) {
  const Image small = ResizeBilinear(DrawPattern(11, 9, 3), 4, 3);
  EXPECT_EQ(small.width, 4);
  EXPECT_EQ(small.height, 3);
  EXPECT_EQ(small.channels, 3);
  EXPECT_THAT(small.pixels,
              ElementsAreArray({53,  62,  70,  109, 116, 125, 135, 134, 142, 104, 112, 121,
                                80,  108, 136, 133, 148, 142, 149, 136, 106, 125, 133, 108,
                                116, 163, 181, 135, 153, 140, 97,  114, 133, 115, 138, 147}));
}

TEST(ResizeBilinearTest, EnlargesGrayAsPillow) {
  EXPECT_THAT(
      ResizeBilinear(DrawPattern(5, 4, 1), 7, 6).pixels,
      ElementsAreArray({0,   2,   6,   12,  87, 126, 138, 4,   6,   10,  17,  92, 131, 144,
                        23,  25,  30,  38,  92, 123, 136, 88,  91,  96,  103, 73, 70,  83,
                        108, 111, 116, 125, 73, 62,  76,  111, 114, 120, 129, 78, 67,  81}));
}

TEST(ResizeBilinearTest, ScalesOneSideOnlyAsPillow) {
  EXPECT_THAT(ResizeBilinear(DrawPattern(6, 5, 3), 6, 2).pixels,
              ElementsAreArray({32,  39,  46,  36,  43,  50,  46,  53,  60,  102, 109, 116,
                                124, 131, 138, 152, 159, 166, 78,  99,  120, 84,  105, 126,
                                96,  117, 138, 90,  111, 132, 114, 135, 156, 144, 165, 104}));
  EXPECT_THAT(ResizeBilinear(DrawPattern(9, 4, 1), 2, 4).pixels,
              ElementsAreArray({56, 143, 65, 156, 95, 96, 105, 109}));
}

TEST(ResizeBilinearTest, LeavesTheSameSizeAlone) {
  const Image image = DrawPattern(7, 5, 3);
  EXPECT_EQ(ResizeBilinear(image, 7, 5).pixels, image.pixels);
}

struct Case {
  int in_width, in_height, out_width, out_height;
  const char* sha256;  // of Pillow's pixels
};

TEST(ResizeBilinearTest, EqualsPillowOnLargerPictures) {
  const Case cases[] = {
      {200, 200, 28, 28, "6e7b233d794faafac69468bdc9fd027447df1064000898865c753dde8fb6606e"},
      {363, 97, 31, 113, "63199366cd64c20b5d40c74f126e3964481ad4a96d4ba8fc5346443ae5233d85"},
      {17, 500, 200, 3, "5e38d00adebb55fcf17c4f45448f4820e12f4eb4c141e6b7b3358d7ba319700c"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.in_width);
    const Image out =
        ResizeBilinear(DrawPattern(c.in_width, c.in_height, 3), c.out_width, c.out_height);
    const absl::string_view pixels(reinterpret_cast<const char*>(out.pixels.data()),
                                   out.pixels.size());
    EXPECT_EQ(Sha256Hex(pixels), c.sha256);
  }
}

}  // namespace
}  // namespace cytopress
