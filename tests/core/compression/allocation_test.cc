#include "core/compression/allocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace cytopress {
namespace {

using Layers = std::vector<std::vector<LayerChoice>>;

double Bytes(const Layers& layers, const std::vector<int>& chosen) {
  double sum = 0;
  for (size_t i = 0; i < layers.size(); ++i) sum += layers[i][chosen[i]].bytes;
  return sum;
}

double Loss(const Layers& layers, const std::vector<int>& chosen) {
  double sum = 0;
  for (size_t i = 0; i < layers.size(); ++i) sum += layers[i][chosen[i]].loss;
  return sum;
}

LayerChoice Choice(double bytes, double loss) {
  LayerChoice choice;
  choice.bytes = bytes;
  choice.loss = loss;
  return choice;
}

TEST(AllocateTest, TakesTheLeastLossWhenThereIsRoom) {
  const Layers layers = {{Choice(10, 0), Choice(1, 5)}, {Choice(10, 0), Choice(1, 1)}};
  EXPECT_THAT(Allocate(layers, 100), testing::ElementsAre(0, 0));
}

TEST(AllocateTest, OfChoicesThatLoseTheSameTakesTheSmallest) {
  EXPECT_THAT(Allocate({{Choice(10, 0), Choice(1, 0)}}, 100), testing::ElementsAre(1));
}

TEST(AllocateTest, SavesWhereItCostsLeast) {
  const Layers layers = {{Choice(10, 0), Choice(1, 5)}, {Choice(10, 0), Choice(1, 1)}};
  EXPECT_THAT(Allocate(layers, 11), testing::ElementsAre(0, 1));
}

TEST(AllocateTest, GivesTheSmallestWhenNothingFits) {
  const Layers layers = {{Choice(10, 0), Choice(1, 5)}, {Choice(10, 0), Choice(1, 1)}};
  EXPECT_THAT(Allocate(layers, 0.5), testing::ElementsAre(1, 1));
}

// Of two layers that can spare the same, the first has the bytes and the second the positions.
TEST(AllocateTest, WhereWorkCountsALayerOfFewBytesAndManyPositionsIsPruned) {
  Layers layers(2);
  for (const double left : {1.0, 0.5, 0.2, 0.1, 0.05}) {
    LayerChoice wide = Choice(900 * left, (1 - left) / left), early = wide;
    early.bytes = 100 * left;
    wide.work = 1000 * left;
    early.work = 9000 * left;
    layers[0].push_back(wide);
    layers[1].push_back(early);
  }
  EXPECT_DOUBLE_EQ(BytesOfWork(layers), 0.1);
  EXPECT_THAT(Allocate(layers, 210), testing::ElementsAre(3, 1));
  EXPECT_THAT(Allocate(layers, 210, BytesOfWork(layers)), testing::ElementsAre(2, 2))
      << "for as many bytes at the most";
}

// The price of work is for choosing among what fits.
TEST(AllocateTest, FitsWhereOnlyChoicesOfMuchWorkAreSmallEnough) {
  Layers layers = {{Choice(10, 1), Choice(12, 0)}, {Choice(10, 3), Choice(12, 0)}};
  for (std::vector<LayerChoice>& choices : layers) choices[0].work = 100;
  EXPECT_THAT(Allocate({layers[0]}, 11, 0.1), testing::ElementsAre(0));
  EXPECT_THAT(Allocate({layers[0]}, 9, 0.1), testing::ElementsAre(0)) << "nothing fits";
  EXPECT_THAT(Allocate(layers, 22, 0.1), testing::ElementsAre(0, 1)) << "no smaller than needed";
}

TEST(AllocateTest, WorkIsPricedByEveryLayersFirstChoice) {
  Layers layers = {{Choice(10, 0), Choice(1, 5)}, {Choice(30, 0), Choice(20, 1)}};
  layers[0][0].work = 50;
  layers[0][1].work = 40;
  layers[1][0].work = 150;
  layers[1][1].work = 3;
  EXPECT_DOUBLE_EQ(BytesOfWork(layers), 0.2);
}

TEST(AllocateTest, WorkOfNothingIsWorthNothing) {
  EXPECT_EQ(BytesOfWork({{Choice(10, 0), Choice(1, 5)}}), 0);
}

// Against every combination: within the bytes, and no more loss than any combination that leaves
// room for one more layer, which is what choosing by price may waste.
TEST(AllocateTest, IsCloseToTheBestCombination) {
  std::mt19937 random(3);
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int round = 0; round < 50; ++round) {
    Layers layers(6);
    for (auto& choices : layers) {
      double bytes = 50 + 100 * uniform(random), loss = 0;
      for (int i = 0; i < 4; ++i) {
        choices.push_back(Choice(bytes, loss));
        bytes *= 0.5 + 0.4 * uniform(random);
        loss += uniform(random);
      }
    }
    const double limit = 450, largest_layer = 150;
    const std::vector<int> chosen = Allocate(layers, limit);
    ASSERT_LE(Bytes(layers, chosen), limit);
    double best = 1e9;
    for (int code = 0; code < 4096; ++code) {
      std::vector<int> other;
      for (int i = 0; i < 6; ++i) other.push_back(code >> (2 * i) & 3);
      if (Bytes(layers, other) <= limit - largest_layer) best = std::min(best, Loss(layers, other));
    }
    EXPECT_LE(Loss(layers, chosen), best + 1e-9) << round;
  }
}

}  // namespace
}  // namespace cytopress
