#include "core/dataset/synthetic.h"

#include <array>
#include <cmath>
#include <limits>
#include <set>
#include <string>

#include "core/dataset/canvas.h"
#include "core/dataset/cell_drawing.h"
#include "core/dataset/class_names.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cytopress {
namespace {

using testing::Each;
using testing::Ge;
using testing::HasSubstr;

using MeanColour = std::array<double, 3>;

MeanColour MeanOf(const Dataset& dataset, const Split& split, int64_t index) {
  MeanColour mean = {};
  const int64_t bytes = dataset.image_bytes();
  for (int64_t i = 0; i < bytes; ++i) mean[i % 3] += split.pixels[index * bytes + i];
  for (double& value : mean) value /= bytes / 3;
  return mean;
}

double SquaredDistance(const MeanColour& a, const MeanColour& b) {
  double sum = 0;
  for (int c = 0; c < 3; ++c) sum += (a[c] - b[c]) * (a[c] - b[c]);
  return sum;
}

TEST(SyntheticTest, HasTheSizesAndClassesItSays) {
  const absl::StatusOr<Dataset> dataset = DrawDataset(1000, {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_TRUE(dataset->synthetic);
  EXPECT_EQ(dataset->class_names, BloodMnistClassNames());
  EXPECT_EQ(dataset->train.size() + dataset->val.size() + dataset->test.size(), 1000);
  EXPECT_NEAR(static_cast<double>(dataset->test.size()), 200, 8);
  EXPECT_NEAR(static_cast<double>(dataset->val.size()), 100, 8);
  for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
    EXPECT_EQ(split->pixels.size(), split->size() * dataset->image_bytes());
    EXPECT_THAT(ClassCounts(*split, 8), Each(Ge(1)));
  }
  // Neutrophils are the most frequent, as in BloodMNIST.
  const std::vector<int64_t> counts = ClassCounts(dataset->train, 8);
  EXPECT_GT(counts[6], 2 * counts[0]);
}

TEST(SyntheticTest, TheSmallestHasEveryClassInEverySplit) {
  const absl::StatusOr<Dataset> dataset = DrawDataset(100, {});
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
    EXPECT_THAT(ClassCounts(*split, 8), Each(Ge(1)));
  }
}

// The same on every machine: this hash is part of what the program promises.
TEST(SyntheticTest, DrawsTheSameForTheSameSeed) {
  DatasetOptions options;
  options.seed = 7;
  const absl::StatusOr<Dataset> first = DrawDataset(200, options);
  const absl::StatusOr<Dataset> second = DrawDataset(200, options);
  options.seed = 8;
  const absl::StatusOr<Dataset> other = DrawDataset(200, options);
  ASSERT_TRUE(first.ok() && second.ok() && other.ok());
  EXPECT_EQ(ContentHash(*first), ContentHash(*second));
  EXPECT_NE(ContentHash(*first), ContentHash(*other));
  EXPECT_EQ(ContentHash(*first),
            "47758333b50ff2b193d5b4254fb7bbe7592d44e0d20d97dde4a430634c833f44");
}

TEST(SyntheticTest, NoTwoImagesAreEqual) {
  const absl::StatusOr<Dataset> dataset = DrawDataset(300, {});
  ASSERT_TRUE(dataset.ok());
  std::set<std::string> images;
  for (const Split* split : {&dataset->train, &dataset->val, &dataset->test}) {
    for (int64_t i = 0; i < split->size(); ++i) {
      const auto begin = split->pixels.begin() + i * dataset->image_bytes();
      images.emplace(begin, begin + dataset->image_bytes());
    }
  }
  EXPECT_EQ(images.size(), 300u);
}

// A network must look at shapes: colour alone says little.
TEST(SyntheticTest, MeanColourDoesNotTellTheTypesApart) {
  const absl::StatusOr<Dataset> dataset = DrawDataset(1200, {});
  ASSERT_TRUE(dataset.ok());
  std::array<MeanColour, kDrawnCellTypes> centers = {};
  const std::vector<int64_t> counts = ClassCounts(dataset->train, kDrawnCellTypes);
  for (int64_t i = 0; i < dataset->train.size(); ++i) {
    const MeanColour mean = MeanOf(*dataset, dataset->train, i);
    const int label = dataset->train.labels[i];
    for (int c = 0; c < 3; ++c) centers[label][c] += mean[c] / counts[label];
  }
  int64_t right = 0;
  for (int64_t i = 0; i < dataset->test.size(); ++i) {
    const MeanColour mean = MeanOf(*dataset, dataset->test, i);
    int best = 0;
    for (int label = 1; label < kDrawnCellTypes; ++label) {
      if (SquaredDistance(mean, centers[label]) < SquaredDistance(mean, centers[best])) {
        best = label;
      }
    }
    if (best == dataset->test.labels[i]) ++right;
  }
  EXPECT_LT(static_cast<double>(right) / dataset->test.size(), 0.45);
}

// The types are there to be told apart: darkest in the middle is a nucleus, and a platelet has
// none.
TEST(SyntheticTest, LymphocytesAreDarkInTheMiddleAndPlateletsSmall) {
  Random random(3);
  for (int i = 0; i < 20; ++i) {
    const Image lymphocyte = DrawCell(4, 56, &random);
    const Image monocyte = DrawCell(5, 56, &random);
    const Image platelet = DrawCell(7, 56, &random);
    const auto dark_pixels = [](const Image& image) {
      int dark = 0;
      for (size_t p = 0; p < image.pixels.size(); p += 3) dark += image.pixels[p] < 135;
      return dark;
    };
    EXPECT_LT(lymphocyte.pixels[(28 * 56 + 28) * 3], 150);
    EXPECT_LT(dark_pixels(platelet), dark_pixels(lymphocyte));
    EXPECT_LT(dark_pixels(platelet), dark_pixels(monocyte));
  }
}

TEST(SyntheticTest, RefusesTooFewAndTooMany) {
  EXPECT_THAT(DrawDataset(99, {}).status().message(), HasSubstr("100 to"));
  EXPECT_THAT(DrawDataset(-1, {}).status().message(), HasSubstr("100 to"));
  EXPECT_THAT(DrawDataset(std::numeric_limits<int64_t>::max(), {}).status().message(),
              HasSubstr("100 to"));
  DatasetOptions options;
  options.max_bytes = 100 * 2352 - 1;
  EXPECT_EQ(DrawDataset(100, options).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST(RandomTest, HasTheMomentsItSays) {
  Random random(5);
  double sum = 0, squares = 0, uniform = 0;
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) {
    const double x = random.Normal();
    sum += x;
    squares += x * x;
    uniform += random.Uniform();
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.01);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
  EXPECT_NEAR(uniform / kDraws, 0.5, 0.005);
}

TEST(CanvasTest, DirectionIsCosineAndSine) {
  for (double turns = -2; turns < 2; turns += 0.0137) {
    const Point direction = Direction(turns);
    EXPECT_NEAR(direction.x, std::cos(turns * 2 * M_PI), 1e-9) << turns;
    EXPECT_NEAR(direction.y, std::sin(turns * 2 * M_PI), 1e-9) << turns;
  }
}

TEST(CanvasTest, ADiscCoversItsArea) {
  Mask mask(64);
  mask.AddDisc({0.5, 0.5}, 0.25);
  double area = 0;
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x) area += mask.at(x, y);
  }
  EXPECT_NEAR(area, M_PI * 16 * 16, 10);
  EXPECT_EQ(mask.at(32, 32), 1);
  EXPECT_EQ(mask.at(2, 2), 0);
}

}  // namespace
}  // namespace cytopress
