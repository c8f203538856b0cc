#include "core/compression/augmentation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <utility>
#include <vector>

namespace cytopress {
namespace {

constexpr ImageShape kShape = {28, 28, 3};

// A dark disc of the given radius on a bright ground, off the centre by `dx`.
std::vector<uint8_t> Disc(double radius, double dx = 0) {
  std::vector<uint8_t> image;
  for (int y = 0; y < kShape.height; ++y) {
    for (int x = 0; x < kShape.width; ++x) {
      const bool inside = std::hypot(x - 13.5 - dx, y - 13.5) < radius;
      image.insert(image.end(), {uint8_t(inside ? 40 : 220), uint8_t(inside ? 20 : 200), 90});
    }
  }
  return image;
}

// Where the dark pixels are: their number and the middle of them.
struct Spot {
  int pixels = 0;
  double x = 0, y = 0;
};

Spot SpotOf(const std::vector<uint8_t>& image) {
  Spot spot;
  for (int i = 0; i < kShape.height * kShape.width; ++i) {
    if (image[3 * i] >= 130) continue;
    ++spot.pixels;
    spot.x += i % kShape.width;
    spot.y += static_cast<double>(i / kShape.width);
  }
  spot.x /= spot.pixels;
  spot.y /= spot.pixels;
  return spot;
}

std::vector<uint8_t> Drawn(const std::vector<uint8_t>& image, const Augmentation& augmentation,
                           std::mt19937_64& random) {
  std::vector<uint8_t> drawn(image.size());
  Augment(image.data(), kShape, augmentation, random, drawn.data());
  return drawn;
}

TEST(AugmentationTest, NoneLeavesTheImageAsItIs) {
  std::mt19937_64 random(1);
  EXPECT_EQ(Drawn(Disc(6, 3), Augmentation::None(), random), Disc(6, 3));
}

TEST(AugmentationTest, TakesEveryFieldOfARecipe) {
  v1::TrainOptions options;
  options.set_shift_pixels(3);
  options.set_rotate_degrees(10);
  options.set_zoom(0.25);
  options.set_color_jitter(0.125);
  const Augmentation augmentation = Augmentation::FromProto(options);
  EXPECT_TRUE(augmentation.flips);
  EXPECT_EQ(augmentation.shift_pixels, 3);
  EXPECT_EQ(augmentation.rotate_degrees, 10);
  EXPECT_EQ(augmentation.zoom, 0.25);
  EXPECT_EQ(augmentation.color_jitter, 0.125);
  options.set_no_flips(true);
  options.set_shift_pixels(-1);
  EXPECT_FALSE(Augmentation::FromProto(options).flips);
  EXPECT_EQ(Augmentation::FromProto(options).shift_pixels, 0);
}

TEST(AugmentationTest, AShiftReachesEveryOffsetOfItsRange) {
  Augmentation augmentation = Augmentation::None();
  augmentation.shift_pixels = 2;
  std::mt19937_64 random(1);
  const Spot before = SpotOf(Disc(4));
  std::set<std::pair<int64_t, int64_t>> offsets;
  for (int draw = 0; draw < 600; ++draw) {
    const Spot after = SpotOf(Drawn(Disc(4), augmentation, random));
    EXPECT_EQ(after.pixels, before.pixels);
    offsets.emplace(std::llround(after.x - before.x), std::llround(after.y - before.y));
  }
  std::set<std::pair<int64_t, int64_t>> all;
  for (int dy = -2; dy <= 2; ++dy) {
    for (int dx = -2; dx <= 2; ++dx) all.emplace(dx, dy);
  }
  EXPECT_EQ(offsets, all);
}

TEST(AugmentationTest, ARotationCarriesADiscAroundTheCentreByEveryAngle) {
  Augmentation augmentation = Augmentation::None();
  augmentation.rotate_degrees = 180;
  std::mt19937_64 random(1);
  const Spot before = SpotOf(Disc(4, 3));
  std::set<int> octants;
  for (int draw = 0; draw < 100; ++draw) {
    const Spot after = SpotOf(Drawn(Disc(4, 3), augmentation, random));
    EXPECT_NEAR(after.pixels, before.pixels, 8);
    EXPECT_NEAR(std::hypot(after.x - 13.5, after.y - 13.5), 3, 0.3);
    if (std::hypot(after.x - before.x, after.y - before.y) < 1e-9) continue;  // left out
    octants.insert(static_cast<int>(std::atan2(after.y - 13.5, after.x - 13.5) * 4 / M_PI + 4) % 8);
  }
  EXPECT_EQ(octants.size(), 8u);
}

TEST(AugmentationTest, AZoomGrowsAndShrinksByAtMostItsShare) {
  Augmentation augmentation = Augmentation::None();
  augmentation.zoom = 0.2;
  std::mt19937_64 random(1);
  double smallest = 10, largest = 0;
  for (int draw = 0; draw < 200; ++draw) {
    const Spot spot = SpotOf(Drawn(Disc(8), augmentation, random));
    smallest = std::min(smallest, std::sqrt(spot.pixels / M_PI) / 8);
    largest = std::max(largest, std::sqrt(spot.pixels / M_PI) / 8);
  }
  EXPECT_NEAR(smallest, 0.8, 0.05);
  EXPECT_NEAR(largest, 1.2, 0.05);
}

TEST(AugmentationTest, MirroredEdgesAddNoColourOfTheirOwn) {
  Augmentation augmentation = Augmentation::None();
  augmentation.rotate_degrees = 180;
  augmentation.zoom = 0.5;
  std::mt19937_64 random(1);
  const std::vector<uint8_t> plain(28 * 28 * 3, 77);
  for (int draw = 0; draw < 20; ++draw) EXPECT_EQ(Drawn(plain, augmentation, random), plain);
}

TEST(AugmentationTest, ColourJitterMovesEachChannelWithinItsBounds) {
  Augmentation augmentation = Augmentation::None();
  augmentation.color_jitter = 0.1;
  std::mt19937_64 random(1);
  const std::vector<uint8_t> gray(28 * 28 * 3, 100);  // its contrast is none, so only gains act
  std::set<uint8_t> values;
  for (int draw = 0; draw < 200; ++draw) {
    const std::vector<uint8_t> drawn = Drawn(gray, augmentation, random);
    for (int c = 0; c < 3; ++c) {
      values.insert(drawn[c]);
      EXPECT_EQ(drawn[c], drawn[drawn.size() - 3 + c]);
    }
  }
  EXPECT_GE(*values.begin(), 81);    // 0.9 * 0.9
  EXPECT_LE(*values.rbegin(), 121);  // 1.1 * 1.1
  EXPECT_LT(*values.begin(), 88);
  EXPECT_GT(*values.rbegin(), 112);
}

TEST(AugmentationTest, BetaSharesHaveTheirMeanAndVariance) {
  for (double alpha : {0.2, 1.0, 2.0}) {
    std::mt19937_64 random(1);
    std::vector<double> shares(20000);
    for (double& share : shares) share = BetaShare(random, alpha);
    const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / shares.size();
    double variance = 0;
    for (double share : shares) variance += (share - mean) * (share - mean) / shares.size();
    EXPECT_NEAR(mean, 0.5, 0.01) << alpha;
    EXPECT_NEAR(variance, 1 / (4 * (2 * alpha + 1)), 0.005) << alpha;
  }
}

}  // namespace
}  // namespace cytopress
