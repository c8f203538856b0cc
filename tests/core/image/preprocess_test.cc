#include <cstdlib>
#include <tuple>
#include <utility>
#include <vector>

#include "core/image/codec.h"
#include "core/image/image.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/core/image/drawing.h"

namespace cytopress {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;

Preprocessing To(int width, int height, int channels) {
  Preprocessing preprocessing;
  preprocessing.width = width;
  preprocessing.height = height;
  preprocessing.channels = channels;
  return preprocessing;
}

// An image of 9 x 5 that is white in this part.
Image WhiteIn(int left, int top, int width, int height) {
  Image image{9, 5, 1, std::vector<uint8_t>(45, 0)};
  for (int y = top; y < top + height; ++y) {
    for (int x = left; x < left + width; ++x) image.pixels[y * 9 + x] = 255;
  }
  return image;
}

TEST(PreprocessTest, CutsTheLargestCentreSquare) {
  const absl::StatusOr<Image> out = Preprocess(WhiteIn(2, 0, 5, 5), To(3, 3, 1));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pixels, std::vector<uint8_t>(9, 255));
}

TEST(PreprocessTest, CutsTheLargestCentreOfTheShapeThatIsWanted) {
  const std::tuple<int, int, Image> cases[] = {
      {2, 4, WhiteIn(3, 0, 3, 5)}, {3, 1, WhiteIn(0, 1, 9, 3)}, {1, 100, WhiteIn(4, 0, 1, 5)}};
  for (const auto& [width, height, image] : cases) {
    const absl::StatusOr<Image> out = Preprocess(image, To(width, height, 1));
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(out->pixels, std::vector<uint8_t>(width * height, 255)) << width << " x " << height;
  }
}

TEST(PreprocessTest, AnImageOfTheShapeThatIsWantedIsNotCut) {
  const Image image = DrawPattern(32, 20, 3);
  const absl::StatusOr<Image> out = Preprocess(image, To(8, 5, 3));
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pixels, ResizeBilinear(image, 8, 5).pixels);
}

// What is cut is then distorted, as the model's photographs were.
TEST(PreprocessTest, ACentreCropIsASquareWhateverIsWanted) {
  Preprocessing preprocessing = To(3, 1, 1);
  preprocessing.center_crop = 5;
  const absl::StatusOr<Image> out = Preprocess(WhiteIn(2, 0, 5, 5), preprocessing);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pixels, std::vector<uint8_t>(3, 255));
}

TEST(PreprocessTest, HalfAPixelOfMarginIsRoundedToEven) {
  Preprocessing preprocessing = To(1, 1, 1);
  preprocessing.center_crop = 1;
  for (const auto& [height, row] :
       std::vector<std::pair<int, int>>{{2, 0}, {3, 1}, {4, 2}, {5, 2}, {6, 2}, {7, 3}, {8, 4}}) {
    Image image{1, height, 1, {}};
    for (int y = 0; y < height; ++y) image.pixels.push_back(static_cast<uint8_t>(y));
    const absl::StatusOr<Image> out = Preprocess(image, preprocessing);
    ASSERT_TRUE(out.ok()) << out.status();
    EXPECT_EQ(out->pixels[0], row) << height;
  }
}

TEST(PreprocessTest, CropIsBoundedByTheImage) {
  const Image image = DrawPattern(9, 5, 3);
  Preprocessing preprocessing = To(4, 4, 3);
  const absl::StatusOr<Image> largest = Preprocess(image, preprocessing);
  preprocessing.center_crop = 200;
  const absl::StatusOr<Image> cropped = Preprocess(image, preprocessing);
  ASSERT_TRUE(largest.ok() && cropped.ok());
  EXPECT_EQ(largest->pixels, cropped->pixels);
}

TEST(PreprocessTest, LeavesAnImageOfTheRightSizeAlone) {
  const Image image = DrawPattern(28, 28, 3);
  Preprocessing preprocessing;
  preprocessing.center_crop = 10;
  preprocessing.jpeg_quality = 20;
  const absl::StatusOr<Image> out = Preprocess(image, preprocessing);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->pixels, image.pixels);
}

TEST(PreprocessTest, RgbBecomesLumaAsInPillow) {
  const absl::StatusOr<Image> gray = Preprocess(DrawPattern(4, 3, 3), To(4, 3, 1));
  ASSERT_TRUE(gray.ok()) << gray.status();
  EXPECT_EQ(gray->channels, 1);
  EXPECT_THAT(gray->pixels, ElementsAreArray({0, 3, 12, 117, 13, 17, 27, 133, 115, 120, 131, 58}));
}

TEST(PreprocessTest, GrayBecomesRgbByCopying) {
  const Image gray{2, 1, 1, {7, 200}};
  const absl::StatusOr<Image> rgb = Preprocess(gray, To(2, 1, 3));
  ASSERT_TRUE(rgb.ok()) << rgb.status();
  EXPECT_THAT(rgb->pixels, ElementsAreArray({7, 7, 7, 200, 200, 200}));
}

TEST(PreprocessTest, CropScaleAndJpegTogetherEqualPillows) {
  Preprocessing preprocessing = To(8, 8, 3);
  preprocessing.center_crop = 20;
  preprocessing.jpeg_quality = 75;
  const absl::StatusOr<Image> out = Preprocess(DrawPattern(37, 41, 3), preprocessing);
  ASSERT_TRUE(out.ok()) << out.status();
  const std::vector<uint8_t> pillow = {
      144, 132, 132, 134, 124, 122, 132, 124, 121, 134, 131, 122, 124, 127, 110, 111, 119, 95,
      118, 131, 101, 138, 154, 118, 138, 127, 125, 135, 125, 123, 136, 129, 123, 136, 133, 124,
      129, 131, 118, 121, 128, 110, 128, 140, 116, 142, 156, 130, 127, 118, 113, 130, 121, 116,
      132, 125, 119, 129, 126, 119, 126, 127, 119, 124, 130, 120, 128, 135, 127, 130, 140, 131,
      139, 130, 125, 140, 133, 127, 137, 132, 128, 133, 130, 125, 134, 135, 130, 140, 142, 141,
      133, 139, 139, 120, 128, 130, 138, 130, 127, 136, 128, 125, 128, 123, 120, 124, 120, 119,
      133, 131, 132, 141, 142, 146, 129, 132, 137, 109, 114, 120, 131, 122, 125, 126, 117, 120,
      118, 112, 114, 118, 114, 115, 128, 126, 129, 137, 137, 139, 129, 130, 134, 111, 115, 118,
      138, 128, 137, 135, 125, 133, 130, 123, 130, 131, 127, 128, 136, 135, 133, 141, 142, 136,
      142, 143, 135, 137, 140, 129, 129, 119, 130, 128, 118, 127, 127, 120, 128, 127, 122, 126,
      127, 123, 120, 126, 126, 118, 131, 133, 119, 139, 142, 125};
  ASSERT_EQ(out->pixels.size(), pillow.size());
  // Versions of libjpeg-turbo may round the colours differently, by one or two.
  for (size_t i = 0; i < pillow.size(); ++i) ASSERT_NEAR(out->pixels[i], pillow[i], 3) << i;
}

TEST(PreprocessTest, GrayGoesThroughJpegToo) {
  Preprocessing preprocessing = To(8, 8, 1);
  preprocessing.jpeg_quality = 5;
  const Image image = DrawPattern(16, 16, 1);
  const absl::StatusOr<Image> out = Preprocess(image, preprocessing);
  ASSERT_TRUE(out.ok()) << out.status();
  EXPECT_EQ(out->channels, 1);
  ASSERT_EQ(out->pixels.size(), 64u);
  EXPECT_NE(out->pixels, ResizeBilinear(image, 8, 8).pixels);
}

TEST(PreprocessTest, RefusesWhatCannotBe) {
  const Image image = DrawPattern(4, 4, 3);
  const std::pair<Preprocessing, const char*> cases[] = {
      {To(0, 4, 3), "0 x 4"}, {To(4, 100000, 3), "4 x 100000"}, {To(4, 4, 2), "2 channels"}};
  for (const auto& [preprocessing, what] : cases) {
    EXPECT_THAT(Preprocess(image, preprocessing).status().message(), HasSubstr(what));
  }
  Preprocessing quality = To(2, 2, 3);
  quality.jpeg_quality = 101;
  EXPECT_THAT(Preprocess(image, quality).status().message(), HasSubstr("quality 101"));
  Image lying = image;
  lying.width = 5;
  EXPECT_THAT(Preprocess(lying, To(2, 2, 3)).status().message(), HasSubstr("needs 60 bytes"));
}

}  // namespace
}  // namespace cytopress
